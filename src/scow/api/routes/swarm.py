"""/swarm, /services, /tasks, /nodes, /secrets, /configs: the handlers. Which is for which route says `swarmtable.py`, which loads them."""

from typing import Any, ClassVar

from scow.api import streams
from scow.api.call import Call
from scow.containers import names
from scow.errors import InvalidArgument
from scow.http.messages import Response
from scow.swarm import shapes, warnings
from scow.swarm.manager import payloads
from scow.swarm.manager.filtering import NODE_FILTERS, PAYLOAD_FILTERS, SERVICE_FILTERS, TASK_FILTERS
from scow.swarm.objects import Config, Secret
from scow.swarm.service import SwarmService
from scow.units import parse_timestamp

_LONGEST_NUMBER = 20


def _version(call: Call, kind: str) -> int:
    text = call.query.text("version")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else -1
    if 0 <= number < 1 << 64:
        return number
    if kind in ("secret", "config"):
        raise InvalidArgument(f"invalid {kind} version")
    why = "value out of range" if text.isascii() and text.isdigit() else "invalid syntax"
    raise InvalidArgument(f"invalid {kind} version '{text[:40]}': strconv.ParseUint: parsing \"{text[:40]}\": {why}")


async def _document(call: Call, shape: shapes.Struct) -> dict[str, Any]:
    return shapes.read(await call.body(), shape)


def _warnings(spec: dict[str, Any]) -> dict[str, Any]:
    found = warnings.of_service(spec)
    return {"Warnings": found} if found else {}


def _auth(call: Call) -> str:
    return call.request.headers.get("x-registry-auth", "")


class Cluster:
    """/swarm."""

    def __init__(self, swarm: SwarmService) -> None:
        self._swarm = swarm

    def inspect(self, call: Call) -> Response:
        """GET /swarm."""
        return call.json(self._swarm.inspect())

    async def init(self, call: Call) -> Response:
        """POST /swarm/init."""
        return call.json(await self._swarm.init(await _document(call, shapes.INIT)))

    async def join(self, call: Call) -> Response:
        """POST /swarm/join."""
        await self._swarm.join(await _document(call, shapes.JOIN))
        return Response(200)

    async def leave(self, call: Call) -> Response:
        """POST /swarm/leave."""
        await self._swarm.leave(call.query.boolean("force"))
        return Response(200)

    async def update(self, call: Call) -> Response:
        """POST /swarm/update."""
        rotate = {
            "worker": call.query.flag("rotateWorkerToken"),
            "manager": call.query.flag("rotateManagerToken"),
            "unlock": call.query.flag("rotateManagerUnlockKey"),
        }
        _ = self._swarm.control
        await self._swarm.update(_version(call, "swarm"), await _document(call, shapes.CLUSTER), rotate)
        return Response(200)

    async def unlock(self, call: Call) -> Response:
        """POST /swarm/unlock."""
        await self._swarm.unlock(str((await _document(call, shapes.UNLOCK)).get("UnlockKey") or ""))
        return Response(200)

    def unlock_key(self, call: Call) -> Response:
        """GET /swarm/unlockkey."""
        return call.json({"UnlockKey": self._swarm.unlock_key()})


