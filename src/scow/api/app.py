"""The application: versions, routing, errors. `daemon.wiring` registers routes; until then state-changing requests wait for the engine.

`_ping` is answered before everything else, from the first moment the socket exists.
"""

import asyncio
import inspect
import posixpath
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, unquote

from scow import log
from scow.aio import Supervisor
from scow.api import MAX_VERSION, MIN_VERSION, errors, version_text
from scow.api.call import Call, Route
from scow.api.params import Query
from scow.api.router import Router
from scow.errors import InvalidArgument, ScowError
from scow.http.head import BadRequest, Head
from scow.http.messages import ClientGone, Request, Response
from scow.system.names import SERVER_NAME

logger = log.get(__name__)

_VERSIONED = re.compile(r"/v([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})(/.*)\Z", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BOOT_SECONDS = 120.0
_PING = [
    ("Builder-Version", "2"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
]


class _Plan:
    """What is known of a request from its head alone."""

    __slots__ = ("path", "query", "response", "route", "version")

    def __init__(self, response: Response | None = None) -> None:
        self.response = response
        self.route: Route | None = None
        self.path: dict[str, str] = {}
        self.query = Query("")
        self.version = MAX_VERSION


class App:
    """The application behind every listening socket."""

    def __init__(self, tasks: Supervisor) -> None:
        self.router = Router()
        self._tasks = tasks
        self._ready: asyncio.Event = asyncio.Event()
        self._failure = ""
        self.extra_head = (
            f"Api-Version: {version_text(MAX_VERSION)}\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: {SERVER_NAME}\r\n"
        ).encode()
        self._pongs: dict[tuple[bytes, str], Response] = {}
        self.swarm_word: Callable[[], str] = lambda: "inactive"
        """What /_ping says of the swarm: inactive, pending, error, locked, active/worker, active/manager."""

    def _pong(self, body: bytes) -> Response:
        key = (body, self.swarm_word())
        found = self._pongs.get(key)
        if found is None:
            found = self._pongs[key] = Response(200, body, [*_PING, ("Swarm", key[1])], "text/plain; charset=utf-8")
        return found

    def opened(self) -> None:
        """All routes are registered and the engine has recovered: requests may come through."""
        self._ready.set()

    def start(self, coro: Any, name: str) -> "asyncio.Task[Any]":
        """Run a coroutine as a task that ends with the server."""
        return self._tasks.start(coro, name)

    # --- http.connection.Application

    def handle(self, request: Request) -> Response | Awaitable[Response | None]:
        """Answer, at once where nothing has to be awaited."""
        head = request.head
        plan: _Plan | None = head.memo
        if plan is None:
            plan = self._plan(head)
            if plan is None:
                return self._when_ready(request)
        if plan.response is not None:
            return plan.response
        return self._call(request, plan)

    def malformed(self, error: BadRequest) -> Response:
        """The reply to a request that is no HTTP."""
        return errors.message(error.status, error.message)

    def cancellable(self, request: Request, half: bool) -> bool:
        """Streams end with their client; a stop, kill or remove under way does not."""
        plan: _Plan | None = request.head.memo
        if plan is None or plan.route is None:
            return True
        return plan.route.follow if half else plan.route.cancel

    # --- inside

    def _plan(self, head: Head) -> _Plan | None:
        """Route a head; None: the engine is not ready to say."""
        target, _, query = head.target.partition("?")
        plan = _Plan()
        try:
            if _BAD_ESCAPE.search(target):
                raise InvalidArgument("malformed request: invalid URL escape in the path")
            path, version, wrong = _version(target)
            if path == "/_ping" and head.method in ("GET", "HEAD"):
                plan.response = wrong or (self._pong(b"OK") if head.method == "GET" else self._pong(b""))
            elif head.method == "OPTIONS":
                plan.response = Response(200)
            elif (clean := _clean(target)) is not None:
                plan.response = Response(301, b"", [("Location", clean + ("?" + query if query else ""))])
            elif not self._ready.is_set():
                return None
            else:
                found = self.router.find(head.method, "/networks" if path == "/networks/" else path)
                if found is None or version < found[0].since:
                    plan.response = errors.message(404, "page not found")
                elif wrong is not None:
                    plan.response = wrong
                else:
                    plan.route, plan.path = found
                    plan.version = version
                    plan.query = Query(query)
        except ScowError as error:
            plan.response = errors.message(errors.status_of(error), error.message)
        head.memo = plan
        return plan

    async def _when_ready(self, request: Request) -> Response | None:
        try:
            await asyncio.wait_for(self._ready.wait(), _BOOT_SECONDS)
        except TimeoutError:
            return errors.message(503, "the engine is still starting")
        answer = self.handle(request)
        return answer if isinstance(answer, Response) else await answer

    def _call(self, request: Request, plan: _Plan) -> Response | Awaitable[Response | None]:
        assert plan.route is not None
        call = Call(request, plan.route, plan.path, plan.query, plan.version)
        try:
            answer = call.route.handler(call)
        except Exception as error:
            return errors.reply(error, f"{request.method} {call.route.pattern}")
        if isinstance(answer, Response):
            return answer
        return self._guard(call, answer)

    async def _guard(self, call: Call, answer: Any) -> Response | None:
        """Await a handler; whatever it raises becomes the right reply, or, behind a reply already begun, the end of the connection."""
        what = f"{call.request.method} {call.route.pattern}"
        try:
            reply: Response | None = await answer if inspect.isawaitable(answer) else answer
        except ClientGone:
            raise
        except Exception as error:
            if call.request.replied:
                logger.warning("stream broke off: %s: %s", what, errors.message_of(error))
                raise ClientGone from error
            return errors.reply(error, what)
        if reply is None and not call.request.replied:
            return Response(204)
        return reply


def _clean(target: str) -> str | None:
    """The path without empty segments and dots where it has any: Docker's router sends clients there."""
    path = unquote(target, errors="replace")
    if path[:1] != "/" or ("//" not in path and "/." not in path):
        return None
    clean = posixpath.normpath(path).replace("//", "/")
    if path.endswith("/") and clean != "/":
        clean += "/"
    return quote(clean, safe="/:@!$&'()*+,;=~") if clean != path else None


def _version(target: str) -> tuple[str, int, Response | None]:
    """(path without prefix, minor version, the refusal of a version that is not spoken)."""
    if not target.startswith("/v"):
        return target, MAX_VERSION, None
    match = _VERSIONED.match(target)
    if match is None:
        return target, MAX_VERSION, None
    text, path = match.groups()
    parts = [int(part) for part in text.split(".")]
    if len(parts) == 2 and parts[0] == 1 and MIN_VERSION <= parts[1] <= MAX_VERSION:
        return path, parts[1], None
    if tuple(parts) > (1, MAX_VERSION):
        sentence = f"client version {text} is too new. Maximum supported API version is {version_text(MAX_VERSION)}"
    else:
        sentence = (
            f"client version {text} is too old. Minimum supported API version is {version_text(MIN_VERSION)}, "
            "please upgrade your client to a newer version"
        )
    return path, MAX_VERSION, errors.message(400, sentence)
