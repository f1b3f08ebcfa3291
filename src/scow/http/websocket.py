"""RFC 6455 for the attach door: the handshake, and a bridge between messages and a plain byte stream.

What the client sends (text or binary) becomes bytes on the stream; what the stream says goes out as binary messages.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
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
    start(_run(sock, early, inner), "websocket")
    return outer


async def _run(sock: socket.socket, early: bytes, inner: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    incoming = loop.create_task(_incoming(sock, early, inner))
    try:
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(inner, _CHUNK):
                await loop.sock_sendall(sock, frame(_BINARY, data))
            await loop.sock_sendall(sock, frame(_CLOSE, struct.pack(">H", 1000)))
    finally:
        incoming.cancel()
        await asyncio.gather(incoming, return_exceptions=True)
        inner.close()
        sock.close()


async def _incoming(sock: socket.socket, early: bytes, inner: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    buffer = early
    with contextlib.suppress(OSError, BadRequest):
        while True:
            while (found := next_frame(buffer)) is not None:
                kind, payload, used = found
                buffer = buffer[used:]
                if kind == _CLOSE:
                    return await _end(inner)
                if kind == _PING:
                    await loop.sock_sendall(sock, frame(_PONG, payload[:125]))
                elif kind in (0, _TEXT, _BINARY) and payload:
                    await loop.sock_sendall(inner, payload)
            data = await loop.sock_recv(sock, _CHUNK)
            if not data:
                break
            buffer += data
    await _end(inner)


async def _end(inner: socket.socket) -> None:
    with contextlib.suppress(OSError):
        inner.shutdown(socket.SHUT_WR)


def client_frame(kind: int, payload: bytes) -> bytes:
    """A masked frame as a client sends it."""
    mask = os.urandom(4)
    plain = frame(kind, payload)
    head = bytearray(plain[: len(plain) - len(payload)])
    head[1] |= 0x80
    return bytes(head) + mask + unmask(payload, mask)
