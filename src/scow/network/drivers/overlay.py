"""The overlay driver: a network that spans the hosts of a swarm. See `vxlan.py` for what is in the kernel.

Containers get the addresses that the cluster gave them; the way to the outside is another network, `docker_gwbridge`.
"""

from scow.errors import Unsupported
from scow.model.network import NetworkCreate
from scow.network import checks, osl, vxlan
from scow.network.drivers import options
from scow.network.encryption import devices
from scow.network.endpoint import Endpoint
from scow.network.firewall.render import BridgeRule
from scow.network.network import Network, Pool

ENCRYPTED = "encrypted"


def _numbers(text: str) -> None:
    for part in text.split(","):
        if not 0 < int(part) < 1 << 24:
            raise ValueError(text)


class OverlayDriver:
    """Made by the cluster only (`cluster.py`)."""

    name = "overlay"

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """Option values; encryption needs what this host may lack."""
        options.check(request.options, {options.MTU: options.mtu, vxlan.VNI: _numbers})
        if request.options.get(ENCRYPTED, "false") != "false" and (missing := devices.missing()):
            raise Unsupported(missing)

    def shape(self, network: Network) -> Network:
        """As it is."""
        return network

    def ensure(self, network: Network) -> None:
        """Bridge and tunnel."""
        vxlan.ensure(network)

    def remove(self, network: Network) -> None:
        """Neither."""
        vxlan.remove(network)

    def rule(self, network: Network) -> BridgeRule | None:
        """The table of the routing mesh keeps overlay networks apart from all else."""
        return None

    def interface(self, network: Network, endpoint: Endpoint) -> osl.Interface | None:
        """A veth pair, its host end a port of the bridge."""
        settings = endpoint.settings
        return osl.Interface(
            endpoint.inner, osl.veth_name(endpoint.id), network.link, settings.mac_address, settings.ip_address, settings.ip_prefix_len,
            vxlan.mtu(network), more=osl.more_addresses(settings), sysctls=tuple(checks.sysctls(settings)),
        )  # fmt: skip
