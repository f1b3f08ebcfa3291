"""An endpoint, and one call of it. Made by `router.py` and `app.py`; `routes/` hold the handlers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from scow.api import MAX_VERSION
from scow.api.params import Query
from scow.api.wire import dumps
from scow.http.messages import Headers, Request, Response, StreamWriter

Handler = Callable[["Call"], Awaitable[Response | None] | Response | None]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `cancel` ends its work when the client is gone, `follow` already when it has ended its side; `since`: API version."""

    method: str
    pattern: str
    handler: Handler
    cancel: bool = False
    follow: bool = False
    since: int = 0


class Call:
    """One request on its way to a handler: `version` is the minor API version the client speaks, `path` the path's parameters."""

    __slots__ = ("path", "query", "request", "route", "version")

    def __init__(self, request: Request, route: Route, path: dict[str, str], query: Query, version: int) -> None:
        self.request = request
        self.route = route
        self.path = path
        self.query = query
        self.version = version

    def json(self, value: Any, status: int = 200, kind: str = "", headers: Headers = ()) -> Response:
        """A JSON reply; `kind` names it for the changes of older versions."""
        if kind and self.version < MAX_VERSION:
            from scow.api import versions

            value = versions.downgrade(kind, value, self.version)
        return Response(status, dumps(value), headers, "application/json")

    async def body(self, kind: str = "") -> Any:
        """The parsed JSON body, {} when empty, as the newest version would have sent it. Raises InvalidArgument."""
        from scow.api import params, versions

        value = await params.json_body(self.request)
        return versions.upgrade(kind, value, self.version) if kind and self.version < MAX_VERSION else value

    async def stream(self, content_type: str = "application/json", headers: Headers = (), status: int = 200) -> StreamWriter:
        """Send the head now and stream the rest."""
        return await self.request.stream(status, headers, content_type)
