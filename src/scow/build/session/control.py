"""moby.buildkit.v1.Control: builds, their progress, the cache and the history, for the clients of `/grpc`. Stores nothing itself."""

import asyncio
import socket
import time
from typing import Any

from scow import log
from scow.build.llb import wire
from scow.build.session import progress, rpc
from scow.build.session.builds import Answer, Build, Builds
from scow.build.session.engine import Engine, ExportRequest, FrontendRequest
from scow.build.session.history import History, Record
from scow.build.session.messages import HEALTH, V1
from scow.build.session.registry import Sessions
from scow.build.usage import ACCEPTED, Prune, Row, Usage, matches
from scow.errors import InvalidArgument, Unsupported

logger = log.get(__name__)

_ENTITLEMENTS = frozenset({"network.host", "security.insecure"})
_MAX_EXPORTS = 50
_CHUNK = 32 << 10


class Control:
    """The service; one for all connections."""

    def __init__(self, builds: Builds, engine: Engine, sessions: Sessions, usage: Usage, history: History) -> None:
        self.builds, self._engine, self._sessions, self._usage, self._history = builds, engine, sessions, usage, history

    # --- builds

    async def solve(self, request: Any, call: rpc.Call | None) -> Any:
        """Build, export, answer with the facts about what was made. Without graph and frontend the client's gateway says what to build."""
        entitlements = frozenset(request.Entitlements)
        if unknown := sorted(one for one in entitlements if one.partition("=")[0] not in _ENTITLEMENTS):
            raise InvalidArgument(f"this engine knows no entitlement {unknown[0]!r}")
        if request.SourcePolicy.rules or request.SourcePolicySession:
            raise Unsupported("source policies are not supported by this engine: leave out EXPERIMENTAL_BUILDKIT_SOURCE_POLICY")
        exports = tuple((one.Type, dict(one.Attrs)) for one in request.Exporters)
        if not exports and request.ExporterDeprecated:
            exports = ((request.ExporterDeprecated, dict(request.ExporterAttrsDeprecated)),)
        if len(exports) > _MAX_EXPORTS:
            raise InvalidArgument(f"more than {_MAX_EXPORTS} outputs")
        options = dict(request.FrontendAttrs)
        wanted = ExportRequest(exports, _caches(request.Cache), _attests(options), options)
        inputs = {name: wire.decode(one) for name, one in request.FrontendInputs.items()}
        record = Record(request.Ref, request.Frontend, options, exports, time.time_ns())
        async with self._engine.job(request.Ref, request.Session, entitlements) as job:
            build = Build(request.Ref, request.Session, job, inputs)
            build.explain = "scow.explain" in options
            try:
                async with self.builds.open(build), self._history.recording(record, build, request.Internal):
                    answer = await self._answer(request, build)
                    for reference in answer.references.values():
                        if reference is not None:
                            await reference.tree()
                    facts = await self._engine.export(build, answer, wanted)
                    record.response = {key: value for key, value in facts.items() if isinstance(value, str)}
            finally:
                self._usage.gc_later()
        return V1.SolveResponse(ExporterResponse=record.response)

    async def _answer(self, request: Any, build: Build) -> Answer:
        if getattr(request.Definition, "def"):
            return Answer({"": build.reference(wire.decode(request.Definition))})
        if request.Frontend:
            imports = tuple((one.Type, dict(one.Attrs)) for one in request.Cache.Imports)
            return await self._engine.frontend(FrontendRequest(request.Frontend, dict(request.FrontendAttrs), build.inputs, imports, build))
        return await asyncio.shield(build.outcome)

    async def status(self, request: Any, call: rpc.Call) -> None:
        """The progress of a build, from its begin to its end; of one that is over, as far as the history has it."""
        over = self._history.progress(request.Ref)
        if over is None:
            build = await self.builds.told(request.Ref)
            responses = progress.responses(build.job.progress.subscribe(), build.explain)
        else:
            responses = progress.responses(over.subscribe(), False)
        async for response in responses:
            await call.send(response)

    async def session(self, call: rpc.Call) -> None:
        """A session inside a call: bytes both ways."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()

        async def inward() -> None:
            while (message := await call.read()) is not None:
                await loop.sock_sendall(ours, V1.BytesMessage.FromString(message).data)
            ours.shutdown(socket.SHUT_WR)

        async def outward() -> None:
            while data := await loop.sock_recv(ours, _CHUNK):
                await call.send(V1.BytesMessage(data=data))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sessions.serve(theirs, b"", call.headers))
                group.create_task(outward())
                reader = group.create_task(inward())
            reader.cancel()
        except* OSError:
            pass
        finally:
            ours.close()

    # --- the engine

    async def list_workers(self, request: Any, call: rpc.Call) -> Any:
        """The one worker there is: this machine."""
        return V1.ListWorkersResponse(record=self._engine.workers())

    async def info(self, request: Any, call: rpc.Call) -> Any:
        """What BuildKit this is like."""
        return V1.InfoResponse(buildkitVersion=self._engine.version())

    # --- the cache

    async def disk_usage(self, request: Any, call: rpc.Call) -> Any:
        """The trees of the cache."""
        filters, now = _filters(request.filter), time.time_ns()
        rows = [row for row in await self._usage.rows() if matches(row, filters, now)]
        return V1.DiskUsageResponse(record=[_record(row) for row in rows])

    async def prune(self, request: Any, call: rpc.Call) -> None:
        """Remove trees of the cache; each is told."""
        what = Prune(
            all=request.all,
            filters=_filters(request.filter),
            unused_ns=max(request.keepDuration, 0),
            reserved=max(request.reservedSpace, 0),
            max_used=max(request.maxUsedSpace, 0),
            min_free=max(request.minFreeSpace, 0),
        )
        for row in await self._usage.prune(what):
            await call.send(_record(row))

    # --- history

    async def listen_build_history(self, request: Any, call: rpc.Call) -> None:
        """Records of builds; what comes later, too, until the client leaves."""
        async for event in self._history.listen(request):
            await call.send(event)

    async def update_build_history(self, request: Any, call: rpc.Call) -> Any:
        """Pin or remove a record."""
        self._history.update(request)
        return V1.UpdateBuildHistoryResponse()


class Health:
    """grpc.health.v1.Health: well as long as it answers."""

    async def check(self, request: Any, call: rpc.Call) -> Any:
        """Serving."""
        return HEALTH.HealthCheckResponse(status=1)


def _caches(cache: Any) -> tuple[tuple[str, dict[str, str]], ...]:
    found = [(one.Type, dict(one.Attrs)) for one in cache.Exports]
    if not found and cache.ExportRefDeprecated:
        found = [("registry", {"ref": cache.ExportRefDeprecated, **dict(cache.ExportAttrsDeprecated)})]
    return tuple(found)


def _attests(options: dict[str, str]) -> dict[str, str]:
    return {key.partition(":")[2]: value for key, value in options.items() if key.startswith("attest:")}


def _filters(listed: Any) -> dict[str, list[str]]:
    """BuildKit's filters (`type==regular`, `id~=x`, `inuse`) by key, as `usage.matches` has them."""
    found: dict[str, list[str]] = {}
    for text in listed:
        for part in filter(None, str(text).split(",")):
            negated = "!=" in part
            key, mark, value = part.partition("~=") if "~=" in part else part.partition("!=" if negated else "==" if "==" in part else "=")
            key = key.strip().lower()
            if key not in ACCEPTED:
                raise InvalidArgument(f"invalid filter {key!r}")
            found.setdefault(key + ("!" if negated else ""), []).append(("~=" if mark == "~=" else "") + value.strip())
    return found


def _record(row: Row) -> Any:
    made = V1.UsageRecord(
        ID=row.id,
        Mutable=row.mutable,
        InUse=row.in_use,
        Size=row.size,
        UsageCount=row.count,
        Description=row.description,
        RecordType=row.type,
        Shared=row.shared,
        Parents=row.parents,
    )
    made.CreatedAt.seconds, made.CreatedAt.nanos = divmod(row.created_ns, 1_000_000_000)
    if row.used_ns:
        made.LastUsedAt.seconds, made.LastUsedAt.nanos = divmod(row.used_ns, 1_000_000_000)
    return made
