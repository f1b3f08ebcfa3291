"""One client connection: reads heads, runs one request at a time, writes replies in order.

A whole reply made without waiting never leaves `data_received`; everything else is one task per request.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable
from typing import Any, Protocol

from scow import aio
from scow.http import hijack as handover
from scow.http import reply
from scow.http.body import BodyBroken, BodyReader, ChunkFramer, LengthFramer
from scow.http.head import MAX_HEAD, BadRequest, Head, Heads
from scow.http.messages import ClientGone, Request, Response, StreamWriter
from scow.http.wire import Wire

_MAX_PIPELINED = 64 << 10
_LINGER_SECONDS = 2.0

Reply = Response | None


class Application(Protocol):
    """What a connection serves."""

    extra_head: bytes

    def handle(self, request: Request) -> Response | Awaitable[Reply]:
        """Answer at once with a Response, or give an awaitable that ends in one (or in None: replied through `request`). Never raises."""
        ...

    def malformed(self, error: BadRequest) -> Response:
        """The reply to a request that could not be parsed."""
        ...

    def cancellable(self, request: Request, half: bool) -> bool:
        """Whether the request's work is ended when its client leaves (`half`: has only ended its side)."""
        ...

    def start(self, coro: Any, name: str) -> "asyncio.Task[Any]":
        """Run a coroutine as a task of the server."""
        ...


