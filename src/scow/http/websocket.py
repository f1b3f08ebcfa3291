"""RFC 6455 for the attach door: the handshake, and a bridge between messages and a plain byte stream.

What the client sends (text or binary) becomes bytes on the stream; what the stream says goes out as binary messages.
"""

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from scow.http import hijack
from scow.http.head import BadRequest, Head

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_MESSAGE = 1 << 20
_CHUNK = 32 << 10
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_NORMAL, _PROTOCOL_ERROR = 1000, 1002
_CLOSE_SECONDS = 5.0


def accept_head(head: Head) -> bytes:
    """The 101 reply to a WebSocket request. Raises BadRequest."""
    key = head.headers.get("sec-websocket-key", "")
    if head.upgrade != "websocket" or head.headers.get("sec-websocket-version", "13") != "13" or not key or len(key) > 128:
        raise BadRequest("not a WebSocket request")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    text = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    wanted = [part.strip() for part in head.headers.get("sec-websocket-protocol", "").split(",") if part.strip()]
    if wanted:
        text += f"Sec-WebSocket-Protocol: {wanted[0]}\r\n"
    return (text + "\r\n").encode()


def frame(kind: int, payload: bytes) -> bytes:
    """One unmasked, final frame."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB", 0x80 | kind, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", 0x80 | kind, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | kind, 127, size) + payload


def unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload with its mask taken off (or put on)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def next_frame(buffer: bytes) -> tuple[int, bytes, int] | None:
    """(kind, payload, bytes used) of the first whole client frame. Raises BadRequest on a broken one."""
    if len(buffer) < 2:
        return None
    first, second = buffer[0], buffer[1]
    if first & 0x70 or not second & 0x80:
        raise BadRequest("malformed WebSocket frame")
    size, at = second & 0x7F, 2
    if size == 126:
        if len(buffer) < 4:
            return None
        size, at = struct.unpack_from(">H", buffer, 2)[0], 4
    elif size == 127:
        if len(buffer) < 10:
            return None
        size, at = struct.unpack_from(">Q", buffer, 2)[0], 10
    if size > _MAX_MESSAGE:
        raise BadRequest("too large a WebSocket frame")
    if len(buffer) < at + 4 + size:
        return None
    return first & 0x0F, unmask(buffer[at + 4 : at + 4 + size], buffer[at : at + 4]), at + 4 + size


def bridge(sock: socket.socket, early: bytes, start: Callable[[Any, str], Any]) -> socket.socket:
    """A plain socket that speaks for the WebSocket on `sock`; the bridge closes `sock`."""
    outer, inner = hijack.pair()
    start(_Bridge(sock, inner).run(early), "websocket")
    return outer


class _Bridge:
    """Moves bytes between a WebSocket and a plain socket until either side is done; closes both."""

    def __init__(self, sock: socket.socket, inner: socket.socket) -> None:
        self._sock = sock
        self._inner = inner
        self._sending = asyncio.Lock()

    async def run(self, early: bytes) -> None:
        outgoing = asyncio.get_running_loop().create_task(self._outgoing())
        try:
            code = await self._incoming(early)
            if code and not outgoing.done():
                # a WebSocket has no half-close: a client that says Close takes nothing any more
                outgoing.cancel()
                await asyncio.gather(outgoing, return_exceptions=True)
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(self._send(_CLOSE, struct.pack(">H", code)), _CLOSE_SECONDS)
        finally:
            outgoing.cancel()
            await asyncio.gather(outgoing, return_exceptions=True)
            self._inner.close()
            self._sock.close()

    async def _send(self, kind: int, payload: bytes) -> None:
        async with self._sending:
            await asyncio.get_running_loop().sock_sendall(self._sock, frame(kind, payload))

    async def _outgoing(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._inner, _CHUNK):
                await self._send(_BINARY, data)
            await self._send(_CLOSE, struct.pack(">H", _NORMAL))
        for sock in (self._sock, self._inner):  # wakes the other direction
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    async def _incoming(self, early: bytes) -> int:
        """Messages to bytes until the client is done; the code to say goodbye with, 0 when the client is gone."""
        loop = asyncio.get_running_loop()
        buffer = early
        try:
            while True:
                while (found := next_frame(buffer)) is not None:
                    kind, payload, used = found
                    buffer = buffer[used:]
                    if kind == _CLOSE:
                        return _NORMAL
                    if kind == _PING:
                        await self._send(_PONG, payload[:125])
                    elif kind in (0, _TEXT, _BINARY) and payload:
                        with contextlib.suppress(OSError):  # a program that takes no input may have output still
                            await loop.sock_sendall(self._inner, payload)
                data = await loop.sock_recv(self._sock, _CHUNK)
                if not data:
                    return 0
                buffer += data
        except BadRequest:
            return _PROTOCOL_ERROR
        except OSError:
            return 0
