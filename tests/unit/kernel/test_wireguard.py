"""Messages to the kernel's WireGuard, as a kernel with it understands them; this one's may have none."""

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from scow.kernel import wireguard
from scow.kernel.netlink import attribute, attributes, nested
from scow.kernel.wireguard import WireGuard, WireGuardPeer

KEY, OTHER = b"\1" * 32, b"\2" * 32


class Kernel:
    """A kernel with WireGuard: answers at the other end of a socket pair."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[list[bytes]]) -> None:
        self.said: list[tuple[int, int, bytes]] = []
        self._answers = answers

        def ask(_: Any, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
            self.said.append((kind, flags, body))
            for answer in self._answers.pop(0) if self._answers else []:
                yield kind, answer

        monkeypatch.setattr(WireGuard, "_ask", ask)


FAMILY = struct.pack("=BBH", 1, 2, 0) + attribute(1, struct.pack("=H", 31)) + attribute(2, "wireguard")


def test_a_link_gets_key_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, [[FAMILY]])
    with WireGuard() as device:
        device.configure("swg-x", KEY, 51820)
    kind, _, body = kernel.said[1]
    found = attributes(body[4:])
    assert (kind, body[0], body[1]) == (31, 1, 1)
    assert found == {2: b"swg-x\0", 3: KEY, 6: struct.pack("=H", 51820)}


def test_peers_are_added_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, [[FAMILY]])
    with WireGuard() as device:
        device.change_peers("swg-x", [WireGuardPeer(KEY, "192.0.2.1", 51820, "fd53::1")], [OTHER], 25)
    rows = wireguard._rows(attributes(kernel.said[1][2][4:])[8])
    gone, fresh = attributes(rows[0]), attributes(rows[1])
    assert gone == {1: OTHER, 3: struct.pack("=I", 1)}
    assert fresh[1] == KEY and fresh[3] == struct.pack("=I", 2) and fresh[5] == struct.pack("=H", 25)
    assert fresh[4] == struct.pack("=H", socket.AF_INET) + struct.pack("!H", 51820) + bytes([192, 0, 2, 1]) + bytes(8)
    allowed = attributes(wireguard._rows(fresh[9])[0])
    assert allowed == {1: struct.pack("=H", socket.AF_INET6), 2: socket.inet_pton(socket.AF_INET6, "fd53::1"), 3: b"\x80"}


def test_many_peers_are_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, [[FAMILY]])
    peers = [WireGuardPeer(os.urandom(32), "2001:db8::1", 51820, "fd53::1") for _ in range(250)]
    with WireGuard() as device:
        device.change_peers("swg-x", peers, [], 25)
    parts = [wireguard._rows(attributes(body[4:])[8]) for _, _, body in kernel.said[1:]]
    assert [len(part) for part in parts] == [100, 100, 50]
    assert all(len(body) < 1 << 15 for _, _, body in kernel.said)


def test_peers_are_read_from_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(public: bytes) -> bytes:
        return struct.pack("=BBH", 0, 1, 0) + attribute(2, "swg-x") + nested(8, nested(0, attribute(1, public)))

    Kernel(monkeypatch, [[FAMILY], [message(KEY), message(OTHER)]])
    with WireGuard() as device:
        assert device.peers("swg-x") == {KEY, OTHER}


def test_a_kernel_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: Any) -> Iterator[tuple[int, bytes]]:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(WireGuard, "_ask", ask)
    assert not wireguard.available()
