"""The kernel's part of an overlay network: a bridge and, as one of its ports, a VXLAN link that leads to the other hosts.

Nothing is learnt from the wire: which MAC address is behind which host, and which address has which MAC address, is set by the cluster. The
bridge has an address only where the host itself takes part (ingress). Names: `ov-` and `vx-` before twelve characters of the network's id.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from scow import ids, log
from scow.errors import Conflict, Internal, ScowError, Unsupported
from scow.kernel.neighbours import Neighbours
from scow.kernel.netlink import Netlink
from scow.kernel.nft import NftError, run_program
from scow.network import osl
from scow.network.encryption import rules
from scow.network.network import Network

logger = log.get(__name__)

_BRIDGE, _TUNNEL = "ov-", "vx-"
VNI = "com.docker.network.driver.overlay.vxlanid_list"
MTU = 1450
TUNNEL_BYTES = 70
"""What VXLAN adds to a packet of an encrypted network: Ethernet, VXLAN, UDP and IPv6 within the tunnel."""
ENCRYPTED_MTU = 1350
"""TUNNEL_BYTES below that of the tunnel's links."""


@dataclass(frozen=True, slots=True)
class Far:
    """An endpoint on another host: its addresses (the first gives its MAC address) and the host's."""

    addresses: tuple[str, ...]
    host: str

    @property
    def mac(self) -> str:
        """As every engine of the cluster makes it."""
        return osl.mac_of(self.addresses[0])


def tunnel_name(network: Network) -> str:
    """The VXLAN link's name."""
    return f"{_TUNNEL}{ids.short(network.id)}"


def number(network: Network) -> int:
    """The VXLAN number."""
    first = network.options.get(VNI, "").partition(",")[0]
    return int(first) if first.isascii() and first.isdigit() else 0


def mtu(network: Network) -> int:
    """The MTU of its links."""
    return network.mtu or (ENCRYPTED_MTU if network.encrypted else MTU)


def ensure(network: Network) -> None:
    """Make both links as they are stored, or bring them into that state. Raises Unsupported, Internal."""
    size = mtu(network)
    own, _, length = network.own_end.partition("/")
    with Netlink() as netlink:
        bridge = netlink.link(network.link)
        if bridge is None:
            try:
                netlink.add_bridge(network.link, osl.mac_of(own or "0.0.0.0"), size)
            except OSError as error:
                raise Internal(f"failed to create bridge {network.link}: {error.strerror}") from error
            bridge = netlink.link(network.link)
            if bridge is None:
                raise Internal(f"bridge {network.link} vanished while it was made")
            osl.sysctl(f"ipv6/conf/{network.link}/disable_ipv6", "1")
        if own:
            if bridge.mac != osl.mac_of(own):
                netlink.set_link(bridge.index, mac=osl.mac_of(own))
            osl.set_addresses(netlink, bridge.index, {4: (own, int(length or 24))} if ":" not in own else {})
            # published ports on the host's loopback lead here
            osl.sysctl(f"ipv4/conf/{network.link}/route_localnet", "1")
        _tunnel(netlink, network, bridge.index, size)
        if not bridge.up:
            netlink.set_link(bridge.index, up=True)


def _tunnel(netlink: Netlink, network: Network, bridge: int, mtu: int) -> None:
    name = tunnel_name(network)
    port, _, local = network.data_path.partition(" ")
    wanted = (number(network), int(port or 4789), local)
    shown = (*wanted[:2], "" if local == "::" else local)
    if not wanted[0]:
        return
    present = netlink.vxlan(name)
    if present is not None and present != shown:
        netlink.delete_link(name)
        present = None
    if present is None:
        try:
            _add(netlink, network, wanted, mtu)
        except OSError as error:
            netlink.delete_link(network.link)
            if error.errno == errno.EOPNOTSUPP:
                raise Unsupported("the kernel has no VXLAN links, which overlay networks need: load the module vxlan") from None
            raise Internal(f"failed to create the VXLAN link of network {network.name}: {error.strerror}") from error
        except ScowError:
            netlink.delete_link(network.link)
            raise
        # neighbours need IPv6 on the link, which itself needs no address
        osl.sysctl(f"ipv6/conf/{name}/addr_gen_mode", "1")
        osl.sysctl(f"ipv6/conf/{name}/disable_ipv6", str(int(not network.enable_ipv6)))
    link = netlink.link(name)
    if link is not None:
        if link.master != bridge:
            netlink.set_master(link.index, bridge)
        if not link.up:
            netlink.set_link(link.index, up=True)


def _add(netlink: Netlink, network: Network, wanted: tuple[int, int, str], mtu: int) -> None:
    """A number is there once in the kernel: what a killed engine has left of another swarm makes room. Raises OSError, Conflict."""
    if network.encrypted:
        _guard(wanted[1])
    try:
        netlink.add_vxlan(tunnel_name(network), *wanted, mtu=mtu)
    except OSError as error:
        if error.errno != errno.EEXIST or not _make_room(netlink, network, wanted):
            raise
        netlink.add_vxlan(tunnel_name(network), *wanted, mtu=mtu)


def _make_room(netlink: Netlink, network: Network, wanted: tuple[int, int, str]) -> bool:
    """Remove links of this engine's making that have the number and carry no container; whether there were any. Raises Conflict."""
    links = netlink.links()
    removed = False
    for link in links:
        held = netlink.vxlan(link.name) if link.kind == "vxlan" else None
        if held is None or held[:2] != wanted[:2]:
            continue
        bridge = next((one for one in links if one.index == link.master), None)
        ports = [one.name for one in links if bridge is not None and one.master == bridge.index and one.name != link.name]
        if not link.name.startswith(_TUNNEL) or ports:
            what = f"containers on {bridge.name} use it" if bridge is not None and ports else "another program made it"
            raise Conflict(
                f"network {network.name} needs VXLAN number {wanted[0]} at port {wanted[1]}, which the link {link.name} has, and {what}: "
                f"end that, or delete the link (ip link delete {link.name}), or make the swarm with another --data-path-port"
            )
        logger.warning("the link %s is a rest of a network that is no more: it makes room for network %s", link.name, network.name)
        removed = netlink.delete_link(link.name) or removed
        if bridge is not None and bridge.name.startswith(_BRIDGE):
            netlink.delete_link(bridge.name)
    return removed


def _guard(port: int) -> None:
    """Before an encrypted network has a link that takes packets from anywhere, be there a tunnel or not. Raises Unsupported."""
    try:
        run_program(rules.text(port))
    except NftError as error:
        raise Unsupported(f"encrypted overlay networks need nftables: {error}") from None


def remove(network: Network) -> None:
    """Delete both; absent is fine."""
    osl.remove_link(tunnel_name(network))
    osl.remove_link(network.link)


def lead(network: Network, far: Sequence[Far]) -> None:
    """Let the tunnel lead to exactly these endpoints of other hosts; a network that is gone is fine."""
    with Neighbours() as route:
        link = route.link(tunnel_name(network))
        if link is None:
            return
        try:
            route.set_hosts(link.index, {(one.mac, one.host) for one in far})
            route.set_addresses(link.index, {(address, one.mac) for one in far for address in one.addresses})
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
