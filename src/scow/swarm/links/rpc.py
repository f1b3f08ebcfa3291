"""Calls between nodes: frames of JSON on one TLS connection, any number of calls on it at a time.

A frame is its length (4 bytes) and a document: {"i": number of the call, "t": type, …}. The caller sends `call` ("n": name, "b": body), may
send `item`s, and `cancel`; the other side answers with `ok` ("b"), or with `item`s and an `end`, or with `error` ("k": class, "m": message,
"d": more). A reader that is slow holds up its whole connection, so long streams (logs) get a connection of their own.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from scow import errors, log
from scow.aio import Supervisor
from scow.errors import Forbidden, InvalidArgument, ScowError, Unavailable
from scow.swarm.links import tls
from scow.swarm.links.tls import Caller

logger = log.get(__name__)

_STRANGER_LIMIT = 64 << 10
_LIMIT = 128 << 20
_QUEUE = 256
_CALLS = 256
_CONNECTIONS = 8192
_STRANGER_SECONDS = 30.0
_SEND_SECONDS = 30.0
DIAL_SECONDS = 5.0
CALL_SECONDS = 20.0

Json = dict[str, Any]


class NotLeader(Unavailable):
    """This manager does not lead; `leader` is the address of the one that does, as far as it is known."""

    def __init__(self, leader: str = "") -> None:
        super().__init__(f"this manager does not lead{f', {leader} does' if leader else ' and knows of no leader'}")
        self.leader = leader


class Broken(Unavailable):
    """The connection has ended."""

    def __init__(self, why: str = "the connection to the manager broke") -> None:
        super().__init__(why)


_CLASSES: dict[str, type[ScowError]] = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, ScowError) and cls is not ScowError
}


def _told(error: ScowError) -> Json:
    """An error as it travels: the nearest class of the closed set."""
    if isinstance(error, NotLeader):
        return {"k": "NotLeader", "m": error.message, "d": error.leader}
    kind = next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _CLASSES), "Internal")
    return {"k": kind, "m": error.message}


def _heard(frame: Mapping[str, Any]) -> ScowError:
    if frame.get("k") == "NotLeader":
        return NotLeader(str(frame.get("d") or ""))
    return _CLASSES.get(str(frame.get("k")), errors.Internal)(str(frame.get("m") or "the other node gave no reason"))


def keep_alive(sock: Any) -> None:
    """Notice a peer that is gone within seconds, also where nothing is sent."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Wire:
    """Frames on a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> None:
        self._reader, self._writer = reader, writer
        self._limit = limit
        self._turn = asyncio.Lock()
        keep_alive(writer.get_extra_info("socket"))

    async def read(self) -> Json:
        """The next frame. Raises Broken, InvalidArgument."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if size > self._limit:
                raise InvalidArgument("the message is too large")
            frame = orjson.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            raise Broken from None
        except ValueError:
            raise InvalidArgument("the message is no JSON") from None
        if not isinstance(frame, dict) or not isinstance(frame.get("i"), int):
            raise InvalidArgument("the message is no frame")
        return frame

    async def write(self, frame: Mapping[str, Any]) -> None:
        """Raises Broken."""
        data = orjson.dumps(frame, option=orjson.OPT_NON_STR_KEYS)
        try:
            async with self._turn, asyncio.timeout(_SEND_SECONDS):
                self._writer.write(len(data).to_bytes(4, "big") + data)
                await self._writer.drain()
        except (OSError, TimeoutError):
            self.close()
            raise Broken from None

    def close(self) -> None:
        """End it at once."""
        with contextlib.suppress(Exception):
            self._writer.transport.abort()


# --- the side that calls


