"""The host driver: containers share the host's network; there is one such network and it is made by the engine."""

from scow.errors import Forbidden
from scow.model.network import NetworkCreate
from scow.network.endpoint import Endpoint
from scow.network.firewall.render import BridgeRule
from scow.network.network import Network, Pool
from scow.network.osl import Interface


class HostDriver:
    """Nothing to make in the kernel."""

    name = "host"

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """There is one only."""
        raise Forbidden(f'only one instance of "{self.name}" network is allowed')

    def shape(self, network: Network) -> Network:
        """As it is."""
        return network

    def ensure(self, network: Network) -> None:
        """Nothing."""

    def remove(self, network: Network) -> None:
        """Nothing."""

    def rule(self, network: Network) -> BridgeRule | None:
        """None."""
        return None

    def interface(self, network: Network, endpoint: Endpoint) -> Interface | None:
        """None."""
        return None
