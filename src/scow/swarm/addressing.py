"""Which addresses a node listens at and is known by: an address, an interface's name, or the only one that makes sense."""

import ipaddress
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.kernel.netlink import Netlink

DEFAULT_PORT = 2377
_BAD_LISTEN = "listen address must be an IP address or network interface (with optional port number)"
_BAD_ADVERTISE = "advertise address must be a non-zero IP address or network interface (with optional port number)"
_BAD_DATA_PATH = "data path address must be a non-zero IP address or network interface (without a port number)"
_SIOCGIFADDR = 0x8915
_OWN_KINDS = ("bridge", "vxlan")  # networks of containers

InterfaceAddress = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """Where a node listens and what others know it by (both `host:port`), and where its overlay networks send from (no port)."""

    listen: str
    advertise: str
    data_path: str


def of_request(request: Mapping[str, Any]) -> OwnAddresses:
    """What a request to make or join a swarm says of this node. Raises InvalidArgument."""
    listening = listen(str(request.get("ListenAddr") or ""))
    known = advertise(str(request.get("AdvertiseAddr") or ""), listening)
    return OwnAddresses(joined(*listening), joined(*known), data_path(str(request.get("DataPathAddr") or ""), known[0]))


def joined(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(address: str) -> str:
    """The host of `host:port`, without brackets."""
    return address.rpartition(":")[0].strip("[]")


def interface_address(name: str) -> str:
    """The IPv4 address of an interface, "" for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        import fcntl

        try:
            answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def _split(text: str, default: int) -> tuple[str, int]:
    """(host, port). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1], default
    if not colon or (":" in host and not host.startswith("[")):
        return text, default
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(port)
    return host.strip("[]"), number


def _address(host: str, lookup: InterfaceAddress) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return lookup(host) if host and "/" not in host and len(host) < 16 else ""


def listen(text: str, lookup: InterfaceAddress = interface_address) -> tuple[str, int]:
    """(address, port) of ListenAddr. Raises InvalidArgument."""
    try:
        host, port = _split(text or "0.0.0.0", DEFAULT_PORT)
    except ValueError:
        raise InvalidArgument(_BAD_LISTEN) from None
    found = _address(host or "0.0.0.0", lookup)
    if not found:
        raise InvalidArgument(_BAD_LISTEN)
    return found, port


def advertise(text: str, listening: tuple[str, int], lookup: InterfaceAddress = interface_address) -> tuple[str, int]:
    """(address, port) of AdvertiseAddr; without one what is listened at, or this host's one address. Raises InvalidArgument."""
    if text:
        try:
            host, port = _split(text, listening[1])
        except ValueError:
            raise InvalidArgument(_BAD_ADVERTISE) from None
        found = _address(host, lookup)
        if not found or ipaddress.ip_address(found).is_unspecified:
            raise InvalidArgument(_BAD_ADVERTISE)
        return found, port
    if not ipaddress.ip_address(listening[0]).is_unspecified:
        return listening
    return outgoing(), listening[1]


def remote(text: str) -> str:
    """`host:port` of a manager to join, given with or without the port. Raises InvalidArgument."""
    try:
        host, port = _split(text, DEFAULT_PORT)
    except ValueError:
        host = ""
        port = 0
    if not host or len(text) > 300:
        raise InvalidArgument(f"invalid address of a manager: {text[:80]!r}: give HOST or HOST:PORT")
    return joined(host, port)


def data_path(text: str, default: str, lookup: InterfaceAddress = interface_address) -> str:
    """DataPathAddr, without one what is advertised. Raises InvalidArgument."""
    if not text:
        return default
    found = _address(text, lookup)
    if not found or ipaddress.ip_address(found).is_unspecified:
        raise InvalidArgument(_BAD_DATA_PATH)
    return found


def outgoing() -> str:
    """The address that this host would speak to others from, without a way to others its only one. Raises InvalidArgument."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("198.51.100.1", 9))  # a documentation address: nothing is sent
            return str(sock.getsockname()[0])
        except OSError:
            return only(_own())


def only(found: Sequence[tuple[str, str]]) -> str:
    """The one address of (interface, address) rows. Raises InvalidArgument with what docker says of none and of several."""
    if not found:
        raise InvalidArgument("could not find the system's IP address")
    if len(found) > 1:
        (one, first), (two, second) = found[:2]
        where = f"interface {one} ({first} and {second})"
        if one != two:
            where = f"different interfaces ({first} on {one} and {second} on {two})"
        raise InvalidArgument(f"could not choose an IP address to advertise since this system has multiple addresses on {where}")
    return found[0][1]


def _own() -> list[tuple[str, str]]:
    """(interface, address) of this host, without loopback and the engine's own networks. Raises InvalidArgument."""
    try:
        with Netlink() as netlink:
            links = {link.index: link for link in netlink.links() if link.up and link.name != "lo" and link.kind not in _OWN_KINDS}
            rows = [(links[index].name, address) for index, address, _ in netlink.addresses() if index in links]
    except OSError as error:
        raise InvalidArgument(f"could not find the system's IP address: {error.strerror}") from None
    return [row for row in rows if not ipaddress.ip_address(row[1]).is_loopback and not ipaddress.ip_address(row[1]).is_link_local]
