"""gRPC over `http2.py`: a server on an accepted socket, and calls to the peer of a socket somebody else opened. Nothing is stored.

`Server(services, status).run(sock, early)` serves one connection; `Channel` calls. An error of a handler becomes a status: `RpcError`
as it is, everything else through `status`. A caller that leaves cancels its handler.
"""

import asyncio
import base64
import collections
import contextlib
import socket
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scow import aio, log
from scow.build.session import http2, messages
from scow.errors import ScowError

logger = log.get(__name__)

(
    OK,
    CANCELLED,
    UNKNOWN,
    INVALID,
    DEADLINE,
    NOT_FOUND,
    EXISTS,
    DENIED,
    EXHAUSTED,
    PRECONDITION,
    ABORTED,
    _,
    UNIMPLEMENTED,
    INTERNAL,
    UNAVAILABLE,
    _,
    UNAUTHENTICATED,
) = range(17)
MAX_MESSAGE = 64 << 20
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_MAX_TEXT = 8 << 10
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class RpcError(ScowError):
    """A call that ended badly. `details` are (type name, encoded message) pairs."""

    foreign = True

    def __init__(self, code: int, message: str, details: tuple[tuple[str, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.code, self.details = code, details


class Call(http2.Stream):
    """One call, on either side: messages come and go as bytes; a batch read gives everything that has arrived."""

    def __init__(self, connection: http2.Connection, number: int) -> None:
        super().__init__(connection, number)
        self.headers: dict[str, list[str]] = {}
        self._opened = False
        self._partial = bytearray()
        self._arrived: collections.deque[bytes] = collections.deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._failure: Exception | None = None
        self.trailers: dict[str, list[str]] = {}
        self.task: asyncio.Task[None] | None = None
        self.answered = False
        self.on_open: Callable[[Call], None] | None = None

    # --- what arrives

    def got_headers(self, fields: http2.Fields, ended: bool) -> None:
        """The head of the call, or its end."""
        target = self.trailers if self._opened or ended else self.headers
        for name, value in fields:
            target.setdefault(name, []).append(value)
        if not self._opened:
            self._opened = True
            if ended and not self.headers:
                self.headers = self.trailers
            if self.on_open is not None:
                self.on_open(self)

    def got_data(self, data: bytes) -> None:
        """Cut the body into messages."""
        if not self._partial and len(data) >= 5 and data[0] == 0 and int.from_bytes(data[1:5], "big") == len(data) - 5:
            self._arrived.append(data[5:])  # the usual case: one message, one frame
        else:
            self._partial += data
            at = 0
            while len(self._partial) - at >= 5:
                size = int.from_bytes(self._partial[at + 1 : at + 5], "big")
                if self._partial[at] or size > MAX_MESSAGE:
                    self._fail(RpcError(UNIMPLEMENTED if self._partial[at] else EXHAUSTED, "a message that is compressed or too big"))
                    self.reset(http2.CANCEL)
                    return
                if len(self._partial) - at < 5 + size:
                    break
                self._arrived.append(bytes(self._partial[at + 5 : at + 5 + size]))
                at += 5 + size
            del self._partial[:at]
            if self._partial and not self._arrived:
                self._give_back()
        self._wake()

    def got_end(self) -> None:
        """No more messages."""
        self._over = True
        self._wake()

    def got_error(self, error: Exception) -> None:
        """The call is gone."""
        self._fail(error)
        if self.task is not None:
            self.task.cancel()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- reading and writing

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def batch(self) -> list[bytes]:
        """All messages that are there, at least one; [] at the end. The error of a failed call is raised behind its messages."""
        while not self._arrived and not self._over:
            await self._wait()
        if self._arrived:
            batch = list(self._arrived)
            self._arrived.clear()
            self._give_back()
            return batch
        if self._failure is not None:
            raise self._failure
        return []

    async def read(self) -> bytes | None:
        """The next message; None at the end."""
        while not self._arrived and not self._over:
            await self._wait()
        if self._arrived:
            message = self._arrived.popleft()
            if not self._arrived:
                self._give_back()
            return message
        if self._failure is not None:
            raise self._failure
        return None

    def _give_back(self) -> None:
        """Allow as much again as is off the queue. A message that has not come whole counts as taken, too: it may be bigger than the window
        (what is held stays bounded by MAX_MESSAGE)."""
        held = self.owed - self.credit
        if held > 0:
            self.taken(held)

    async def send(self, message: Any) -> None:
        """Send a message (an object of `messages`, or its bytes)."""
        data = message if isinstance(message, bytes) else message.SerializeToString()
        await self.send_data(b"\0" + len(data).to_bytes(4, "big") + data)

    async def send_many(self, batch: list[bytes]) -> None:
        """Send several encoded messages at once."""
        await self.send_data(b"".join(b"\0" + len(data).to_bytes(4, "big") + data for data in batch))

    # --- client side

    async def finish(self) -> None:
        """Say that no more messages will be sent."""
        if not self.local_ended:
            await self.send_data(b"", end=True)

    def check(self) -> None:
        """Raise the error the call ended with, if it did."""
        ended = self.trailers or self.headers
        status = ended.get("grpc-status", ["" if self.headers.get(":status") == ["200"] else str(UNAVAILABLE)])[0]
        if status not in ("0", ""):
            text = urllib.parse.unquote(ended.get("grpc-message", ["the call failed"])[0])
            raise RpcError(int(status) if status.isdigit() else UNKNOWN, text, _details(ended))

    def value(self, name: str) -> str:
        """The first value of a header, "" when it is not there."""
        return self.headers.get(name, [""])[0]


def _details(fields: dict[str, list[str]]) -> tuple[tuple[str, bytes], ...]:
    raw = fields.get("grpc-status-details-bin", [""])[0]
    if not raw:
        return ()
    try:
        status = messages.RPC.Status.FromString(base64.b64decode(raw + "=" * (-len(raw) % 4)))
    except Exception:
        return ()
    return tuple((item.type_url, item.value) for item in status.details)


class Channel:
    """Calls to the peer of a connection, which is the gRPC server on it."""

    def __init__(self, connection: http2.Connection, sock: socket.socket) -> None:
        self._connection, self._sock = connection, sock

    @classmethod
    def on(cls, sock: socket.socket, early: bytes = b"") -> "Channel":
        """A channel on a socket; `open` begins it."""
        return cls(http2.Connection(Call, server=False, early=early), sock)

    async def open(self) -> None:
        """Begin to talk."""
        await http2.attach(self._connection, self._sock)

    @property
    def closed(self) -> asyncio.Event:
        """Set when the connection is gone."""
        return self._connection.closed

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def begin(self, path: str, metadata: Mapping[str, str | list[str]] | None = None) -> Call:
        """Start a call (`/package.Service/Method`)."""
        call = self._connection.open()
        assert isinstance(call, Call)
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        for name, value in (metadata or {}).items():
            fields += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        call.send_headers(fields)
        return call

    async def unary(self, path: str, request: Any, reply: Any, timeout: float | None = None) -> Any:
        """Call a method with one request and one reply (a class of `messages`); `RpcError` when it refuses."""
        call = self.begin(path)
        try:
            async with asyncio.timeout(timeout):
                await call.send(request)
                await call.finish()
                data = await call.read()
                await call.read()
            call.check()
        except TimeoutError:
            raise RpcError(DEADLINE, f"the client did not answer {path} in time") from None
        finally:
            call.reset()
        if data is None:
            raise RpcError(UNKNOWN, f"the client gave no answer to {path}")
        return reply.FromString(data)


Handler = Callable[..., Awaitable[Any]]


class Server:
    """Serves the methods of `services`: {service name: object with a method for each, in snake case}.

    Handlers: `await method(request, call) -> reply`; with a stream of replies `await method(request, call)` (it uses `call.send`); with
    streams both ways `await method(call)`.
    """

    def __init__(
        self,
        services: Mapping[str, object],
        status: Callable[[BaseException], RpcError],
        methods: Mapping[str, tuple[Handler, Any, bool, bool]] | None = None,
    ) -> None:
        """`methods`: more of them by path: handler, class of the request, whether requests and replies are streams."""
        self._status = status
        self._methods: dict[str, tuple[Handler, Any, bool, bool]] = dict(methods or {})
        self._tasks = aio.Supervisor("grpc")
        for name, target in services.items():
            for method, (request, _reply, many_requests, many_replies) in messages.service(name).items():
                handler = getattr(target, snake(method), None) or getattr(target, snake(method) + "_", None)
                if handler is not None:
                    self._methods[f"/{name}/{method}"] = (handler, request, many_requests, many_replies)

    async def run(self, sock: socket.socket, early: bytes) -> None:
        """Serve one connection until it ends; its unfinished calls are cancelled then."""

        def make(connection: http2.Connection, number: int) -> Call:
            call = Call(connection, number)
            call.on_open = self._start
            return call

        connection = http2.Connection(make, server=True, early=early)
        try:
            await http2.attach(connection, sock)
            await connection.closed.wait()
        except http2.ConnectionLost:
            return
        finally:
            connection.close()

    async def close(self) -> None:
        """End all calls."""
        await self._tasks.close()

    def _start(self, call: Call) -> None:
        call.task = self._tasks.start(self._serve(call), call.value(":path"))

    async def _serve(self, call: Call) -> None:
        details: tuple[tuple[str, bytes], ...] = ()
        try:
            async with asyncio.timeout(timeout_of(call.value("grpc-timeout"))):
                await self._dispatch(call)
            code, text = OK, ""
        except asyncio.CancelledError:
            call.reset(http2.CANCEL)
            raise
        except TimeoutError:
            code, text = DEADLINE, "context deadline exceeded"
        except http2.ConnectionLost:
            call.reset(http2.CANCEL)
            return
        except Exception as error:
            wrapped = error if isinstance(error, RpcError) else self._status(error)
            code, text, details = wrapped.code, wrapped.message, wrapped.details
        fields: http2.Fields = [] if call.answered else [(":status", "200"), ("content-type", "application/grpc")]
        fields += [("grpc-status", str(code))]
        if text:
            fields.append(("grpc-message", urllib.parse.quote(text[:_MAX_TEXT], safe=_SAFE)))
        if details:
            status = messages.RPC.Status(code=code, message=text[:_MAX_TEXT])
            for name, value in details:
                status.details.add(type_url=name, value=value)
            fields.append(("grpc-status-details-bin", base64.b64encode(status.SerializeToString()).rstrip(b"=").decode()))
        with contextlib.suppress(http2.ConnectionLost):
            call.send_headers(fields, end=True)
            if not call.remote_ended:
                call.reset(http2.NO_ERROR)

    async def _dispatch(self, call: Call) -> None:
        found = self._methods.get(call.value(":path"))
        if found is None:
            raise RpcError(UNIMPLEMENTED, f"unknown method {call.value(':path')}")
        handler, request_class, many_requests, many_replies = found
        if many_requests:
            self._answer(call)
            await handler(call)
            return
        data = await call.read()
        if data is None:
            raise RpcError(INVALID, "a call without a request")
        try:
            request = request_class.FromString(data)
        except Exception as error:
            raise RpcError(INVALID, "the request cannot be read") from error
        if many_replies:
            self._answer(call)
            await handler(request, call)
            return
        reply = await handler(request, call)
        self._answer(call)
        await call.send(reply)

    @staticmethod
    def _answer(call: Call) -> None:
        call.send_headers([(":status", "200"), ("content-type", "application/grpc")])
        call.answered = True


def timeout_of(text: str) -> float | None:
    """The seconds of a grpc-timeout header ("100m"); None without one."""
    if len(text) < 2 or len(text) > 9 or text[-1] not in _UNITS or not text[:-1].isdigit():
        return None
    return int(text[:-1]) * _UNITS[text[-1]]


def snake(name: str) -> str:
    """ListWorkers → list_workers."""
    return "".join(
        ("_" if at and letter.isupper() and not name[at - 1].isupper() else "") + letter.lower() for at, letter in enumerate(name)
    )
