"""The macvlan driver: containers stand on the parent link's own segment with MAC addresses of theirs; host and container don't meet.

Without a parent the network is internal, on a link of its own (`dm-<12 digits of the id>`).
"""

import dataclasses

from scow import ids
from scow.errors import InvalidArgument
from scow.model.network import NetworkCreate
from scow.network import checks, osl
from scow.network.drivers import options
from scow.network.endpoint import Endpoint
from scow.network.firewall.render import BridgeRule
from scow.network.network import Network, Pool

MODES = ("bridge", "private", "vepa", "passthru")


class MacvlanDriver:
    """Options `parent` and `macvlan_mode`."""

    name = "macvlan"
    kind = "macvlan"
    modes: tuple[str, ...] = MODES

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """Option values; whether the kernel has the link kind is seen by `ensure`."""
        options.check(request.options, {options.MTU: options.mtu, f"{self.name}_mode": options.one_of(*self.modes)})
        parent = request.options.get("parent", "")
        if parent == "lo":
            raise InvalidArgument("loopback interface is not a valid parent interface")
        if parent:
            options.check(request.options, {"parent": options.link})

    def shape(self, network: Network) -> Network:
        """Without a parent it is internal, on a link of its own."""
        if network.options.get("parent"):
            return network
        return dataclasses.replace(network, internal=True, options={**network.options, "parent": f"dm-{ids.short(network.id)}"})

    def ensure(self, network: Network) -> None:
        """The parent link. Raises InvalidArgument (no such link), Unsupported (the kernel lacks something)."""
        osl.ensure_parent(network.options["parent"], own=self._own(network), kind=self.kind)

    def _own(self, network: Network) -> bool:
        return network.options["parent"] == f"dm-{ids.short(network.id)}"

    def remove(self, network: Network) -> None:
        """Only a parent that is the network's own goes (and a VLAN link that was made for it stays, others may use it)."""
        if self._own(network):
            osl.remove_link(network.options["parent"])

    def rule(self, network: Network) -> BridgeRule | None:
        """The host's firewall sees none of it."""
        return None

    def interface(self, network: Network, endpoint: Endpoint) -> osl.Interface | None:
        """A link on the parent, straight in the namespace."""
        settings = endpoint.settings
        return osl.Interface(
            endpoint.inner, "", network.options["parent"], settings.mac_address, settings.ip_address, settings.ip_prefix_len,
            network.mtu, more=osl.more_addresses(settings), sysctls=tuple(checks.sysctls(settings)),
            stacked=osl.Stacked(self.kind, network.options.get(f"{self.name}_mode", "") or self.modes[0], self._flag(network)),
        )  # fmt: skip

    def _flag(self, network: Network) -> str:
        return ""
