"""Request bodies: exact framing (length or chunks) and a reader with backpressure.

The framer is fed raw bytes and says where the body ends; what lies behind belongs to the next request or to a hijacked stream.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable

from scow.http.head import BadRequest

HIGH_WATER = 256 << 10
_LOW_WATER = 64 << 10
_MAX_LINE = 4096
_MAX_TRAILERS = 16 << 10
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(?:;[^\r\n]*)?\Z")


class BodyBroken(Exception):
    """The client left, or broke the framing, before the body was whole."""


class BodyTooLarge(Exception):
    """The body is longer than the caller reads into memory."""


class LengthFramer:
    """A body of known length."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    @property
    def left(self) -> int:
        """Bytes that have not come yet."""
        return self._left

    def advance(self, count: int) -> None:
        """So many of them were read past the framer."""
        self._left -= count
        self.done = self._left == 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """(pieces of the body, bytes behind it)."""
        piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self.done = self._left == 0
        return ([piece] if piece else []), rest


class ChunkFramer:
    """A chunked body: strict, CRLF only; trailers are read and dropped."""

    __slots__ = ("_buffer", "_left", "_state", "_trailers", "done")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = "size"
        self._trailers = 0
        self.done = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """(pieces of the body, bytes behind it), the pieces joined to one. Raises BadRequest when the framing is broken."""
        pieces, rest = self.split(data)
        return _joined(pieces), rest

    def split(self, data: bytes) -> tuple[list[memoryview], bytes]:
        """As `feed`, the pieces as they lie in `data`."""
        buffer = self._buffer + data
        # one position and one join: cutting the buffer behind every chunk of 32 KiB would copy a large upload twelve times
        whole = memoryview(buffer)
        pieces: list[memoryview] = []
        at, size = 0, len(buffer)
        while True:
            if self._state == "data":
                piece = whole[at : at + self._left]
                if piece:
                    pieces.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                if self._left:
                    break
                self._state = "end"
            if self._state == "end":
                if size - at < 2:
                    break
                if buffer[at : at + 2] != b"\r\n":
                    raise BadRequest("malformed chunked encoding")
                at += 2
                self._state = "size"
            end = buffer.find(b"\r\n", at, at + _MAX_LINE + 2)
            if end < 0:
                if size - at > _MAX_LINE:
                    raise BadRequest("malformed chunked encoding: line too long")
                break
            line = buffer[at:end]
            if b"\n" in line or b"\r" in line:
                raise BadRequest("malformed chunked encoding")
            at = end + 2
            if self._state == "trailers":
                self._trailers += len(line)
                if self._trailers > _MAX_TRAILERS:
                    raise BadRequest("too large a trailer")
                if not line:
                    self.done = True
                    self._buffer = b""
                    return pieces, buffer[at:]
                continue
            if not _SIZE.match(line):
                raise BadRequest("malformed chunked encoding: invalid chunk size")
            self._left = int(line.partition(b";")[0].strip(), 16)
            self._state = "data" if self._left else "trailers"
        self._buffer = buffer[at:]
        return pieces, b""


def _joined(pieces: list[memoryview]) -> list[bytes]:
    return [b"".join(pieces)] if pieces else []


class BodyReader:
    """The body as the handler reads it. `pause` and `resume` stop and start the connection's reading."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None], before_first_read: Callable[[], None]) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._discard = False
        self._pause, self._resume, self._first = pause, resume, before_first_read

    @property
    def ended(self) -> bool:
        """Whether the last byte has come in from the client (not: has been read)."""
        return self._ended

    def take_all(self) -> list[bytes]:
        """What has come in and was not read yet. Raises what broke the body."""
        if self._error is not None and not self._pieces:
            raise self._error
        pieces = list(self._pieces)
        self._pieces.clear()
        self._size = 0
        return pieces

    def put(self, piece: bytes) -> None:
        """A piece came in from the connection."""
        if self._discard:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self) -> None:
        """The body is whole."""
        self._ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """The body will never be whole."""
        if not self._ended and self._error is None:
            self._error = error
            self._wake()

    def discard(self) -> None:
        """Nobody reads the rest: drop it as it comes."""
        self._discard = True
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._resume()

    def relieve(self) -> None:
        """What was taken at once is done with: read on."""
        if self._paused and self._size < _LOW_WATER:
            self._paused = False
            self._resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """The next piece, b"" at the end. Raises BodyBroken, BadRequest."""
        if not self._pieces and not self._ended and self._error is None:
            self._first()
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size < _LOW_WATER:
            self._paused = False
            self._resume()
        return piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def whole(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes. Raises BodyTooLarge, BodyBroken, BadRequest."""
        pieces, size = [], 0
        while piece := await self.read():
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(f"the request body is larger than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)
