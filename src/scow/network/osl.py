"""The operating system side of networks: bridges, sandboxes (namespaces with interfaces and routes). Synchronous, for the pool.

Names come from ids: a bridge is the network's `link`, a veth's host end `veth` + 10 digits of its endpoint id, a pin is
run/netns/<sandbox id>.
"""

import contextlib
import errno
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scow.errors import Forbidden, Internal, InvalidArgument, Unsupported
from scow.kernel.namespaces import in_netns, new_netns, unpin
from scow.kernel.netlink import Link, Netlink
from scow.model.network import EndpointSettings
from scow.network.network import IPNetwork, Network

T = TypeVar("T")
_SYSCTL = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a sandbox: `inner` is its name inside, `outer` the host end on bridge `bridge`."""

    inner: str
    outer: str
    bridge: str
    mac: str
    address: str
    prefix: int
    mtu: int = 0
    isolated: bool = False
    more: tuple[tuple[str, int], ...] = ()  # further addresses: IPv6, link-local ones
    sysctls: tuple[str, ...] = ()
    stacked: "Stacked | None" = None  # not a veth pair but a link on the link `bridge`

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """All addresses with their prefix lengths."""
        return ((self.address, self.prefix), *self.more) if self.address else self.more


@dataclass(frozen=True, slots=True)
class Stacked:
    """A link on another one: kind macvlan or ipvlan, and how it behaves there."""

    kind: str
    mode: str
    flag: str = ""


def veth_name(endpoint_id: str) -> str:
    """The host end's name."""
    return f"veth{endpoint_id[:10]}"


def more_addresses(settings: EndpointSettings) -> tuple[tuple[str, int], ...]:
    """What an endpoint has besides its IPv4 address."""
    found = [(settings.global_ipv6_address, settings.global_ipv6_prefix_len)] if settings.global_ipv6_address else []
    if settings.ipam_config:
        found += [(text, 64 if ":" in text else 16) for text in settings.ipam_config.link_local_ips]
    return tuple(found)


def mac_of(address: str) -> str:
    """The MAC address that goes with an address: the same address always has the same, so no cached neighbour is ever stale."""
    return "02:42:" + ipaddress.ip_address(address).packed[-4:].hex(":")


def sysctl(name: str, value: str) -> bool:
    """Write /proc/sys/net/<name> of the thread's namespace; False if the kernel refuses."""
    with contextlib.suppress(OSError):
        (_SYSCTL / name).write_text(value)
        return True
    return False


def host_subnets() -> list[IPNetwork]:
    """The subnets the host has routes to."""
    with Netlink() as netlink:
        return netlink.routes()


def ensure_bridge(network: Network) -> None:
    """Make the bridge of a network as it is stored, or bring an existing one into that state.

    Raises Forbidden when the name belongs to another kind of link."""
    wanted = {
        pool.version: (pool.gateway, pool.network.prefixlen)
        for pool in (network.pool(4), network.pool(6))
        if pool is not None and pool.gateway and network.host_address(pool.version)
    }
    six = network.pool(6) is not None
    with Netlink() as netlink:
        link = netlink.link(network.link)
        if link is None:
            try:
                netlink.add_bridge(network.link, "02:42:" + secrets.token_hex(4), network.mtu)
            except OSError as error:
                raise Internal(f"failed to create bridge {network.link}: {error.strerror}") from error
            link = netlink.link(network.link)
            if link is None:
                raise Internal(f"bridge {network.link} vanished while it was made")
            if not six:
                sysctl(f"ipv6/conf/{network.link}/disable_ipv6", "1")
        elif link.kind != "bridge":
            raise Forbidden(f"cannot use {network.link} as the bridge of network {network.name}: it is a link of another kind")
        if six:
            if not sysctl(f"ipv6/conf/{network.link}/disable_ipv6", "0"):
                raise Unsupported(f"network {network.name} needs IPv6, which this host has switched off")
            sysctl(f"ipv6/conf/{network.link}/accept_ra", "0")
            sysctl(f"ipv6/conf/{network.link}/accept_dad", "0")
        try:
            set_addresses(netlink, link.index, wanted)
        except OSError as error:
            gateways = ", ".join(address for address, _ in wanted.values())
            raise InvalidArgument(f"network {network.name} cannot have the gateway {gateways}: {error.strerror}") from error
        if not link.up:
            netlink.set_link(link.index, up=True)
    sysctl(f"ipv4/conf/{network.link}/route_localnet", "1")
    if six:
        forward6()


def set_addresses(netlink: Netlink, index: int, wanted: dict[int, tuple[str, int]]) -> None:
    """Give a link one address of each kind (4, 6: address and length), and no other."""
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        chosen = wanted.get(version)
        present = [(address, prefix) for _, address, prefix in netlink.addresses(index, family)]
        for address, prefix in present:
            if (address, prefix) != chosen and not ipaddress.ip_address(address).is_link_local:
                with contextlib.suppress(OSError):
                    netlink.delete_address(index, address, prefix)
        if chosen and chosen not in present:
            netlink.add_address(index, *chosen)


