"""/exec and POST /containers/{id}/exec."""

from scow.api import streams
from scow.api.call import Call
from scow.api.params import decode
from scow.api.router import Router
from scow.containers.exec import ExecService
from scow.containers.service import ContainerService
from scow.http.messages import Response
from scow.model.container import ExecCreate, ExecStart


def register(router: Router, service: ContainerService, execs: ExecService) -> None:
    """Add the routes."""

    async def create(call: Call) -> Response:
        container = service.get(call.path["id"])
        request = decode(ExecCreate, await call.body("exec.create"))
        return call.json({"Id": execs.create(container, request)}, 201)

    async def start(call: Call) -> Response | None:
        request = decode(ExecStart, await call.body("exec.start"))
        found = execs.ready(call.path["id"])
        if request.detach:
            await execs.start(found.id, request, None)
            return Response(200)
        sock, early = await streams.hijack(call, streams.stream_type(call, found.tty))
        await execs.start(found.id, request, sock, early)
        return None

    async def resize(call: Call) -> Response:
        rows, cols = call.query.size("h"), call.query.size("w")
        await execs.resize(call.path["id"], rows, cols)
        return Response(200)

    def inspect(call: Call) -> Response:
        return call.json(execs.inspect(call.path["id"]))

    router.add("POST", "/containers/{id}/exec", create)
    router.add("POST", "/exec/{id}/start", start)
    router.add("POST", "/exec/{id}/resize", resize)
    router.add("GET", "/exec/{id}/json", inspect)
