"""Requests without a connection: `ask(app, "GET /info")` gives what a client would get; `Recorder` stands for any service.

service = Recorder(create=("id", []), remove=None)
answer = ask(app_with(lambda router: volumes.register(router, service)), "DELETE /volumes/x?force=1")
assert service.calls == [("remove", ("x", True), {})]
"""

import asyncio
import inspect
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.aio import Supervisor
from scow.api.app import App
from scow.api.router import Router
from scow.http.body import BodyReader
from scow.http.head import parse
from scow.http.messages import Request, Response


@dataclass
class Answer:
    """A reply: of a stream, `body` is all that was written; of a hijacked one, `raw` is the client's end."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    raw: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class _Writer:
    answer: Answer

    async def write(self, data: bytes) -> None:
        self.answer.body += data

    async def end(self) -> None: ...


@dataclass
class Line:
    """The connection as a request sees it."""

    answer: Answer | None = None
    client: socket.socket | None = None
    lost: "asyncio.Future[None] | None" = None

    async def start_stream(self, request: Request, status: int, headers: list[tuple[str, str]], length: int | None = None) -> _Writer:
        self.answer = Answer(status, {name.lower(): value for name, value in headers})
        return _Writer(self.answer)

    async def hijack(self, status: int, reason: str, headers: list[tuple[str, str]]) -> tuple[socket.socket, bytes]:
        self.answer = Answer(status, {name.lower(): value for name, value in headers})
        self.client, server = socket.socketpair()
        return server, b""


def app_with(register: Callable[[Router], Any]) -> Callable[[], App]:
    """Makes applications that have the routes of `register`, ready to answer."""

    def make() -> App:
        app = App(Supervisor("test"))
        register(app.router)
        app.opened()
        return app

    return make


async def asked(app: App, line: str, body: Any = None, headers: Mapping[str, str] | None = None, wire: Line | None = None) -> Answer:
    """As `ask`, inside a running loop; `wire.answer` grows while a stream is written."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{line} HTTP/1.1", "Host: d", f"Content-Length: {len(data)}"]
    if data and "Content-Type" not in (headers or {}):
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    reader = BodyReader(lambda: None, lambda: None, lambda: None)
    if data:
        reader.put(data)
    reader.end()
    wire = wire or Line()
    request = Request(wire, parse("\r\n".join([*lines, "", ""]).encode()), reader)  # type: ignore[arg-type]
    reply = app.handle(request)
    if inspect.isawaitable(reply):
        reply = await reply
    if isinstance(reply, Response):
        return Answer(reply.status, {name.lower(): value for name, value in reply.headers}, reply.body)
    assert wire.answer is not None
    if wire.client is not None:
        with wire.client as client:
            client.settimeout(20)
            while piece := client.recv(4096):
                wire.answer.raw += piece
    return wire.answer


def ask(make: Callable[[], App], line: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request; `body` is JSON unless it is bytes."""

    async def main() -> Answer:
        return await asked(make(), line, body, headers)

    return asyncio.run(main())


@dataclass
class Recorder:
    """Takes any call, keeps it, and gives what was set for its name: a value, an exception to raise, or a callable to ask.

    `sync` names the methods that are no coroutines; a list set for a name in `streams` is iterated.
    """

    results: dict[str, Any] = field(default_factory=dict)
    sync: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def note(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.calls.append((name, args, kwargs))
            result = self.results.get(name)
            if isinstance(result, Exception):
                raise result
            return result(*args, **kwargs) if callable(result) else result

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return note(args, kwargs)

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            for item in note(args, kwargs):
                if isinstance(item, Exception):
                    raise item
                yield item

        def plain(*args: Any, **kwargs: Any) -> Any:
            return note(args, kwargs)

        return plain if name in self.sync else stream if name in self.streams else coroutine