def addresses_of(name: str) -> tuple[str, ...]:
    """The addresses of a link as `address/length`, link-local ones left out."""
    with Netlink() as netlink:
        link = netlink.link(name)
        found = [one for family in (socket.AF_INET, socket.AF_INET6) for one in netlink.addresses(link.index, family)] if link else []
    return tuple(f"{address}/{prefix}" for _, address, prefix in found if not ipaddress.ip_address(address).is_link_local)


def give_back(network: Network) -> None:
    """Take the gateways away from a bridge that was there before its network, and give it the addresses it had; absent is fine."""
    gateways = {f"{pool.gateway}/{pool.network.prefixlen}" for pool in network.pools}
    with Netlink() as netlink:
        link = netlink.link(network.link)
        if link is None:
            return
        for family in (socket.AF_INET, socket.AF_INET6):
            for _, address, prefix in netlink.addresses(link.index, family):
                if f"{address}/{prefix}" in gateways.difference(network.had):
                    netlink.delete_address(link.index, address, prefix)
        for text in network.had:
            address, _, length = text.partition("/")
            netlink.add_address(link.index, address, int(length))


def ensure_parent(name: str, own: bool, kind: str) -> None:
    """See to the parent of stacked links: `own` ones are made, others must be there, or be `link.NUMBER` for a VLAN on a link that is.

    Raises InvalidArgument, Unsupported."""
    with Netlink() as netlink:
        link = netlink.link(name)
        if link is None and own:
            try:
                netlink.add_dummy(name)
            except OSError:
                # a pair does as well where the kernel has no dummy links
                netlink.add_pair(name, "dp" + name[2:])
                if (peer := netlink.link("dp" + name[2:])) is not None:
                    netlink.set_link(peer.index, up=True)
            link = netlink.link(name)
        elif link is None:
            link = _vlan(netlink, name)
        if link is None:
            raise InvalidArgument(f"parent interface {name} was not found on the host")
        if own and not link.up:
            netlink.set_link(link.index, up=True)
        probe = f"scow{secrets.token_hex(4)}"
        try:
            netlink.add_stacked(kind, probe, link.index, "bridge" if kind == "macvlan" else "l2")
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                if own:
                    netlink.delete_link(name)
                raise Unsupported(f"the kernel has no {kind} links: load the module {kind}, or use another driver") from None
            if error.errno not in (errno.EBUSY, errno.EINVAL):
                raise Internal(f"{kind} does not work on {name}: {error.strerror}") from None
            # busy: another network has the link in passthru mode or as a bridge's port, which its containers will be told
        else:
            netlink.delete_link(probe)


def _vlan(netlink: Netlink, name: str) -> Link | None:
    parent, _, number = name.rpartition(".")
    base = netlink.link(parent) if parent and number.isascii() and number.isdigit() and 0 < int(number) < 4095 else None
    if base is None:
        return None
    try:
        netlink.add_vlan(name, base.index, int(number))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(f"cannot make {name}: the kernel has no VLANs (load the module 8021q)") from None
        raise Internal(f"cannot make {name}: {error.strerror}") from None
    made = netlink.link(name)
    if made is not None:
        netlink.set_link(made.index, up=True)
    return made


def repair_ports(ports: Sequence[Interface]) -> list[Interface]:
    """Put host ends back on their bridges; the interfaces whose host end is gone."""
    gone = []
    with Netlink() as host:
        links = {link.name: link for link in host.links()}
        for interface in ports:
            link, bridge = links.get(interface.outer), links.get(interface.bridge)
            if link is None:
                gone.append(interface)
            elif bridge is not None:
                if link.master != bridge.index:
                    host.set_master(link.index, bridge.index)
                    host.set_port(link.index, isolated=interface.isolated, hairpin=True)
                if not link.up:
                    host.set_link(link.index, up=True)
    return gone


def is_there(name: str) -> bool:
    """Whether the host has a link of this name, of whatever kind."""
    with Netlink() as netlink:
        return netlink.link(name) is not None


def remove_link(name: str) -> None:
    """Delete a link; absent is fine."""
    with Netlink() as netlink:
        netlink.delete_link(name)


def forward() -> None:
    """Let the host route IPv4 packets."""
    sysctl("ipv4/ip_forward", "1")


def forward6() -> None:
    """Let the host route IPv6 packets. The host's own links go on listening to router advertisements, which forwarding would end."""
    if (_SYSCTL / "ipv6/conf/all/forwarding").read_text().strip() == "1":
        return
    for folder in (_SYSCTL / "ipv6/conf").iterdir():
        with contextlib.suppress(OSError):
            if folder.name != "all" and (folder / "accept_ra").read_text().strip() == "1":
                (folder / "accept_ra").write_text("2")
    sysctl("ipv6/conf/all/forwarding", "1")


