"""One client connection: reads heads, runs one request at a time, writes replies in order.

A whole reply made without waiting never leaves `data_received`; everything else is one task per request.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from scow import aio, log
from scow.http import hijack as handover
from scow.http.body import BodyBroken, BodyReader, ChunkFramer, LengthFramer
from scow.http.head import MAX_HEAD, BadRequest, Head, Heads
from scow.http.messages import REASONS, ClientGone, Request, Response, StreamWriter

logger = log.get(__name__)

_MAX_PIPELINED = 64 << 10
_DRAIN_AFTER_REPLY = 16 << 20  # of a request body nobody read: more than this closes the connection instead
_LINGER_SECONDS = 2.0
_HOLDS = {"body": 1, "pipeline": 2, "bulk": 4}

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


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Clock:
    """The Date header, made once a second (`email.utils` would cost a twentieth of the way to the first `_ping`)."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            at = time.gmtime(now)
            clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
            text = f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon]} {at.tm_year} {clock} GMT\r\n"
            self._second, self._line = now, text.encode()
        return self._line


_clock = _Clock()


class Connection(asyncio.Protocol):
    """The protocol object of one client."""

    def __init__(self, application: Application, heads: Heads, registry: "set[Connection]", most: int = 0) -> None:
        """`registry`: all connections of the server, of which there may be `most` (0: any number)."""
        self._app = application
        self._heads = heads
        self._registry = registry
        self._most = most
        self._transport: Any = None
        self._buffer = b""
        self._framer: LengthFramer | ChunkFramer | None = None
        self._body: BodyReader | None = None
        self._request: Request | None = None
        self._task: asyncio.Task[Any] | None = None
        self._reading = True
        self._holds = 0
        self._eof = False
        self._closing = False
        self._detached = False
        self._writable: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None
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
        self._transport = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
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

    def pause_writing(self) -> None:
        if self._writable is None or self._writable.done():
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

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
            reply = await answer
            if reply is not None:
                self._reply(request, reply)
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
        self.send(self._whole(self._app.malformed(error), head_only=False, close=True, minor=1))
        self._close_gently(False)

    def _client_left(self, half: bool = False) -> None:
        if self._task is not None and self._request is not None and self._app.cancellable(self._request, half):
            self._task.cancel()

    # --- reading

    def _pause_body(self) -> None:
        self._hold("body")

    def _resume_body(self) -> None:
        self._release("body")

    def _hold(self, why: str) -> None:
        self._holds |= _HOLDS[why]
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _release(self, why: str) -> None:
        self._holds &= ~_HOLDS[why]
        if not self._holds and not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def _continue(self) -> None:
        if self._request is not None and self._request.head.expects_continue and not self._request.replied and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- writing

    @property
    def peer(self) -> str:
        """The client's IP address, "" on a unix socket and when it is gone."""
        found = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(found[0]) if isinstance(found, tuple) else ""

    @property
    def lost(self) -> "asyncio.Future[None]":
        """Completes when the connection is gone."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self._transport is None:
                self._lost.set_result(None)
        return self._lost

    def send(self, data: bytes) -> None:
        """Queue bytes for the client."""
        if self._transport is not None:
            self._transport.write(data)

    def send_parts(self, parts: Sequence[bytes]) -> None:
        """`send` for several pieces, large ones without a copy."""
        if self._transport is not None:
            # the last by `write`: asyncio's own `writelines` never pauses the writer in Python 3.12.0-8 and 3.13.0-1 (CVE-2024-12254)
            self._transport.writelines(parts[:-1])
            self._transport.write(parts[-1])

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises ClientGone."""
        if self._writable is not None:
            await asyncio.shield(self._writable)
        if self._transport is None or self._transport.is_closing():
            raise ClientGone

    def _reply(self, request: Request, response: Response) -> None:
        request.replied = True
        whole = self._framer is None or self._framer.done
        close = not request.head.keep_alive or self._closing or not whole
        if close:
            self._closing = True
        self.send(self._whole(response, request.head.method == "HEAD", close, request.head.minor))

    def _whole(self, response: Response, head_only: bool, close: bool, minor: int) -> bytes:
        plain = minor == 1 and not close and not head_only
        if plain and response.wire is not None:
            return response.wire + _clock.line() + b"\r\n" + response.body
        status, body = response.status, response.body
        lines = [f"HTTP/1.{minor} {status} {REASONS.get(status, 'Status')}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in response.headers]
        if status >= 200 and status not in (204, 304):
            lines.append(f"Content-Length: {len(body) if response.length is None else response.length}\r\n")
        else:
            body = b""
        if close:
            lines.append("Connection: close\r\n")
        elif minor == 0:
            lines.append("Connection: keep-alive\r\n")
        start = "".join(lines).encode("utf-8", "replace") + self._app.extra_head
        if plain and body is response.body:
            response.wire = start
        head = start + _clock.line() + b"\r\n"
        return head if head_only else head + body

    async def start_stream(self, request: Request, status: int, headers: list[tuple[str, str]], length: int | None = None) -> StreamWriter:
        """Write the head of a reply that goes on, chunked where its length is unknown."""
        chunked = request.head.minor == 1 and length is None
        if (not chunked and length is None) or not request.head.keep_alive:
            self._closing = True
        lines = [f"HTTP/1.{request.head.minor} {status} {REASONS.get(status, 'Status')}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        if chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        elif length is not None:
            lines.append(f"Content-Length: {length}\r\n")
        if self._closing:
            lines.append("Connection: close\r\n")
        self.send("".join(lines).encode("utf-8", "replace") + self._app.extra_head + _clock.line() + b"\r\n")
        await self.drain()
        return StreamWriter(self, chunked, request.head.method == "HEAD")

    # --- bulk

    async def send_file(self, request: Request, status: int, headers: Any, fd: int, offset: int, count: int, seconds: float) -> None:
        """See `Request.send_file`."""
        from scow.http import bulk

        owned = True
        try:
            whole = self._framer is None or self._framer.done
            if not request.head.keep_alive or self._closing or not whole:
                self._closing = True
            head = self._start(request, status, headers, f"Content-Length: {count}\r\n")
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

    def _start(self, request: Request, status: int, headers: Any, more: str) -> bytes:
        lines = [f"HTTP/1.{request.head.minor} {status} {REASONS.get(status, 'Status')}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        lines.append(more)
        if self._closing:
            lines.append("Connection: close\r\n")
        elif request.head.minor == 0:
            lines.append("Connection: keep-alive\r\n")
        return "".join(lines).encode("utf-8", "replace") + self._app.extra_head + _clock.line() + b"\r\n"

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

    def close(self, abort: bool = False) -> None:
        """End the connection now (abort) or behind the reply under way."""
        if self._transport is not None:
            if abort or self._request is None:
                self._transport.abort() if abort else self._transport.close()
            self._closing = True


Factory = Callable[[], Connection]
