"""Hearing from the kernel what others do to links, addresses and nft tables of the daemon's network namespace.

Stored nowhere; `network.repair` owns the sockets and asks `drain` for what happened. Bounded: what overflows the sockets' buffers is
reported as "look at everything".
"""

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from scow.kernel.netlink import IFLA_IFNAME, RTM_DELADDR, RTM_DELLINK, RTM_NEWLINK, attributes

_NETFILTER = 12
_LINKS, _ADDRESSES4, _ADDRESSES6 = 1, 0x10, 0x100
_SOL_NETLINK, _ADD_MEMBERSHIP, _NFT_GROUP = 270, 1, 7
_NFT = 10 << 8
_NFT_DELETES = frozenset(_NFT | number for number in (2, 5, 8, 11, 14))  # table, chain, rule, set, element
_NFT_GENERATION = _NFT | 15
_UP = 1
_RCVBUF_FORCE = 33
_BUFFER = 1 << 22
_RECEIVE = 1 << 18
_MOST_DATAGRAMS = 4096
_INITIAL_PIDS = "pid:[4026531836]"


@dataclass(slots=True)
class Happened:
    """What was heard: names of links that went, went down or lost an address; whether elements of our nft table were deleted."""

    links: set[str] = field(default_factory=set)
    table: bool = False
    lost: bool = False  # messages were lost: anything may have happened


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (type, payload) of the netlink messages in a datagram; a broken tail is ignored."""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if size < 16:
            return
        yield kind, data[at + 16 : at + size]
        at += size + (-size % 4)


class Monitor:
    """Two subscribed sockets, not blocking. Raises OSError where the kernel refuses."""

    def __init__(self, table: str) -> None:
        self._table = table.encode()
        self._pending = False
        self.route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        self.nft = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETFILTER)
        try:
            for one in (self.route, self.nft):
                one.setsockopt(socket.SOL_SOCKET, _RCVBUF_FORCE, _BUFFER)
            self.route.bind((0, _LINKS | _ADDRESSES4 | _ADDRESSES6))
            self.nft.bind((0, 0))
            self.nft.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFT_GROUP)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the subscription."""
        self.route.close()
        self.nft.close()

    def drain(self, links: Collection[str]) -> Happened:
        """Everything that came in since the last call, as far as it concerns these links and the table."""
        happened = Happened()
        for data in self._datagrams(self.route, happened):
            for kind, body in messages(data):
                if (name := _lost_link(kind, body)) in links:
                    happened.links.add(name)
        for data in self._datagrams(self.nft, happened):
            for kind, body in messages(data):
                if kind in _NFT_DELETES:
                    self._pending = self._pending or attributes(body[4:]).get(1, b"").rstrip(b"\0") == self._table
                elif kind == _NFT_GENERATION:
                    # the end of a transaction names who made it
                    if self._pending and not _own(attributes(body[4:])):
                        happened.table = True
                    self._pending = False
        return happened

    @staticmethod
    def _datagrams(source: socket.socket, happened: Happened) -> Iterator[bytes]:
        for _ in range(_MOST_DATAGRAMS):
            try:
                yield source.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError:
                happened.lost = True
        happened.lost = True


def _lost_link(kind: int, body: bytes) -> str:
    if kind in (RTM_DELLINK, RTM_NEWLINK) and len(body) >= 16:
        family, flags = body[0], struct.unpack_from("=8xI", body)[0]
        if family == socket.AF_UNSPEC and (kind == RTM_DELLINK or not flags & _UP):
            return attributes(body[16:]).get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    if kind == RTM_DELADDR and len(body) >= 8:
        with contextlib.suppress(OSError):
            return socket.if_indextoname(struct.unpack_from("=4xi", body)[0])
    return ""


def _own(parts: dict[int, bytes]) -> bool:
    """Whether a thread of this process made the transaction."""
    thread = int.from_bytes(parts.get(2, b""), "big")
    with contextlib.suppress(OSError):
        if os.readlink("/proc/self/ns/pid") != _INITIAL_PIDS:
            # the kernel tells another namespace's number: go by the name, which the threads have of the process
            with open("/proc/self/comm", "rb") as file:
                return parts.get(3, b"").rstrip(b"\0") == file.read().strip()
    return os.path.exists(f"/proc/self/task/{thread}")
