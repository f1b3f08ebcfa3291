"""What handlers see: the request, the plain reply, and the writer of a reply that goes on."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from scow.http.body import BodyReader
from scow.http.head import Head

if TYPE_CHECKING:
    from scow.http.bulk import Take
    from scow.http.connection import Connection

Headers = Iterable[tuple[str, str]]
_LARGE = 16 << 10

REASONS = {
    100: "Continue", 101: "UPGRADED", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 304: "Not Modified",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 416: "Requested Range Not Satisfiable",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


class ClientGone(Exception):
    """The client closed the connection while its reply was being written."""


class Response:
    """A reply that is whole: status, headers, body. `wire` is kept by the connection for replies that are sent again and again."""

    __slots__ = ("body", "headers", "length", "status", "wire")

    def __init__(
        self, status: int = 200, body: bytes = b"", headers: Headers = (), content_type: str | None = None, length: int | None = None
    ) -> None:
        """`length` is told in place of the body's: the reply to a HEAD has none."""
        self.length = length
        self.status = status
        self.body = body
        self.wire: bytes | None = None
        self.headers = [*headers, ("Content-Type", content_type)] if content_type else list(headers)


class StreamWriter:
    """A reply under way. Chunked on HTTP/1.1, ended by closing on 1.0. `write` waits while the client is slow."""

    def __init__(self, connection: "Connection", chunked: bool, bodyless: bool) -> None:
        self._connection = connection
        self._chunked = chunked
        self._bodyless = bodyless
        self._ended = False

    async def write(self, data: bytes) -> None:
        """Send a piece. Raises ClientGone."""
        if not data or self._bodyless:
            return
        if self._chunked and len(data) >= _LARGE:
            self._connection.send_parts((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        await self._connection.drain()

    async def end(self) -> None:
        """The reply is whole."""
        if not self._ended:
            self._ended = True
            if self._chunked and not self._bodyless:
                self._connection.send(b"0\r\n\r\n")
            await self._connection.drain()


class Request:
    """One request. `path` is as sent (still percent-encoded), `body` is read by the handler or dropped behind it."""

    __slots__ = ("_connection", "body", "head", "replied")

    def __init__(self, connection: "Connection", head: Head, body: BodyReader) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self.replied = False

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, names in lower case."""
        return self.head.headers

    @property
    def peer(self) -> str:
        """The client's IP address, "" on a unix socket."""
        return self._connection.peer

    async def stream(
        self, status: int = 200, headers: Headers = (), content_type: str = "application/json", length: int | None = None
    ) -> StreamWriter:
        """Send the head of a reply at once and return the writer for what follows, `length` bytes where that is known. Raises ClientGone.

        `content_type` "" adds no such header.
        """
        self.replied = True
        fields = [*headers, ("Content-Type", content_type)] if content_type else list(headers)
        return await self._connection.start_stream(self, status, fields, length)

    async def send_file(self, status: int, headers: Headers, fd: int, offset: int, count: int, seconds: float) -> None:
        """Reply with bytes of a file, by sendfile where the connection allows it; closes `fd`. Raises ClientGone.

        A client that takes nothing for `seconds` is gone.
        """
        self.replied = True
        await self._connection.send_file(self, status, headers, fd, offset, count, seconds)

    async def receive(self, take: "Take", seconds: float) -> None:
        """Read the whole body: `take` gets it in large pieces, in a pool thread, and keeps none of them.

        Raises BodyBroken (also when nothing comes for `seconds`), BadRequest, and what `take` raises.
        """
        await self._connection.receive(take, seconds)

    async def hijack(self, status: int, headers: Headers, reason: str = "") -> tuple[socket.socket, bytes]:
        """Send a head and hand over the connection: (socket, bytes already read behind the request). The caller closes the socket.

        The socket is non-blocking. The rest of the request's body is not read: hijacked requests read theirs first. Raises ClientGone.
        """
        self.replied = True
        return await self._connection.hijack(status, reason or REASONS.get(status, ""), headers)

    async def websocket(self) -> socket.socket:
        """Accept a WebSocket upgrade: a plain socket that carries what its messages carry. Raises ClientGone."""
        self.replied = True
        return await self._connection.websocket()

    def gone(self) -> "asyncio.Future[None]":
        """A future that completes when the client has left."""
        return self._connection.lost
