"""What a network driver is: how a network and its endpoints look in the kernel. Bookkeeping (rows, addresses, ports, names) is not its
business. `drivers/` has one file each; `daemon` and tests get them by `drivers.table()`.

All methods but `check` are synchronous and run in pool threads; running one twice is harmless.
"""

import re
from typing import Protocol

from scow.errors import NotFound
from scow.model.network import NetworkCreate
from scow.network.endpoint import Endpoint
from scow.network.firewall.render import BridgeRule
from scow.network.network import Network, Pool
from scow.network.osl import Interface

_PLAIN = re.compile(r"[\w./:@-]{1,64}\Z")


def no_plugin(name: str) -> NotFound:
    """The error for a driver nobody has."""
    shown = name if _PLAIN.match(name) else ascii(name[:64])
    return NotFound(f'could not find plugin {shown} in v1 plugin registry: plugin "{shown}" not found')


class NetworkDriver(Protocol):
    """One kind of network. Overlay networks fit in with the same calls."""

    @property
    def name(self) -> str:
        """As `Network.driver` has it."""

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """Refuse a request that this driver cannot fulfil. Raises InvalidArgument, Forbidden, Unsupported."""

    def shape(self, network: Network) -> Network:
        """The network with what the driver settles about it (a network without a parent is internal), before it is stored."""

    def ensure(self, network: Network) -> None:
        """Make the kernel's part of a network equal to what is stored. Raises ScowError; then nothing of the network is left."""

    def remove(self, network: Network) -> None:
        """Take the kernel's part away; absent is fine."""

    def rule(self, network: Network) -> BridgeRule | None:
        """What the firewall must know, None = nothing."""

    def interface(self, network: Network, endpoint: Endpoint) -> Interface | None:
        """The interface of an endpoint, None where a container gets none."""
