"""A small rtnetlink: links (bridge, veth, macvlan, ipvlan, VXLAN, VLAN, dummy), addresses and routes of the namespace it was opened in.

Synchronous; a `Netlink` belongs to the namespace of the thread that made it and stays there. Called by `network` in pool threads.
"""

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
_REQUEST, _ACK, DUMP = 1, 4, 0x300
REPLACE, _EXCL, CREATE = 0x100, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_AF_BRIDGE = 7
_IFF_UP = 1

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_PROTINFO = 1, 3, 4, 5, 10, 12
IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_EXT_MASK = 18, 28, 29
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}
_PORT_STATE, _PORT_HAIRPIN, _PORT_FLUSH, _PORT_ISOLATED = 1, 4, 24, 33
_RECEIVE = 1 << 18
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as the kernel lists it."""

    index: int
    name: str
    kind: str
    master: int
    up: bool
    mac: str
    mtu: int


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One netlink attribute, padded: text gets its final zero, an int is 32 bits."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("=I", value)
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by number (flags stripped); a broken tail is ignored."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + size]
        at += size + (-size % 4)
    return found


def mac_bytes(mac: str) -> bytes:
    """`02:42:ac:11:00:02` as six bytes."""
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def _linkinfo(index: int = 0, up: bool | None = None, family: int = 0) -> bytes:
    flags = _IFF_UP if up else 0
    return struct.pack("=BxHiII", family, 0, index, flags, 0 if up is None else _IFF_UP)


class Netlink:
    """A route socket: methods raise OSError with the kernel's errno."""

    def __init__(self, protocol: int = 0) -> None:
        """`protocol`: another family than NETLINK_ROUTE."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        self._sequence += 1
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST, self._sequence, 0) + body)
        while True:
            data = self._socket.recv(_RECEIVE)
            at = 0
            while at + 16 <= len(data):
                size, reply, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
                payload = data[at + 16 : at + size]
                at += max(size + (-size % 4), 16)
                if sequence != self._sequence:
                    continue
                if reply == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return
                if reply == _DONE:
                    return
                yield reply, payload

    def _do(self, kind: int, flags: int, body: bytes) -> None:
        for _ in self._ask(kind, flags | _ACK, body):
            pass

    # --- links

    def links(self) -> list[Link]:
        """Every interface of the namespace."""
        return [self._link(body) for _, body in self._ask(RTM_GETLINK, DUMP, _linkinfo() + attribute(IFLA_EXT_MASK, 8))]

    def link(self, name: str) -> Link | None:
        """The interface called `name`, or None."""
        try:
            for kind, body in self._ask(RTM_GETLINK, _ACK, _linkinfo() + attribute(IFLA_IFNAME, name)):
                if kind == RTM_NEWLINK:
                    found = self._link(body)
        except OSError:
            return None
        return found

    @staticmethod
    def _link(body: bytes) -> Link:
        index, flags = struct.unpack_from("=4xiI", body)
        parts = attributes(body[16:])
        info = attributes(parts.get(IFLA_LINKINFO, b""))
        return Link(
            index,
            parts[IFLA_IFNAME].rstrip(b"\0").decode(errors="replace"),
            info.get(_INFO_KIND, b"").rstrip(b"\0").decode(errors="replace"),
            int.from_bytes(parts.get(IFLA_MASTER, b""), "little"),
            bool(flags & _IFF_UP),
            parts.get(IFLA_ADDRESS, b"").hex(":"),
            int.from_bytes(parts.get(IFLA_MTU, b""), "little"),
        )

    def add_bridge(self, name: str, mac: str, mtu: int = 0) -> None:
        """Make a bridge with a fixed address, up."""
        body = _linkinfo(up=True) + attribute(IFLA_IFNAME, name) + attribute(IFLA_ADDRESS, mac_bytes(mac))
        if mtu:
            body += attribute(IFLA_MTU, mtu)
        self._do(RTM_NEWLINK, CREATE | _EXCL, body + nested(IFLA_LINKINFO, attribute(_INFO_KIND, "bridge")))

    def add_veth(self, name: str, peer: str, *, peer_netns: int, peer_mac: str, master: int, mtu: int = 0) -> None:
        """Make a veth pair: `name`, up, a port of the bridge `master`; `peer`, down, inside the namespace of descriptor `peer_netns`."""
        size = attribute(IFLA_MTU, mtu) if mtu else b""
        # the peer cannot be up yet: the kernel opens it before the pair is tied
        inner = _linkinfo() + attribute(IFLA_IFNAME, peer) + attribute(IFLA_ADDRESS, mac_bytes(peer_mac)) + size
        inner += attribute(IFLA_NET_NS_FD, peer_netns)
        info = nested(IFLA_LINKINFO, attribute(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_PEER, inner)))
        self._do(
            RTM_NEWLINK, CREATE | _EXCL, _linkinfo(up=True) + attribute(IFLA_IFNAME, name) + size + attribute(IFLA_MASTER, master) + info
        )

    def add_pair(self, name: str, peer: str) -> None:
        """Make a veth pair here; both ends down."""
        info = nested(
            IFLA_LINKINFO,
            attribute(_INFO_KIND, "veth"),
            nested(_INFO_DATA, attribute(_VETH_PEER, _linkinfo() + attribute(IFLA_IFNAME, peer))),
        )
        self._do(RTM_NEWLINK, CREATE | _EXCL, _linkinfo() + attribute(IFLA_IFNAME, name) + info)

    def add_dummy(self, name: str) -> None:
        """Make a dummy link; EOPNOTSUPP where the kernel has none."""
        self._do(
            RTM_NEWLINK, CREATE | _EXCL, _linkinfo() + attribute(IFLA_IFNAME, name) + nested(IFLA_LINKINFO, attribute(_INFO_KIND, "dummy"))
        )

    def add_wireguard(self, name: str, mtu: int) -> None:
        """Make a WireGuard link, down; EOPNOTSUPP where the kernel has none."""
        body = _linkinfo() + attribute(IFLA_IFNAME, name) + attribute(IFLA_MTU, mtu)
        self._do(RTM_NEWLINK, CREATE | _EXCL, body + nested(IFLA_LINKINFO, attribute(_INFO_KIND, "wireguard")))

    def add_vlan(self, name: str, parent: int, number: int) -> None:
        """Make the link of a VLAN on a parent; EOPNOTSUPP where the kernel has no VLANs."""
        info = nested(IFLA_LINKINFO, attribute(_INFO_KIND, "vlan"), nested(_INFO_DATA, attribute(1, struct.pack("=H", number))))
        self._do(RTM_NEWLINK, CREATE | _EXCL, _linkinfo() + attribute(IFLA_IFNAME, name) + attribute(IFLA_LINK, parent) + info)

    def add_vxlan(self, name: str, number: int, port: int, local: str = "", mtu: int = 0) -> None:
        """Make a VXLAN link, down: nothing is learnt, static entries answer for neighbours. `local` "::": any, of IPv6.
        EOPNOTSUPP where the kernel has none."""
        data = attribute(1, number) + attribute(7, b"\0") + attribute(11, b"\1") + attribute(15, struct.pack("!H", port))
        if local == "::":
            data += attribute(16, bytes(16))  # the group's family makes the link one of IPv6
        elif local:
            data += attribute(17 if ":" in local else 4, ipaddress.ip_address(local).packed)
        body = _linkinfo() + attribute(IFLA_IFNAME, name) + (attribute(IFLA_MTU, mtu) if mtu else b"")
        self._do(RTM_NEWLINK, CREATE | _EXCL, body + nested(IFLA_LINKINFO, attribute(_INFO_KIND, "vxlan"), nested(_INFO_DATA, data)))

    def vxlan(self, name: str) -> tuple[int, int, str] | None:
        """(number, port, own address) of a VXLAN link, None where there is none."""
        try:
            for kind, body in self._ask(RTM_GETLINK, _ACK, _linkinfo() + attribute(IFLA_IFNAME, name)):
                if kind == RTM_NEWLINK:
                    data = attributes(attributes(attributes(body[16:]).get(IFLA_LINKINFO, b"")).get(_INFO_DATA, b""))
                    local = data.get(4) or data.get(17) or b""
                    own = str(ipaddress.ip_address(local)) if any(local) else ""
                    return int.from_bytes(data.get(1, b""), "little"), int.from_bytes(data.get(15, b""), "big"), own
        except OSError:
            pass
        return None

    def add_stacked(
        self, kind: str, name: str, parent: int, mode: str, *, flag: str = "", mac: str = "", mtu: int = 0, netns: int = -1
    ) -> None:
        """Make a macvlan or ipvlan link, down, on the link `parent`; in the namespace of descriptor `netns` if given."""
        if kind == "macvlan":
            data = attribute(1, _MACVLAN_MODES[mode])
        else:
            data = attribute(1, struct.pack("=H", _IPVLAN_MODES[mode])) + attribute(2, struct.pack("=H", _IPVLAN_FLAGS[flag or "bridge"]))
        body = _linkinfo() + attribute(IFLA_IFNAME, name) + attribute(IFLA_LINK, parent)
        if mac:
            body += attribute(IFLA_ADDRESS, mac_bytes(mac))
        if mtu:
            body += attribute(IFLA_MTU, mtu)
        if netns >= 0:
            body += attribute(IFLA_NET_NS_FD, netns)
        self._do(RTM_NEWLINK, CREATE | _EXCL, body + nested(IFLA_LINKINFO, attribute(_INFO_KIND, kind), nested(_INFO_DATA, data)))

    def set_master(self, index: int, master: int) -> None:
        """Make an interface a port of a bridge (0 = of none)."""
        self._do(RTM_NEWLINK, 0, _linkinfo(index) + attribute(IFLA_MASTER, master))

    def set_link(self, index: int, *, up: bool | None = None, mtu: int = 0, name: str = "", mac: str = "") -> None:
        """Change an interface."""
        body = _linkinfo(index, up)
        if mac:
            body += attribute(IFLA_ADDRESS, mac_bytes(mac))
        if mtu:
            body += attribute(IFLA_MTU, mtu)
        if name:
            body += attribute(IFLA_IFNAME, name)
        self._do(RTM_NEWLINK, 0, body)

    def set_port(self, index: int, *, isolated: bool | None = None, hairpin: bool | None = None, disable: bool = False) -> None:
        """Change a bridge port; `disable` stops all its traffic at once and forgets the addresses learnt there."""
        parts = []
        if isolated is not None:
            parts.append(attribute(_PORT_ISOLATED, bytes([isolated])))
        if hairpin is not None:
            parts.append(attribute(_PORT_HAIRPIN, bytes([hairpin])))
        if disable:
            parts += [attribute(_PORT_STATE, b"\0"), attribute(_PORT_FLUSH, b"")]
        self._do(RTM_SETLINK, 0, _linkinfo(index, family=_AF_BRIDGE) + nested(IFLA_PROTINFO, *parts))

    def delete_link(self, name: str) -> bool:
        """Delete an interface (waits for the kernel's readers: never on the path of an answer); False if there was none."""
        with contextlib.suppress(OSError):
            self._do(RTM_DELLINK, 0, _linkinfo() + attribute(IFLA_IFNAME, name))
            return True
        return False

    # --- addresses and routes

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give an interface an address; already there is fine."""
        ip = ipaddress.ip_address(address)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        flags = 0 if ip.version == 4 else 0x02  # IFA_F_NODAD: addresses are ours, nobody else can hold them
        body = struct.pack("=BBBBi", family, prefix, flags, 0, index) + attribute(1, ip.packed) + attribute(2, ip.packed)
        if isinstance(ip, ipaddress.IPv4Address) and prefix < 31:
            body += attribute(4, ipaddress.ip_network((ip, prefix), strict=False).broadcast_address.packed)
        self._do(RTM_NEWADDR, CREATE | REPLACE, body)

    def delete_address(self, index: int, address: str, prefix: int) -> None:
        """Take an address away."""
        ip = ipaddress.ip_address(address)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        self._do(RTM_DELADDR, 0, struct.pack("=BBBBi", family, prefix, 0, 0, index) + attribute(2, ip.packed))

    def addresses(self, index: int = 0, family: int = socket.AF_INET) -> list[tuple[int, str, int]]:
        """(interface, address, prefix length) of all, or of one interface."""
        found = []
        for _, body in self._ask(RTM_GETADDR, DUMP, struct.pack("=BBBBi", family, 0, 0, 0, 0)):
            prefix, at = struct.unpack_from("=xBxxi", body)
            parts = attributes(body[8:])
            packed = parts.get(2) or parts.get(1)
            if packed and (not index or index == at) and body[0] == family:
                found.append((at, str(ipaddress.ip_address(packed)), prefix))
        return found

    def add_default_route(self, gateway: str, index: int) -> None:
        """Send everything without a better route to `gateway`, in place of an earlier default."""
        self._do(RTM_NEWROUTE, CREATE | REPLACE, self._default(gateway) + attribute(4, index))

    def set_route(self, destination: str, index: int, source: str) -> None:
        """Send what goes to `destination` (an IPv6 network) through an interface, from `source`, in place of an earlier route there."""
        net = ipaddress.ip_network(destination)
        head = struct.pack("=BBBBBBBBI", socket.AF_INET6, net.prefixlen, 0, 0, 254, 3, 0, 1, 0)
        parts = attribute(1, net.network_address.packed) + attribute(4, index) + attribute(7, ipaddress.ip_address(source).packed)
        self._do(RTM_NEWROUTE, CREATE | REPLACE, head + parts)

    @staticmethod
    def _default(gateway: str) -> bytes:
        ip = ipaddress.ip_address(gateway)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        # main table, set up at boot ("boot" protocol), universe, unicast
        return struct.pack("=BBBBBBBBI", family, 0, 0, 0, 254, 3, 0, 1, 0) + attribute(5, ip.packed)

    def routes(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Destinations of the routes in the main table, without default, link-local and multicast routes."""
        found: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            for _, body in self._ask(RTM_GETROUTE, DUMP, struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)):
                prefix, table = struct.unpack_from("=xBxxB", body)
                packed = attributes(body[12:]).get(1)
                if table == 254 and packed and prefix:
                    network = ipaddress.ip_network((packed, prefix), strict=False)
                    if not (network.is_link_local or network.is_multicast) or network.version == 4:
                        found.append(network)
        return found
