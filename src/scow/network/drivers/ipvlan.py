"""The ipvlan driver: like macvlan, but all containers share the parent's MAC address. Not every kernel has it."""

from scow.model.network import NetworkCreate
from scow.network.drivers import options
from scow.network.drivers.macvlan import MacvlanDriver
from scow.network.network import Network, Pool

FLAGS = ("bridge", "private", "vepa")


class IpvlanDriver(MacvlanDriver):
    """Options `parent`, `ipvlan_mode` and `ipvlan_flag`."""

    name = "ipvlan"
    kind = "ipvlan"
    modes: tuple[str, ...] = ("l2", "l3", "l3s")

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """Option values."""
        super().check(request, pools)
        options.check(request.options, {"ipvlan_flag": options.one_of(*FLAGS)})

    def _flag(self, network: Network) -> str:
        return network.options.get("ipvlan_flag", "") or FLAGS[0]
