"""/containers: the life of containers, lists and inspection. Streams are in `containerio`."""

from typing import Any

from scow.api import versions
from scow.api.call import Call
from scow.api.params import decode
from scow.api.router import Router
from scow.containers.listing import ACCEPTED, Listing, ListQuery
from scow.containers.service import ContainerService
from scow.containers.view import View
from scow.errors import InvalidArgument
from scow.http.messages import Response
from scow.model.container import CreateRequest, Takeover, UpdateRequest

_PRUNE = {"until", "label", "label!"}
_STRAY_BODY = 7


class Routes:
    """Handlers; made once by `register`."""

    def __init__(self, service: ContainerService, view: View, listing: Listing) -> None:
        self._service = service
        self._view = view
        self._listing = listing

    def list(self, call: Call) -> Any:
        """GET /containers/json."""
        limit = call.query.integer("limit", 0)
        query = ListQuery(
            all=call.query.boolean("all"),
            limit=max(limit, 0),
            size=call.query.boolean("size"),
            filters=call.query.filters(set(ACCEPTED)),
        )
        if query.size or not versions.same("container.list", call.version):
            return self._list_slowly(call, query)
        return Response(200, self._listing.encoded(query) + b"\n", content_type="application/json")

    async def _list_slowly(self, call: Call, query: ListQuery) -> Response:
        return call.json(await self._listing.entries(query), kind="container.list")

    def inspect(self, call: Call) -> Any:
        """GET /containers/{id}/json."""
        container = self._service.get(call.path["id"])
        if call.query.boolean("size"):
            return self._inspect_sized(call, container)
        if versions.same("container.inspect", call.version):
            return Response(200, self._view.inspect_bytes(container) + b"\n", content_type="application/json")
        return call.json(self._view.inspect(container), kind="container.inspect")

    async def _inspect_sized(self, call: Call, container: Any) -> Response:
        return call.json(await self._view.inspect_sized(container), kind="container.inspect")

    async def create(self, call: Call) -> Response:
        """POST /containers/create."""
        body = await call.body("container.create")
        if body == {}:
            raise InvalidArgument("config cannot be empty in order to create a container")
        request = decode(CreateRequest, body)
        platform = call.query.text("platform") if call.version >= 41 else ""
        found, warnings = await self._service.create(request, call.query.text("name"), platform)
        return call.json({"Id": found, "Warnings": warnings or []}, 201)

    async def start(self, call: Call) -> Response:
        """POST /containers/{id}/start."""
        length = call.request.head.length
        if length is None or length > _STRAY_BODY:
            raise InvalidArgument("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
        if call.query.text("checkpoint"):
            raise InvalidArgument("checkpoints are not supported by this engine")
        await self._service.start(call.path["id"])
        return Response(204)

    def _signal_and_timeout(self, call: Call) -> tuple[str, int | None]:
        return call.query.text("signal") if call.version >= 42 else "", call.query.optional_integer("t")

    async def stop(self, call: Call) -> Response:
        """POST /containers/{id}/stop."""
        await self._service.stop(call.path["id"], *self._signal_and_timeout(call))
        return Response(204)

    async def restart(self, call: Call) -> Response:
        """POST /containers/{id}/restart."""
        await self._service.restart(call.path["id"], *self._signal_and_timeout(call))
        return Response(204)

    async def kill(self, call: Call) -> Response:
        """POST /containers/{id}/kill."""
        await self._service.kill(call.path["id"], call.query.text("signal"))
        return Response(204)

    async def pause(self, call: Call) -> Response:
        """POST /containers/{id}/pause."""
        await self._service.pause(call.path["id"])
        return Response(204)

    async def unpause(self, call: Call) -> Response:
        """POST /containers/{id}/unpause."""
        await self._service.unpause(call.path["id"])
        return Response(204)

    async def rename(self, call: Call) -> Response:
        """POST /containers/{id}/rename."""
        await self._service.rename(call.path["id"], call.query.text("name"))
        return Response(204)

    async def takeover(self, call: Call) -> Response:
        """POST /scow/containers/{id}/takeover: ports and `Names` (by network) of container `From` are this one's from now on."""
        request = decode(Takeover, await call.body())
        await self._service.take_over(call.path["id"], request.from_, request.names)
        return Response(204)

    async def update(self, call: Call) -> Response:
        """POST /containers/{id}/update."""
        request = decode(UpdateRequest, await call.body("container.update"))
        return call.json({"Warnings": await self._service.update(call.path["id"], request) or []})

    async def resize(self, call: Call) -> Response:
        """POST /containers/{id}/resize."""
        await self._service.resize(call.path["id"], call.query.size("h"), call.query.size("w"))
        return Response(200)

    async def remove(self, call: Call) -> Response:
        """DELETE /containers/{id}."""
        query = call.query
        await self._service.remove(call.path["id"], force=query.boolean("force"), volumes=query.boolean("v"), link=query.boolean("link"))
        return Response(204)

    async def prune(self, call: Call) -> Response:
        """POST /containers/prune."""
        return call.json(await self._service.prune(call.query.filters(_PRUNE)))

    async def wait(self, call: Call) -> None:
        """POST /containers/{id}/wait: the head at once, the code when it is known."""
        condition = call.query.text("condition") if call.version >= 30 else ""
        waiter = self._service.waiter(call.path["id"], condition)
        try:
            writer = await call.stream()
            result = await waiter
        finally:
            waiter.cancel()
        from scow.api.wire import dumps

        reply: dict[str, Any] = {"StatusCode": result.code}
        if result.error:
            reply["Error"] = {"Message": result.error}
        await writer.write(dumps(reply))
        await writer.end()


def register(router: Router, service: ContainerService, view: View, listing: Listing) -> None:
    """Add the routes."""
    on = Routes(service, view, listing)
    router.add("GET", "/containers/json", on.list)
    router.add("POST", "/containers/create", on.create)
    router.add("POST", "/containers/prune", on.prune, since=25)
    router.add("GET", "/containers/{id}/json", on.inspect)
    router.add("DELETE", "/containers/{id}", on.remove)
    router.add("POST", "/scow/containers/{id}/takeover", on.takeover)
    router.add("POST", "/containers/{id}/wait", on.wait, follow=True)
    for verb in ("start", "stop", "restart", "kill", "pause", "unpause", "rename", "update", "resize"):
        router.add("POST", f"/containers/{{id}}/{verb}", getattr(on, verb))
