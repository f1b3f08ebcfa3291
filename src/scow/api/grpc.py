"""A gRPC server that refuses every call with one sentence.

buildx asks for `/grpc` to learn whether the engine builds images; without it, it tries to start a builder in a container of its own and
fails over the pull of that image. Just enough HTTP/2 to answer: what the client's headers say is never looked at.
"""

import asyncio
import socket
import struct
import urllib.parse

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 4, 6, 7, 9
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_UNIMPLEMENTED = "12"
_MAX_FRAME = 1 << 14
_MAX_FRAMES = 10_000
_IDLE_SECONDS = 120.0


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: str) -> bytes:
    """A string of a header block, not compressed."""
    data = value.encode()
    size = len(data)
    if size < 127:
        return bytes([size]) + data
    out = bytearray([127])
    size -= 127
    while size >= 128:
        out.append(size % 128 + 128)
        size //= 128
    out.append(size)
    return bytes(out) + data


def refusal(sentence: str) -> bytes:
    """The header block of an answer without a body: gRPC's status "unimplemented"."""
    message = urllib.parse.quote(sentence, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
    fields = {"content-type": "application/grpc", "grpc-status": _UNIMPLEMENTED, "grpc-message": message}
    return b"\x88" + b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


class Refuser:
    """The server's side of one connection, without I/O."""

    def __init__(self, sentence: str) -> None:
        self._answer = refusal(sentence)
        self._buffer = b""
        self._begun = False
        self._frames = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take what the client sent; what to send back. `ended` when the connection is over."""
        self._buffer += data
        out = b""
        if not self._begun:
            if len(self._buffer) < len(_PREFACE):
                self.ended = not _PREFACE.startswith(self._buffer)
                return b""
            if not self._buffer.startswith(_PREFACE):
                self.ended = True
                return b""
            self._begun = True
            self._buffer = self._buffer[len(_PREFACE) :]
            out = frame(_SETTINGS)
        while len(self._buffer) >= 9 and not self.ended:
            size = int.from_bytes(self._buffer[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
            self._frames += 1
            if size > _MAX_FRAME or self._frames > _MAX_FRAMES:
                self.ended = True
                break
            if len(self._buffer) < 9 + size:
                break
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            out += self._frame(kind, flags, stream & 0x7FFFFFFF, payload)
        return out

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            return frame(_SETTINGS, _ACK)
        if kind == _PING and not flags & _ACK and len(payload) == 8:
            return frame(_PING, _ACK, 0, payload)
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS and stream % 2:
            return frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, self._answer)
        if kind == _GOAWAY:
            self.ended = True
        return b""


async def serve(sock: socket.socket, early: bytes, sentence: str) -> None:
    """Refuse every call on `sock` (non-blocking; closed at the end) until the client leaves."""
    loop = asyncio.get_running_loop()
    refuser = Refuser(sentence)
    try:
        data = early
        while True:
            answer = refuser.feed(data) if data else b""
            async with asyncio.timeout(_IDLE_SECONDS):
                if answer:
                    await loop.sock_sendall(sock, answer)
                if refuser.ended:
                    return
                data = await loop.sock_recv(sock, 1 << 16)
            if not data:
                return
    except (OSError, TimeoutError):
        return
    finally:
        sock.close()
