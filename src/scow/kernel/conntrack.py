"""Connection tracking: forgetting flows to a port whose translation changed, so that a sender that never pauses finds the new way.

TCP ends by itself; only datagrams keep an old entry alive. Synchronous, called by `network` in pool threads.
"""

import contextlib
import socket
import struct
from collections.abc import Callable, Collection

from scow.kernel.netlink import attribute, attributes

UDP = 17
_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_REQUEST, _DUMP = 1, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_IP, _TUPLE_PROTO = 1, 1, 2
_IP_DST = 2
_PROTO_NUM, _PROTO_DST_PORT = 1, 3
_NESTED = 0x8000
_RECEIVE = 1 << 18
_SECONDS = 5
_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"  # of the namespace of the thread that opens it
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)


def destination(entry: bytes) -> tuple[int, int]:
    """(protocol, destination port) of a tracked flow as its sender sees it; (0, 0) if that can't be read."""
    proto = attributes(attributes(attributes(entry).get(_TUPLE_ORIG, b"")).get(_TUPLE_PROTO, b""))
    number, port = proto.get(_PROTO_NUM, b"\0"), proto.get(_PROTO_DST_PORT, b"\0\0")
    return (number[0], int.from_bytes(port[:2], "big")) if number and len(port) >= 2 else (0, 0)


def _entries(route: socket.socket) -> list[bytes]:
    route.send(struct.pack("=IHHII", 20, _GET, _REQUEST | _DUMP, 1, 0) + _FAMILY)
    found: list[bytes] = []
    while True:
        data = route.recv(_RECEIVE)
        at = 0
        while at + 16 <= len(data):
            size, kind = struct.unpack_from("=IH", data, at)
            if kind in (_ERROR, _DONE):
                return found
            found.append(data[at + 20 : at + size])
            at += max(size + (-size % 4), 16)


def _target(entry: bytes) -> bytes:
    """The destination address of a tracked flow as its sender sees it."""
    return attributes(attributes(attributes(entry).get(_TUPLE_ORIG, b"")).get(_TUPLE_IP, b"")).get(_IP_DST, b"")


def forget_udp(ports: Collection[int]) -> int:
    """Forget every UDP flow to one of the host ports in the thread's namespace; how many. Without connection tracking nothing happens."""
    return _forget(lambda entry: destination(entry)[1] in ports)


def forget_udp_to(addresses: Collection[str]) -> int:
    """Forget every UDP flow to one of the addresses (IPv4, as the sender sees them) in the thread's namespace; how many."""
    packed = {socket.inet_aton(address) for address in addresses if ":" not in address}
    return _forget(lambda entry: _target(entry) in packed)


def _idle() -> bool:
    """Whether the thread's namespace tracks no flow at all: a dump walks through the tables of all namespaces (some 10 ms)."""
    try:
        with open(_COUNT) as file:
            return int(file.read()) == 0
    except (OSError, ValueError):
        return False


def _forget(chosen: Callable[[bytes], bool]) -> int:
    count = 0
    if _idle():
        return 0
    with contextlib.suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as route:
        route.settimeout(_SECONDS)
        route.bind((0, 0))
        for entry in _entries(route):
            if destination(entry)[0] == UDP and chosen(entry):
                body = _FAMILY + attribute(_TUPLE_ORIG | _NESTED, attributes(entry)[_TUPLE_ORIG])
                route.send(struct.pack("=IHHII", 16 + len(body), _DELETE, _REQUEST, 2, 0) + body)
                count += 1
    return count