class Client:
    """A connection to a manager."""

    def __init__(self, wire: _Wire, address: str) -> None:
        self._wire = wire
        self.address = address
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Json]] = {}
        self._broken: ScowError | None = None
        self._supervisor = Supervisor(f"link to {address}")
        self._supervisor.start(self._receive(), "answers")

    async def _receive(self) -> None:
        try:
            while True:
                frame = await self._wire.read()
                queue = self._waiting.get(frame["i"])
                if queue is not None:
                    await queue.put(frame)
        except ScowError as error:
            self._broken = error
        finally:
            self._broken = self._broken or Broken()
            self._wire.close()
            for queue in list(self._waiting.values()):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait({"t": "broken"})

    @contextlib.asynccontextmanager
    async def _begin(self, name: str, body: Any) -> AsyncIterator[tuple[int, asyncio.Queue[Json]]]:
        if self._broken is not None:
            raise Broken(self._broken.message)
        number = next(self._numbers)
        queue: asyncio.Queue[Json] = asyncio.Queue(_QUEUE)
        self._waiting[number] = queue
        try:
            await self._wire.write({"i": number, "t": "call", "n": name, "b": body})
            yield number, queue
        finally:
            self._waiting.pop(number, None)

    def _answer(self, frame: Json) -> Json:
        if frame["t"] == "error":
            raise _heard(frame)
        if frame["t"] == "broken":
            raise Broken((self._broken or Broken()).message)
        return frame

    async def call(self, name: str, body: Any = None, seconds: float = CALL_SECONDS) -> Any:
        """The answer. Raises what the other side raised; Broken, also when it took too long."""
        try:
            async with self._begin(name, body) as (_, queue), asyncio.timeout(seconds):
                return self._answer(await queue.get()).get("b")
        except TimeoutError:
            raise Broken(f"the manager at {self.address} did not answer within {seconds:.0f} seconds") from None

    async def stream(self, name: str, body: Any = None) -> AsyncIterator[Any]:
        """Items until the other side ends. Raises as `call`."""
        async with self._begin(name, body) as (number, queue):
            try:
                while True:
                    frame = self._answer(await queue.get())
                    if frame["t"] == "end":
                        return
                    yield frame.get("b")
            finally:
                if self._broken is None:
                    with contextlib.suppress(ScowError):
                        await self._wire.write({"i": number, "t": "cancel"})

    async def send(self, name: str, body: Any, items: AsyncIterator[Any]) -> None:
        """Call with a stream of our own; returns when the other side has taken all of it or wants no more."""
        async with self._begin(name, body) as (number, queue), contextlib.AsyncExitStack() as stack:

            async def push() -> None:
                with contextlib.suppress(Broken):
                    async for item in items:
                        await self._wire.write({"i": number, "t": "item", "b": item})
                    await self._wire.write({"i": number, "t": "end"})

            pushing = self._supervisor.start(push(), name)
            stack.callback(pushing.cancel)
            self._answer(await queue.get())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; so does the end of an `async with`."""
        self._wire.close()
        await self._supervisor.close()


async def dial(address: str, context: ssl.SSLContext, seconds: float = DIAL_SECONDS) -> Client:
    """Connect to a manager at `host:port`. Raises Unavailable."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=context, server_hostname=tls.MANAGER_NAME, limit=1 << 20
            )
    except (OSError, TimeoutError) as error:
        raise tls.refused(error, address) from None
    return Client(_Wire(reader, writer, _LIMIT), address)


# --- the side that answers

