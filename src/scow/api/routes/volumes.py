"""/volumes."""

from scow.api import streams
from scow.api.call import Call
from scow.api.params import decode
from scow.api.router import Router
from scow.http.messages import Response
from scow.model.volume import VolumeCreate
from scow.volumes.service import VolumeService
from scow.volumes.travel import VolumeTravel

_LIST = {"dangling", "driver", "label", "name"}
_PRUNE = {"label", "label!", "all"}


def register(router: Router, volumes: VolumeService, travel: VolumeTravel) -> None:
    """Add the routes."""

    async def show(call: Call) -> Response:
        return call.json(await volumes.list(call.query.filters(_LIST)))

    async def create(call: Call) -> Response:
        return call.json(await volumes.create(decode(VolumeCreate, await call.body("volume.create"))), 201)

    async def inspect(call: Call) -> Response:
        return call.json(await volumes.inspect(call.path["name"]))

    async def remove(call: Call) -> Response:
        await volumes.remove(call.path["name"], call.query.boolean("force"))
        return Response(204)

    async def prune(call: Call) -> Response:
        filters = call.query.filters(_PRUNE)
        anonymous_only = call.version >= 42 and not filters.boolean("all", False)
        return call.json(await volumes.prune(filters, anonymous_only))

    async def export(call: Call) -> None:
        await streams.send_checked(call, travel.export(call.path["name"]), streams.TAR)

    async def import_(call: Call) -> Response:
        return call.json(await travel.import_(call.path["name"], call.request.body))

    async def size(call: Call) -> Response:
        return call.json({"Size": await travel.size(call.path["name"])})

    router.add("GET", "/scow/volumes/{name}/size", size)
    router.add("GET", "/scow/volumes/{name}/export", export, cancel=True)
    router.add("POST", "/scow/volumes/{name}/import", import_, cancel=True)
    router.add("GET", "/volumes", show)
    router.add("POST", "/volumes/create", create)
    router.add("POST", "/volumes/prune", prune, since=25)
    router.add("GET", "/volumes/{name:path}", inspect)
    router.add("DELETE", "/volumes/{name:path}", remove)