class Connection(Wire):
    """The protocol object of one client."""

    def __init__(self, application: Application, heads: Heads, registry: "set[Connection]", most: int = 0) -> None:
        """`registry`: all connections of the server, of which there may be `most` (0: any number)."""
        super().__init__()
        self._app = application
        self._heads = heads
        self._registry = registry
        self._most = most
        self._buffer = b""
        self._framer: LengthFramer | ChunkFramer | None = None
        self._body: BodyReader | None = None
        self._request: Request | None = None
        self._task: asyncio.Task[Any] | None = None
        self._eof = False
        self._closing = False
        self._detached = False
        self.head_since = 0.0

    # --- the transport's calls

    def connection_made(self, transport: Any) -> None:
        if self._most and len(self._registry) >= self._most:
            self._closing = True
            transport.abort()
            return
        self._transport = transport
        self._registry.add(self)
        self.head_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)
        if self._detached:
            return
        self._dropped()
        if self._body is not None:
            self._body.fail(BodyBroken("the client closed the connection before the request body was complete"))
        self._client_left()

    def eof_received(self) -> bool:
        self._eof = True
        if self._body is not None and self._framer is not None and not self._framer.done:
            self._body.fail(BodyBroken("the request body ended early"))
        if self._request is None:
            return False
        self._client_left(half=True)
        return True

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._request is None:
            self._buffer = self._buffer + data if self._buffer else data
            self._next()
        elif self._framer is not None and not self._framer.done:
            self._feed_body(data)
        else:
            self._buffer += data
            if len(self._buffer) > _MAX_PIPELINED:
                self._hold("pipeline")

    # --- requests

    def _next(self) -> None:
        while self._request is None and not self._closing and self._transport is not None:
            buffer = self._buffer
            if buffer[:2] == b"\r\n":
                self._buffer = buffer = buffer[2:]
            end = buffer.find(b"\r\n\r\n")
            if end < 0 or end > MAX_HEAD:
                if len(buffer) > MAX_HEAD:
                    self._refuse(BadRequest("the request head is too large", 431))
                elif b"\n\n" in buffer or (len(buffer) >= 1 and not 0x20 < buffer[0] < 0x7F):
                    self._refuse(BadRequest("malformed request"))
                elif self._eof:
                    self._transport.close()
                return
            end += 4
            self._buffer = buffer[end:]
            try:
                head = self._heads.parse(buffer[:end])
            except BadRequest as error:
                self._refuse(error)
                return
            self._begin(head)

    def _begin(self, head: Head) -> None:
        self.head_since = 0.0
        body = BodyReader(self._pause_body, self._resume_body, self._continue)
        self._body = body
        request = self._request = Request(self, head, body)
        if head.length == 0:
            self._framer = None
            body.end()
        else:
            self._framer = ChunkFramer() if head.length is None else LengthFramer(head.length)
            if self._buffer:
                rest, self._buffer = self._buffer, b""
                self._feed_body(rest)
        answer = self._app.handle(request)
        if isinstance(answer, Response):
            self._reply(request, answer)
            self._finish()
        else:
            self._task = self._app.start(self._run(request, answer), "request")

    async def _run(self, request: Request, answer: Awaitable[Reply]) -> None:
        try:
            response = await answer
            if response is not None:
                self._reply(request, response)
                await self.drain()
        except ClientGone:
            self._closing = True
        except asyncio.CancelledError:
            self._closing = True
            if self._transport is not None:
                self._transport.abort()
            raise
        except BaseException:
            self._closing = True
            if self._transport is not None:
                self._transport.abort()
            raise
        finally:
            self._task = None
        self._finish()
        if self._request is None:
            self._next()

    def _feed_body(self, data: bytes) -> None:
        framer, body = self._framer, self._body
        assert framer is not None and body is not None
        try:
            pieces, rest = framer.feed(data)
        except BadRequest as error:
            body.fail(error)
            self._closing = True
            return
        for piece in pieces:
            body.put(piece)
        if framer.done:
            body.end()
            self._buffer += rest

    def _finish(self) -> None:
        """The reply is written: make room for the next request, or close."""
        request, body = self._request, self._body
        if request is None or self._transport is None:
            self._request = self._body = None
            return
        whole = self._framer is None or self._framer.done
        if self._closing or not request.head.keep_alive or self._eof or not whole:
            self._request = self._body = None
            self._close_gently(whole)
            return
        if body is not None:
            body.discard()
        self._request = self._body = self._framer = None
        self.head_since = time.monotonic()
        self._release("pipeline")

    def _close_gently(self, body_read: bool) -> None:
        """Close so that the client still gets the reply: a close with unread bytes in the socket would reset the connection."""
        self._closing = True
        transport = self._transport
        if transport is None:
            return
        if body_read:
            transport.close()
            return
        self._reading = True
        with contextlib.suppress(Exception):
            transport.resume_reading()
        with contextlib.suppress(Exception):
            transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, transport.abort)

    def _refuse(self, error: BadRequest) -> None:
        self._buffer = b""
        self.send(reply.whole(self._app.malformed(error), False, True, 1, self._app.extra_head))
        self._close_gently(False)

    def _client_left(self, half: bool = False) -> None:
        if self._task is not None and self._request is not None and self._app.cancellable(self._request, half):
            # behind the task's first step: a request and its client's end may come in one turn of the loop, and a task that is cancelled
            # before it has begun ends without a word, with the connection left open
            asyncio.get_running_loop().call_soon(self._task.cancel)

    # --- reading

    def _pause_body(self) -> None:
        self._hold("body")

    def _resume_body(self) -> None:
        self._release("body")

    def _continue(self) -> None:
        if self._request is not None and self._request.head.expects_continue and not self._request.replied and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- writing

    def _reply(self, request: Request, response: Response) -> None:
        request.replied = True
        whole = self._framer is None or self._framer.done
        close = not request.head.keep_alive or self._closing or not whole
        if close:
            self._closing = True
        self.send(reply.whole(response, request.head.method == "HEAD", close, request.head.minor, self._app.extra_head))

    async def start_stream(self, request: Request, status: int, headers: list[tuple[str, str]], length: int | None = None) -> StreamWriter:
        """Write the head of a reply that goes on, chunked where its length is unknown."""
        chunked = request.head.minor == 1 and length is None
        if (not chunked and length is None) or not request.head.keep_alive:
            self._closing = True
        more = "Transfer-Encoding: chunked\r\n" if chunked else "" if length is None else f"Content-Length: {length}\r\n"
        self.send(self._head(request, status, headers, more))
        await self.drain()
        return StreamWriter(self, chunked, request.head.method == "HEAD")

    def _head(self, request: Request, status: int, headers: Any, more: str) -> bytes:
        return reply.head(status, headers, more, request.head.minor, self._closing, self._app.extra_head)

    # --- bulk

    async def send_file(self, request: Request, status: int, headers: Any, fd: int, offset: int, count: int, seconds: float) -> None:
        """See `Request.send_file`."""
        from scow.http import bulk

        owned = True
        try:
            whole = self._framer is None or self._framer.done
            if not request.head.keep_alive or self._closing or not whole:
                self._closing = True
            head = self._head(request, status, headers, f"Content-Length: {count}\r\n")
            transport = self._transport
            if transport is None or transport.is_closing():
                raise ClientGone
            if request.head.method == "HEAD" or not count:
                self.send(head)
                await self.drain()
                return
            if hasattr(transport, "detach_stream"):
                self.send(head)
                owned = False
                await bulk.send_by_hand(self, fd, offset, count, seconds)
                return
            while transport.get_write_buffer_size():
                await asyncio.sleep(0.001)
                if self._transport is None:
                    raise ClientGone
            sock = handover.duplicate(transport)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                with contextlib.suppress(BrokenPipeError, ConnectionError):
                    sent = sock.send(head, socket.MSG_MORE)
            if sent < len(head):
                sock.close()
                raise ClientGone  # not even a head goes out
            owned = False
            await bulk.send(sock, fd, offset, count, seconds)
            if self._transport is None:
                raise ClientGone
        finally:
            if owned:
                os.close(fd)

    async def receive(self, take: Any, seconds: float) -> None:
        """See `Request.receive`."""
        from scow.http import bulk

        body, framer, transport = self._body, self._framer, self._transport
        assert body is not None
        if framer is None:
            return
        if transport is None or hasattr(transport, "detach_stream") or self._eof or framer.done:
            try:
                await bulk.receive_by_hand(body, take, seconds)
            except BodyBroken:
                self._closing = True
                raise
            return
        self._hold("bulk")
        try:
            self._continue()
            for piece in body.take_all():
                await aio.in_pool(take, memoryview(piece))
            if framer.done:
                return
            while transport.get_write_buffer_size():  # the "100 Continue"
                await asyncio.sleep(0.001)
                if self._transport is None:
                    raise BodyBroken("the client closed the connection before the request body was complete")
            intake = bulk.Intake(handover.duplicate(transport), framer, take)
            try:
                await intake.run(seconds)
            except BaseException:
                self._closing = True
                raise
            finally:
                self._buffer += intake.rest
            body.end()
        finally:
            self._release("body")  # the reader's own hold, if any: its pieces are taken
            self._release("bulk")

    # --- handing over

    async def hijack(self, status: int, reason: str, headers: list[tuple[str, str]] | Any) -> tuple[socket.socket, bytes]:
        """Leave HTTP: see `Request.hijack`."""
        head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        return await self._detach(head.encode("utf-8", "replace"))

    async def websocket(self) -> socket.socket:
        """Leave HTTP for a WebSocket: see `Request.websocket`."""
        from scow.http import websocket

        assert self._request is not None
        sock, early = await self._detach(websocket.accept_head(self._request.head))
        return websocket.bridge(sock, early, self._app.start)

    async def _detach(self, head: bytes) -> tuple[socket.socket, bytes]:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ClientGone
        if self._reading:
            self._reading = False
            transport.pause_reading()
        transport.write(head)
        while transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
            if self._transport is None:
                raise ClientGone
        early, self._buffer = self._buffer, b""
        self._closing = self._detached = True
        self._registry.discard(self)
        self._transport = None
        if hasattr(transport, "detach_stream"):  # TLS: the bytes need this process
            stream: socket.socket = transport.detach_stream(self._app.start, self._eof)
            return stream, early
        sock = handover.duplicate(transport)
        transport.abort()
        # an end of input that was seen already is in the socket still: whoever reads it meets it again
        return sock, early

    # --- for the server

    @property
    def started_head(self) -> bool:
        """Whether part of a request head has come in."""
        return bool(self._buffer)

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self._request is None

    def drop_departed(self) -> None:
        """End the connection of a client that has left unnoticed: of one that ended its side before, or sent too much, nothing is read."""
        transport = self._transport
        if transport is None or not (self._eof or len(self._buffer) > _MAX_PIPELINED):
            return
        if aio.hung_up(transport.get_extra_info("socket").fileno()):
            transport.abort()

    def close(self, abort: bool = False) -> None:
        """End the connection now (abort) or behind the reply under way."""
        if self._transport is not None:
            if abort or self._request is None:
                self._transport.abort() if abort else self._transport.close()
            self._closing = True