Answer = Callable[[Caller, Json], Awaitable[Any]]
Stream = Callable[[Caller, Json], AsyncIterator[Any]]
Sink = Callable[[Caller, Json, AsyncIterator[Any]], Awaitable[Any]]
Admit = Callable[[Caller], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Door:
    """A call that others may make. `who`: anyone, node, manager. One of the three functions."""

    who: str
    answer: Answer | None = None
    stream: Stream | None = None
    sink: Sink | None = None


class _Served:
    """A connection as the listener sees it."""

    def __init__(self, server: "Server", wire: _Wire, caller: Caller) -> None:
        self._server, self._wire, self._caller = server, wire, caller
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._inbound: dict[int, asyncio.Queue[Json]] = {}
        self._supervisor = Supervisor(f"link from {caller.node_id or caller.address}")

    async def run(self) -> None:
        try:
            while True:
                frame = await self._wire.read()
                await self._take(frame)
        except ScowError as error:
            if not isinstance(error, Broken):
                logger.info("connection of %s ended: %s", self._caller.node_id or self._caller.address, error.message)
        finally:
            self._wire.close()
            for queue in self._inbound.values():
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait({"t": "broken"})
            await self._supervisor.close()

    async def _take(self, frame: Json) -> None:
        number, kind = frame["i"], frame.get("t")
        if kind == "call":
            if len(self._calls) >= _CALLS or number in self._calls:
                raise InvalidArgument("too many calls at a time")
            if self._server.takes_items(str(frame.get("n"))):
                self._inbound[number] = asyncio.Queue(_QUEUE)
            self._calls[number] = self._supervisor.start(self._serve(number, frame), str(frame.get("n"))[:40])
        elif kind == "cancel":
            if (running := self._calls.get(number)) is not None:
                running.cancel()
        elif (queue := self._inbound.get(number)) is not None:
            await queue.put(frame)

    async def _serve(self, number: int, frame: Json) -> None:
        try:
            door = await self._server.door(self._caller, str(frame.get("n")))
            body = frame.get("b")
            given: Json = body if isinstance(body, dict) else {}
            if door.stream is not None:
                async with contextlib.aclosing(door.stream(self._caller, given)) as items:  # type: ignore[type-var]
                    async for item in items:
                        await self._wire.write({"i": number, "t": "item", "b": item})
                await self._wire.write({"i": number, "t": "end"})
                return
            if door.sink is not None:
                answer = await door.sink(self._caller, given, self._items(number))
            else:
                assert door.answer is not None
                answer = await door.answer(self._caller, given)
            await self._wire.write({"i": number, "t": "ok", "b": answer})
        except Broken:
            pass
        except ScowError as error:
            with contextlib.suppress(Broken):
                await self._wire.write({"i": number, "t": "error", **_told(error)})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("call %s of %s failed: %r", frame.get("n"), self._caller.node_id or self._caller.address, error, exc_info=error)
            with contextlib.suppress(Broken):
                await self._wire.write({"i": number, "t": "error", **_told(InvalidArgument("the call was not understood"))})
        finally:
            self._calls.pop(number, None)
            if (queue := self._inbound.pop(number, None)) is not None:
                while not queue.empty():  # whoever waits to add an item goes on and reads the next call, or that the connection has ended
                    queue.get_nowait()

    async def _items(self, number: int) -> AsyncIterator[Any]:
        queue = self._inbound[number]
        while True:
            frame = await queue.get()
            if frame["t"] != "item":
                return
            yield frame.get("b")


def _cannot_listen(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen at {address}: another program uses the port. End it, or choose another port with --listen-addr"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen at {address}: this host has no such address. Choose one that it has with --listen-addr"
    return f"cannot listen at {address}: {os.strerror(error.errno) if error.errno else error}"


class Server:
    """A manager's listener. `doors`: name → what may be called."""

    def __init__(self, doors: Mapping[str, Door], cluster_id: str, admit: Admit | None = None) -> None:
        """`admit(caller)` raises for a node that has nothing to say here any more."""
        self._doors = doors
        self._admit = admit
        self._cluster_id = cluster_id
        self._server: asyncio.Server | None = None
        self._supervisor = Supervisor("swarm listener")
        self._open = 0
        self._writers: dict[str, set[asyncio.StreamWriter]] = {}  # node → its connections
        self._address = ""

    async def start(self, address: str, context: ssl.SSLContext) -> None:
        """Listen at `host:port`. Raises Unavailable."""
        self._address = address
        host, _, port = address.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._accept, host.strip("[]"), int(port), ssl=context, limit=1 << 20, reuse_address=True, ssl_handshake_timeout=10
            )
        except OSError as error:
            raise Unavailable(_cannot_listen(address, error)) from None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _CONNECTIONS:
            writer.transport.abort()
            return
        peer = writer.get_extra_info("peername")
        who = tls.caller(writer.get_extra_info("ssl_object"), str(peer[0]) if peer else "")
        known = bool(who.node_id) and who.cluster_id == self._cluster_id
        if not known:
            who = Caller(address=who.address)
        self._open += 1
        self._writers.setdefault(who.node_id, set()).add(writer)
        served = _Served(self, _Wire(reader, writer, _LIMIT if known else _STRANGER_LIMIT), who)
        task = self._supervisor.start(served.run(), "connection")
        try:
            await asyncio.wait([task], timeout=None if known else _STRANGER_SECONDS)
        finally:
            self._open -= 1
            own = self._writers.get(who.node_id, set())
            own.discard(writer)
            if not own:
                self._writers.pop(who.node_id, None)
            task.cancel()

    async def door(self, caller: Caller, name: str) -> Door:
        """What is called. Raises InvalidArgument, Forbidden."""
        found = self._doors.get(name)
        if found is None:
            raise InvalidArgument(f"this manager knows no call {name[:40]!r}: is it older than the node that calls?")
        if found.who != "anyone" and not caller.node_id:
            raise Forbidden("a node's certificate is needed for this call")
        if found.who != "anyone" and self._admit is not None:
            await self._admit(caller)
        return found

    def takes_items(self, name: str) -> bool:
        """Whether a call comes with items of the caller."""
        found = self._doors.get(name)
        return found is not None and found.sink is not None

    def drop(self, node_id: str) -> None:
        """End every connection of a node: it has been removed."""
        for writer in self._writers.pop(node_id, ()):
            writer.transport.abort()

    async def renew(self, context: ssl.SSLContext) -> None:
        """Listen with other certificates; connections that stand go on."""
        if self._server is not None:
            self._server.close()
            await self.start(self._address, context)

    async def close(self) -> None:
        """End the listener and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._supervisor.close()
