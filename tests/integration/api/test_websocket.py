"""Attach through a WebSocket: both directions, the end of the container, the goodbye of the client."""

import os
import socket
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, can_run, engines, until
from tests.support.websocket import client_frame

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield from engines()


class Ws:
    """A WebSocket client of one attach."""

    def __init__(self, engine: Engine, ref: str, query: str = "stream=1&stdin=1&stdout=1&stderr=1") -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(engine.socket)
        head = f"GET /v1.43/containers/{ref}/attach/ws?{query} HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.sock.sendall(head.encode() + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self._buffer = b""
        self.head = self._until(b"\r\n\r\n")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            piece = self.sock.recv(65536)
            assert piece, self._buffer
            self._buffer += piece
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def send(self, kind: int, data: bytes = b"") -> None:
        self.sock.sendall(client_frame(kind, data))

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Whole, short frames until the end of the connection."""
        while True:
            if len(self._buffer) >= 2 and len(self._buffer) >= 2 + self._buffer[1]:
                size = self._buffer[1]
                assert size < 126
                kind, data = self._buffer[0] & 15, self._buffer[2 : 2 + size]
                self._buffer = self._buffer[2 + size :]
                yield kind, data
                continue
            piece = self.sock.recv(65536)
            if not piece:
                return
            self._buffer += piece

    def read(self, size: int) -> bytes:
        out = b""
        for kind, data in self.frames():
            assert kind == _BINARY
            out += data
            if len(out) >= size:
                break
        return out


def test_echo_ping_and_the_end_of_the_container(engine: Engine) -> None:
    container = engine.container("sh", "-c", "read a; echo got $a; read b; echo bye", OpenStdin=True, StdinOnce=True)
    ws = Ws(engine, container)
    assert b"101 Switching" in ws.head
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in ws.head
    ws.send(_TEXT, b"one\n")
    assert ws.read(8) == b"got one\n"
    ws.send(_PING, b"hello")
    assert next(ws.frames()) == (_PONG, b"hello")
    ws.send(_BINARY, b"two\n")
    rest = list(ws.frames())
    assert b"".join(data for kind, data in rest if kind == _BINARY) == b"bye\n"
    assert rest[-1] == (_CLOSE, b"\x03\xe8")
    assert engine.wait(container) == 0


def test_goodbye_of_the_client_is_answered_and_leaves_nothing(engine: Engine) -> None:
    container = engine.container("sleep", "1000", OpenStdin=True)

    def open_files() -> tuple[int, int]:
        return len(os.listdir(f"/proc/{engine.pid}/fd")), len(os.listdir(f"/proc/{engine.keeper_pid}/fd"))

    engine.api("GET", "/_ping")
    before = open_files()
    polite, broken, gone = (Ws(engine, container) for _ in range(3))
    polite.send(_CLOSE, b"\x03\xe8")
    assert list(polite.frames()) == [(_CLOSE, b"\x03\xe8")]
    broken.sock.sendall(b"\x82\x01x")  # not masked
    assert list(broken.frames()) == [(_CLOSE, b"\x03\xea")]
    for ws in (polite, broken, gone):
        ws.sock.close()
    until(lambda: all(now <= then for now, then in zip(open_files(), before, strict=True)), what=f"open files as before ({before})")
    assert engine.inspect(container)["State"]["Running"]


def test_a_plain_request_is_refused(engine: Engine) -> None:
    container = engine.container()
    reply = engine.api("GET", f"/containers/{container}/attach/ws?stream=1")
    assert reply.status == 400
    assert engine.api("GET", "/containers/nowhere/attach/ws?stream=1").status == 404