class Services:
    """/services and /tasks."""

    def __init__(self, swarm: SwarmService) -> None:
        self._swarm = swarm

    def list(self, call: Call) -> Response:
        """GET /services."""
        control = self._swarm.control
        return call.json(control.services(call.query.filters(SERVICE_FILTERS), call.query.flag("status", explained=True)))

    def inspect(self, call: Call) -> Response:
        """GET /services/{id}."""
        return call.json(self._swarm.control.service(call.path["id"], call.query.flag("insertDefaults", explained=True)))

    async def create(self, call: Call) -> Response:
        """POST /services/create."""
        control = self._swarm.control
        document = await _document(call, shapes.SERVICE)
        if not document.get("Name"):
            document = {**document, "Name": names.generate(lambda name: False, "service")}
        id = await control.create_service(document, _auth(call))
        return call.json({"ID": id, **_warnings(document)}, 201)

    async def update(self, call: Call) -> Response:
        """POST /services/{id}/update."""
        control, query = self._swarm.control, call.query
        document = await _document(call, shapes.SERVICE)
        await control.update_service(
            call.path["id"],
            _version(call, "service"),
            document,
            _auth(call),
            query.text("registryAuthFrom"),
            query.text("rollback"),
        )
        return call.json(_warnings(document))

    async def remove(self, call: Call) -> Response:
        """DELETE /services/{id}."""
        await self._swarm.control.remove_service(call.path["id"])
        return Response(200)

    def tasks(self, call: Call) -> Response:
        """GET /tasks."""
        return call.json(self._swarm.control.tasks(call.query.filters(TASK_FILTERS)))

    def task(self, call: Call) -> Response:
        """GET /tasks/{id}."""
        return call.json(self._swarm.control.task(call.path["id"]))

    async def logs(self, call: Call) -> None:
        """GET /services/{id}/logs and /tasks/{id}/logs."""
        query = call.query
        options = {
            "follow": query.boolean("follow"),
            "stdout": query.boolean("stdout"),
            "stderr": query.boolean("stderr"),
            "timestamps": query.boolean("timestamps"),
            "details": query.boolean("details"),
            "since_ns": max(0, parse_timestamp(query.text("since"))),
            "tail": query.text("tail") or "all",
        }
        kind = "task" if call.route.pattern.startswith("/tasks") else "service"
        pieces = await self._swarm.logs(kind, call.path["id"], options)
        await streams.send(call, pieces, streams.stream_type(call, False))


class Nodes:
    """/nodes."""

    def __init__(self, swarm: SwarmService) -> None:
        self._swarm = swarm

    def list(self, call: Call) -> Response:
        """GET /nodes."""
        return call.json(self._swarm.control.nodes(call.query.filters(NODE_FILTERS)))

    def inspect(self, call: Call) -> Response:
        """GET /nodes/{id}."""
        return call.json(self._swarm.control.node(call.path["id"]))

    async def update(self, call: Call) -> Response:
        """POST /nodes/{id}/update."""
        control = self._swarm.control
        await control.update_node(call.path["id"], _version(call, "node"), await _document(call, shapes.NODE))
        return Response(200)

    async def remove(self, call: Call) -> Response:
        """DELETE /nodes/{id}."""
        await self._swarm.control.remove_node(call.path["id"], call.query.boolean("force"))
        return Response(200)


class Payloads:
    """/secrets and /configs."""

    _cls: ClassVar[type[Secret] | type[Config]]
    _shape: ClassVar[shapes.Struct]

    def __init__(self, swarm: SwarmService) -> None:
        self._swarm = swarm

    @property
    def _held(self) -> payloads.Payloads[Secret] | payloads.Payloads[Config]:
        control = self._swarm.control
        return control.secrets if self._cls is Secret else control.configs

    def list(self, call: Call) -> Response:
        """GET /secrets, /configs."""
        return call.json(self._held.all(call.query.filters(PAYLOAD_FILTERS)))

    def inspect(self, call: Call) -> Response:
        """GET /secrets/{id}, /configs/{id}."""
        return call.json(self._held.inspect(call.path["id"]))

    async def create(self, call: Call) -> Response:
        """POST /secrets/create, /configs/create."""
        held = self._held
        return call.json({"ID": await held.create(await _document(call, self._shape))}, 201)

    async def update(self, call: Call) -> Response:
        """POST /secrets/{id}/update, /configs/{id}/update."""
        held, version = self._held, _version(call, self._cls.kind)
        await held.update(call.path["id"], version, await _document(call, self._shape))
        return Response(200)

    async def remove(self, call: Call) -> Response:
        """DELETE /secrets/{id}, /configs/{id}."""
        await self._held.remove(call.path["id"])
        return Response(204)


class Secrets(Payloads):
    """/secrets."""

    _cls, _shape = Secret, shapes.SECRET


class Configs(Payloads):
    """/configs."""

    _cls, _shape = Config, shapes.CONFIG
