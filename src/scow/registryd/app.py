"""The application behind the registry's sockets: routes, callers, limits, errors. Everything a client sees that is no blob passes here."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from scow import log
from scow.aio import Supervisor
from scow.http.body import BodyBroken
from scow.http.head import BadRequest
from scow.http.messages import ClientGone, Request, Response
from scow.registryd import errors, names
from scow.registryd.ask import Ask, Parts
from scow.registryd.handlers import blobs, lists, manifests, token, uploads
from scow.registryd.limits import Buckets

logger = log.get(__name__)

Handler = Callable[[Ask], Awaitable[Response | None]]

HANDLERS: dict[str, Handler] = {
    "ping": lists.ping,
    "catalog": lists.catalog,
    "tags": lists.tags,
    "referrers": lists.referrers,
    "manifest": manifests.manifest,
    "blob": blobs.blob,
    "uploads": uploads.uploads,
    "upload": uploads.upload,
}
_GONE = 499  # in the metrics: the client left before its reply was whole
_LARGE = 64 << 10
_READ_ONLY = ("ping", "catalog", "tags", "referrers")


class App:
    """See the module docstring; `parts` are what handlers work with."""

    extra_head = b"Docker-Distribution-API-Version: registry/2.0\r\nX-Content-Type-Options: nosniff\r\nServer: Scow registry\r\n"

    def __init__(self, parts: Parts, tasks: Supervisor) -> None:
        self._parts = parts
        self._tasks = tasks
        rate = parts.options.rate
        self._buckets = Buckets(rate, rate * 2)

    def start(self, coro: Any, name: str) -> "asyncio.Task[Any]":
        """Run a coroutine as a task that ends with the server."""
        return self._tasks.start(coro, name)

    def handle(self, request: Request) -> Awaitable[Response | None]:
        """Answer a request."""
        return self._answer(request)

    def malformed(self, error: BadRequest) -> Response:
        """The reply to a request that is no HTTP."""
        return _response(errors.Refused(error.status, "UNSUPPORTED", error.message))

    def cancellable(self, request: Request, half: bool) -> bool:
        """Readers end with their client; what writes sees the end itself."""
        return not half and request.method in ("GET", "HEAD")

    # --- inside

    async def _answer(self, request: Request) -> Response | None:
        reply: Response | None
        try:
            reply = await self._dispatch(request)
        except ClientGone:
            self._count(request, _GONE)
            raise
        except Exception as error:
            if request.replied:
                self._note(request, error)
                self._count(request, _GONE)
                raise ClientGone from error
            reply = self._refuse(request, error)
        self._count(request, reply.status if reply is not None else 200)
        if reply is not None and len(reply.body) > _LARGE and request.method != "HEAD":
            await self._send(request, reply)
            return None
        return reply

    async def _send(self, request: Request, reply: Response) -> None:
        """A large reply to a client that may not take it: not for ever."""
        seconds = self._parts.options.stall_seconds
        try:
            writer = await request.stream(reply.status, reply.headers, "", length=len(reply.body))
            await asyncio.wait_for(writer.write(reply.body), seconds)
            await asyncio.wait_for(writer.end(), seconds)
        except TimeoutError:
            raise ClientGone from None

    async def _dispatch(self, request: Request) -> Response | None:
        path, _, query = request.head.target.partition("?")
        address = self._address(request)
        wait = self._buckets.wait(address)
        if wait:
            self._parts.metrics.add("limited_total")
            raise errors.too_many(int(wait) + 1)
        self._buckets.take(address)
        if path == "/token":
            request.head.memo = "token"
            return await token.token(request, query, self._parts.access, address)
        if path == "/" and request.method in ("GET", "HEAD"):
            return Response(200, b"A container registry lives here: its API is at /v2/.\n", content_type="text/plain; charset=utf-8")
        route = names.route(path)
        if route is None:
            raise errors.Refused(404, "UNSUPPORTED", "there is nothing at this path")
        request.head.memo = route.kind  # what the head means is the same for everybody who sends it
        if route.kind in _READ_ONLY and request.method not in ("GET", "HEAD"):
            raise errors.unsupported("this can only be read")
        caller = await self._parts.access.authenticate(request.headers, address)
        return await HANDLERS[route.kind](Ask(request, route, query, self._parts, caller))

    def _address(self, request: Request) -> str:
        if self._parts.options.trust_proxy:
            told = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            if told:
                return told[:64]
        return request.peer

    def _refuse(self, request: Request, error: Exception) -> Response:
        known = errors.of(error)
        if known is None and isinstance(error, BodyBroken | BadRequest):
            known = errors.upload_invalid(str(error))
        if known is None and isinstance(error, ValueError) and "null" in str(error):
            known = errors.name_invalid("invalid path")
        if known is None:
            logger.error("request failed: %s %s", request.method, request.head.target[:300], exc_info=error)
            known = errors.Refused(500, "UNKNOWN", "the registry failed to answer; its log says why")
        if any("REALM" in value for _, value in known.headers):
            realm = self._realm(request)
            known.headers = tuple((name, value.replace("REALM", realm, 1)) for name, value in known.headers)
        return _response(known)

    def _realm(self, request: Request) -> str:
        """Where the token endpoint is, as this client reaches it."""
        options = self._parts.options
        if options.url:
            return options.url.rstrip("/") + "/token"
        secure = bool(options.tls_certificate) or (options.trust_proxy and request.headers.get("x-forwarded-proto", "") == "https")
        host = "".join(char for char in request.headers.get("host", "") if char.isalnum() or char in ".:-[]")[:300]
        return f"{'https' if secure else 'http'}://{host}/token"

    def _note(self, request: Request, error: Exception) -> None:
        if not isinstance(error, TimeoutError | BodyBroken):
            logger.warning("reply broke off: %s %s: %s", request.method, request.head.target[:300], error)

    def _count(self, request: Request, status: int) -> None:
        kind = request.head.memo or "none"
        method = request.method if request.method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE") else "other"
        self._parts.metrics.add("requests_total", endpoint=kind, method=method, status=str(status))
        logger.debug("%s %s %d", method, request.head.target[:300], status)


def _response(refused: errors.Refused) -> Response:
    return Response(refused.status, orjson.dumps(refused.document()), refused.headers, "application/json")


class MetricsApp:
    """`/metrics` for Prometheus, on an address of its own."""

    extra_head = b"Server: Scow registry\r\n"

    def __init__(self, parts: Parts, tasks: Supervisor) -> None:
        self._parts = parts
        self._tasks = tasks

    def start(self, coro: Any, name: str) -> "asyncio.Task[Any]":
        """See App."""
        return self._tasks.start(coro, name)

    def handle(self, request: Request) -> Response:
        """The counters, at any path that ends in metrics."""
        if request.method not in ("GET", "HEAD") or request.head.target.partition("?")[0] != "/metrics":
            return Response(404, b"the counters are at /metrics\n", content_type="text/plain; charset=utf-8")
        gauges = [(name, f"How many {name} there are.", float(value)) for name, value in self._parts.store.catalog.counts().items()]
        with contextlib.suppress(ImportError, OSError, IndexError, ValueError):
            with open("/proc/self/statm", "rb") as file:
                pages = int(file.read(200).split()[1])
            gauges.append(("resident_bytes", "Memory of the server.", pages * 4096.0))
        return Response(200, self._parts.metrics.text(gauges), content_type="text/plain; version=0.0.4; charset=utf-8")

    def malformed(self, error: BadRequest) -> Response:
        """See App."""
        return Response(error.status, error.message.encode(), content_type="text/plain; charset=utf-8")

    def cancellable(self, request: Request, half: bool) -> bool:
        """See App."""
        return True