def _plug(host: Netlink, inner: Netlink, interface: Interface) -> None:
    bridge = host.link(interface.bridge)
    if bridge is None:
        raise Internal(f"link {interface.bridge} is missing: restart the daemon to have it made again")
    six = any(":" in address for address, _ in interface.addresses)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # without an IPv6 address of its own a container gets no link-local one either, nor the traffic that comes with it
        sysctl("ipv6/conf/default/disable_ipv6", "0" if six else "1")
        _make(host, interface, bridge, here)
    finally:
        sysctl("ipv6/conf/default/disable_ipv6", "0")
        os.close(here)
    link = inner.link(interface.inner)
    if link is None:
        raise Internal(f"interface {interface.inner} vanished while it was made")
    if six:
        # addresses are ours, nobody else can hold them: they are good at once
        sysctl(f"ipv6/conf/{interface.inner}/accept_dad", "0")
        sysctl(f"ipv6/conf/{interface.inner}/accept_ra", "0")
    for address, prefix in interface.addresses:
        inner.add_address(link.index, address, prefix)
    inner.set_link(link.index, up=True)
    for entry in interface.sysctls:
        name, _, value = entry.partition("=")
        path = name.replace(".", "/").replace("net/", "", 1).replace("IFNAME", interface.inner)
        if not sysctl(path, value):
            raise InvalidArgument(f"failed to set {name.replace('IFNAME', interface.inner)}: the kernel refuses it")


def _make(host: Netlink, interface: Interface, bridge: Link, here: int) -> None:
    mtu = interface.mtu or bridge.mtu
    if (stacked := interface.stacked) is not None:
        mac = interface.mac if stacked.kind == "macvlan" else ""
        try:
            host.add_stacked(stacked.kind, interface.inner, bridge.index, stacked.mode, flag=stacked.flag, mac=mac, mtu=mtu, netns=here)
        except OSError as error:
            raise Internal(f"failed to create the {stacked.kind} link on {interface.bridge}: {error.strerror}") from error
        return
    host.add_veth(interface.outer, interface.inner, peer_netns=here, peer_mac=interface.mac, master=bridge.index, mtu=mtu)
    if (port := host.link(interface.outer)) is not None:
        # where br_netfilter is loaded, a container's call to its own published port is bridged back to where it came from
        host.set_port(port.index, isolated=interface.isolated, hairpin=True)


def build(pin: Path, interfaces: Sequence[Interface], gateways: Sequence[tuple[str, str]], inside: Callable[[], T]) -> T:
    """Make a namespace pinned at `pin` with a loopback, the interfaces and default routes (address, interface).

    The result is that of `inside`, called in it."""
    with Netlink() as host, new_netns(pin), Netlink() as inner:
        inner.set_link(1, up=True)
        for interface in interfaces:
            _plug(host, inner, interface)
        _route(inner, gateways)
        return inside()


def plug(pin: str | Path, interface: Interface, gateways: Sequence[tuple[str, str]], inside: Callable[[], T]) -> T:
    """Add an interface to a living namespace, and set its default routes; the result of `inside`."""
    with Netlink() as host, in_netns(pin), Netlink() as inner:
        _plug(host, inner, interface)
        _route(inner, gateways)
        return inside()


def unplug(pin: str | Path, interface: Interface, gateways: Sequence[tuple[str, str]]) -> None:
    """Delete an interface, and set the default routes."""
    with Netlink() as host:
        if interface.outer:
            host.delete_link(interface.outer)
        with in_netns(pin), Netlink() as inner:
            if not interface.outer:
                inner.delete_link(interface.inner)
            _route(inner, gateways)


def quiet(pin: str | Path, inners: Sequence[str]) -> None:
    """Delete interfaces that have no host end, so that their addresses may be given to others; an absent namespace is fine."""
    with contextlib.suppress(OSError), in_netns(pin), Netlink() as inner:
        for name in inners:
            inner.delete_link(name)


def visit(pin: str | Path, inside: Callable[[], T]) -> T:
    """Call `inside` in the namespace at `pin`."""
    with in_netns(pin):
        return inside()


def _route(inner: Netlink, gateways: Sequence[tuple[str, str]]) -> None:
    for address, name in gateways:
        link = inner.link(name)
        if link is not None:
            inner.add_default_route(address, link.index)


def silence(outers: Sequence[str]) -> None:
    """Stop all traffic of host ends at once, so that their addresses may be given to others before the namespace is gone."""
    with Netlink() as host:
        for outer in outers:
            link = host.link(outer)
            if link is not None:
                try:
                    host.set_port(link.index, disable=True)
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL):
                        raise


def destroy(pin: Path, outers: Sequence[str]) -> None:
    """Delete a namespace and its links; what is absent is fine. Waits for the kernel: behind the answer only."""
    with Netlink() as host:
        for outer in outers:
            host.delete_link(outer)
    unpin(pin)


def ports_of_bridges(bridges: set[str]) -> list[str]:
    """The veth links that are ports of these bridges."""
    with Netlink() as host:
        links = host.links()
    indices = {link.index for link in links if link.name in bridges}
    return [link.name for link in links if link.kind == "veth" and link.master in indices]


def address_of(name: str) -> str:
    """The first IPv4 address of a link, as `address/prefix`, or ""."""
    with Netlink() as host:
        link = host.link(name)
        found = [one for one in host.addresses(link.index) if not ipaddress.ip_address(one[1]).is_link_local] if link else []
    return f"{found[0][1]}/{found[0][2]}" if found else ""
