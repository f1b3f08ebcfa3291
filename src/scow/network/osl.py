"""The operating system side of networks: bridges, sandboxes (namespaces with interfaces and routes). Synchronous, for the pool.

Names come from ids: a bridge is the network's `link`, a veth's host end `veth` + 10 digits of its endpoint id, a pin is
run/netns/<sandbox id>.
"""

import contextlib
import errno
import ipaddress
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scow.errors import Forbidden, Internal
from scow.kernel.namespaces import in_netns, new_netns, unpin
from scow.kernel.netlink import Netlink
from scow.network.network import Network

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


def veth_name(endpoint_id: str) -> str:
    """The host end's name."""
    return f"veth{endpoint_id[:10]}"


def mac_of(address: str) -> str:
    """The MAC address that goes with an IPv4 address: the same address always has the same, so no cached neighbour is ever stale."""
    return "02:42:" + ipaddress.IPv4Address(address).packed.hex(":")


def sysctl(name: str, value: str) -> bool:
    """Write /proc/sys/net/<name> of the thread's namespace; False if the kernel refuses."""
    with contextlib.suppress(OSError):
        (_SYSCTL / name).write_text(value)
        return True
    return False


def host_subnets() -> list[ipaddress.IPv4Network]:
    """The subnets the host has routes to."""
    with Netlink() as netlink:
        return netlink.routes()


def ensure_bridge(network: Network) -> None:
    """Make the bridge of a network as it is stored, or bring an existing one into that state.

    Raises Forbidden when the name belongs to another kind of link."""
    pool = network.pools[0]
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
            sysctl(f"ipv6/conf/{network.link}/disable_ipv6", "1")
        elif link.kind != "bridge":
            raise Forbidden(f"cannot use {network.link} as the bridge of network {network.name}: it is a link of another kind")
        wanted = (pool.gateway, pool.network.prefixlen)
        present = [(address, prefix) for _, address, prefix in netlink.addresses(link.index)]
        for address, prefix in present:
            if (address, prefix) != wanted:
                with contextlib.suppress(OSError):
                    netlink.delete_address(link.index, address, prefix)
        if pool.gateway and wanted not in present:
            netlink.add_address(link.index, *wanted)
        if not link.up:
            netlink.set_link(link.index, up=True)
    sysctl(f"ipv4/conf/{network.link}/route_localnet", "1")


def remove_link(name: str) -> None:
    """Delete a link; absent is fine."""
    with Netlink() as netlink:
        netlink.delete_link(name)


def forward() -> None:
    """Let the host route IPv4 packets."""
    sysctl("ipv4/ip_forward", "1")


def _plug(host: Netlink, inner: Netlink, interface: Interface) -> None:
    bridge = host.link(interface.bridge)
    if bridge is None:
        raise Internal(f"bridge {interface.bridge} is missing: restart the daemon to have it made again")
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # without an IPv6 address of its own a container gets no link-local one either, nor the traffic that comes with it
        sysctl("ipv6/conf/default/disable_ipv6", "1")
        host.add_veth(
            interface.outer, interface.inner, peer_netns=here, peer_mac=interface.mac, master=bridge.index, mtu=interface.mtu or bridge.mtu
        )
    finally:
        sysctl("ipv6/conf/default/disable_ipv6", "0")
        os.close(here)
    if (port := host.link(interface.outer)) is not None:
        # where br_netfilter is loaded, a container's call to its own published port is bridged back to where it came from
        host.set_port(port.index, isolated=interface.isolated, hairpin=True)
    link = inner.link(interface.inner)
    if link is None:
        raise Internal(f"interface {interface.inner} vanished while it was made")
    inner.add_address(link.index, interface.address, interface.prefix)
    inner.set_link(link.index, up=True)


def build(pin: Path, interfaces: Sequence[Interface], gateway: tuple[str, str] | None, inside: Callable[[], T]) -> T:
    """Make a namespace pinned at `pin` with a loopback, the interfaces and a default route (address, interface).

    The result is that of `inside`, called in it."""
    with Netlink() as host, new_netns(pin), Netlink() as inner:
        inner.set_link(1, up=True)
        for interface in interfaces:
            _plug(host, inner, interface)
        _route(inner, gateway)
        return inside()


def plug(pin: str | Path, interface: Interface, gateway: tuple[str, str] | None, inside: Callable[[], T]) -> T:
    """Add an interface to a living namespace, and set its default route; the result of `inside`."""
    with Netlink() as host, in_netns(pin), Netlink() as inner:
        _plug(host, inner, interface)
        _route(inner, gateway)
        return inside()


def unplug(pin: str | Path, outer: str, gateway: tuple[str, str] | None) -> None:
    """Delete the interface whose host end is `outer`, and set the default route."""
    with Netlink() as host:
        host.delete_link(outer)
        with in_netns(pin), Netlink() as inner:
            _route(inner, gateway)


def visit(pin: str | Path, inside: Callable[[], T]) -> T:
    """Call `inside` in the namespace at `pin`."""
    with in_netns(pin):
        return inside()


def _route(inner: Netlink, gateway: tuple[str, str] | None) -> None:
    if gateway is None:
        return
    link = inner.link(gateway[1])
    if link is not None:
        inner.add_default_route(gateway[0], link.index)


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
        found = host.addresses(link.index) if link else []
    return f"{found[0][1]}/{found[0][2]}" if found else ""
