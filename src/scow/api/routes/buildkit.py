"""The doors of BuildKit's clients (`/grpc`, `/session`), and pruning of the build cache."""

from typing import TYPE_CHECKING

from scow.api.call import Call
from scow.api.router import Router
from scow.errors import InvalidArgument
from scow.filters import Filters
from scow.http.messages import Response

if TYPE_CHECKING:
    from scow.build.service import BuildService


class Routes:
    """Handlers; made once by `register`."""

    def __init__(self, service: "BuildService") -> None:
        self._service = service

    async def grpc(self, call: Call) -> None:
        """POST /grpc: BuildKit's API; the daemon serves."""
        _check(call)
        sock, early = await call.request.hijack(101, [("Connection", "Upgrade"), ("Upgrade", "h2c")], "UPGRADED")
        await self._service.grpc(sock, early)

    async def session(self, call: Call) -> None:
        """POST /session: a client's services; the daemon calls."""
        _check(call)
        headers = dict(call.request.headers)
        await self._service.check_session(headers)
        sock, early = await call.request.hijack(101, [("Connection", "Upgrade"), ("Upgrade", "h2c")], "UPGRADED")
        await self._service.session(sock, early, headers)

    async def prune(self, call: Call) -> Response:
        """POST /build/prune."""
        query = call.query
        filters = Filters.parse(query.text("filters"), set(self._service.filters))
        wanted = {key: sorted(values) for key in self._service.filters if (values := filters.values(key))}
        return call.json(
            await self._service.prune(
                wanted,
                all=query.boolean("all"),
                reserved=query.integer("reserved-space") or query.integer("keep-storage"),
                max_used=query.integer("max-used-space"),
                min_free=query.integer("min-free-space"),
            )
        )


def _check(call: Call) -> None:
    if call.request.head.upgrade != "h2c":
        raise InvalidArgument("this endpoint speaks HTTP/2 only: ask for `Connection: Upgrade` and `Upgrade: h2c`")


def register(router: Router, service: "BuildService") -> None:
    """Add the routes."""
    on = Routes(service)
    router.add("POST", "/grpc", on.grpc, cancel=True)
    router.add("POST", "/session", on.session, cancel=True)
    router.add("POST", "/build/prune", on.prune)
