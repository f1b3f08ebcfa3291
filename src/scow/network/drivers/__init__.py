"""The network drivers by name. A new one is a file here, its name in `table`, and a line in the contract suite."""

from scow.errors import Unsupported
from scow.network.driver import NetworkDriver, no_plugin
from scow.network.drivers.bridge import BridgeDriver
from scow.network.drivers.host import HostDriver
from scow.network.drivers.ipvlan import IpvlanDriver
from scow.network.drivers.macvlan import MacvlanDriver
from scow.network.drivers.null import NullDriver
from scow.network.drivers.overlay import OverlayDriver

_LATER = ("nat", "transparent", "l2bridge")


def table() -> dict[str, NetworkDriver]:
    """The built-in drivers."""
    drivers: list[NetworkDriver] = [BridgeDriver(), HostDriver(), NullDriver(), MacvlanDriver(), IpvlanDriver(), OverlayDriver()]
    return {driver.name: driver for driver in drivers}


def find(drivers: dict[str, NetworkDriver], name: str) -> NetworkDriver:
    """The driver called `name` ("" = bridge). Raises Unsupported, NotFound."""
    if name in _LATER:
        raise Unsupported(f"the network driver {name} is not supported yet")
    found = drivers.get(name or "bridge")
    if found is None:
        raise no_plugin(name)
    return found
