"""Detach keys and clients."""

import socket
from typing import Any

import pytest

from scow.keeper.attach import Client, KeyFilter
from scow.keeper.loop import Loop


@pytest.mark.parametrize(
    ("pieces", "out", "found"),
    [
        ([b"ab\x10\x11cd"], b"ab", True),
        ([b"ab\x10", b"\x11"], b"ab", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"plain"], b"plain", False),
    ],
)
def test_key_filter(pieces: list[bytes], out: bytes, found: bool) -> None:
    keys = KeyFilter(b"\x10\x11")
    results = [keys.feed(piece) for piece in pieces]
    assert b"".join(result[0] for result in results) == out
    assert results[-1][1] is found


def test_slow_client_congests_and_recovers() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    room: list[int] = []
    ignore: dict[str, Any] = {"on_input": lambda *_: True, "on_input_end": lambda *_: None, "on_gone": lambda *_: None}
    client = Client(loop, theirs, streams=(False, True, True), mux=True, keys=b"", on_room=lambda: room.append(1), **ignore)
    for _ in range(20):
        client.feed(b"x" * 100_000, 1)
    assert client.congested
    client.finish()
    data = b""
    ours.setblocking(False)
    while True:
        try:
            chunk = ours.recv(1 << 20)
        except BlockingIOError:
            loop.after(0, lambda: setattr(loop, "stopped", True))
            loop.stopped = False
            loop.run()
            continue
        if not chunk:
            break
        data += chunk
    assert len(data) == 20 * 100_008
    assert room
    ours.close()
    client.close()
