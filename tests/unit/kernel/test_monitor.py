import os
import socket
import struct
import threading

import pytest

from scow.kernel import monitor
from scow.kernel.monitor import Happened, Monitor
from scow.kernel.netlink import RTM_DELLINK, RTM_NEWLINK, attribute


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def link(kind: int, name: str, up: bool) -> bytes:
    return message(kind, struct.pack("=BxHiII", 0, 0, 7, 1 if up else 0, 0) + attribute(3, name))


def nft(kind: int, table: str = "", pid: int = 0) -> bytes:
    parts = attribute(1, table) if table else attribute(2, pid.to_bytes(4, "big")) + attribute(3, "nft")
    return message(10 << 8 | kind, struct.pack("=BBH", 1, 0, 0) + parts)


@pytest.fixture
def heard() -> "tuple[Monitor, socket.socket, socket.socket]":
    """A monitor on sockets of the test's own, and their far ends."""
    it = Monitor.__new__(Monitor)
    it._table, it._pending = b"scow", False
    it.route, route = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    it.nft, table = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    it.route.setblocking(False)
    it.nft.setblocking(False)
    return it, route, table


def test_links_that_go_or_go_down(heard: "tuple[Monitor, socket.socket, socket.socket]") -> None:
    it, route, table = heard
    route.send(link(RTM_NEWLINK, "a", up=True) + link(RTM_NEWLINK, "b", up=False) + link(RTM_DELLINK, "c", up=True))
    route.send(link(RTM_DELLINK, "foreign", up=True) + b"\x05\0\0\0broken tail")
    assert it.drain({"a", "b", "c"}) == Happened({"b", "c"})
    assert it.drain({"a", "b", "c"}) == Happened()
    it.close()
    route.close()
    table.close()


def test_only_what_others_delete_of_our_table_counts(
    heard: "tuple[Monitor, socket.socket, socket.socket]", monkeypatch: pytest.MonkeyPatch
) -> None:
    it, route, table = heard
    monkeypatch.setattr(monitor, "_INITIAL_PIDS", os.readlink("/proc/self/ns/pid"))
    foreign = 2**22 + 1
    table.send(nft(2, "scow") + nft(15, pid=threading.get_native_id()))
    assert not it.drain(()).table
    table.send(nft(2, "other") + nft(15, pid=foreign) + nft(0, "scow") + nft(15, pid=foreign))
    assert not it.drain(()).table
    table.send(nft(14, "scow"))
    table.send(nft(15, pid=foreign))
    assert it.drain(()).table
    it.close()
    route.close()
    table.close()
