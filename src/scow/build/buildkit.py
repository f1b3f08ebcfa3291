"""The engine behind BuildKit's doors: solver, ops, frontend and exporters of one daemon, bound together. Made at the first build.

`BuildKit` is `session.engine.Engine`; `service.py` makes it. Stores nothing itself.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import aio
from scow.build import frontend, imports
from scow.build.cachemounts import CacheMounts
from scow.build.executor import Executor
from scow.build.exporters import export
from scow.build.exporters.results import Target
from scow.build.llb.ops import OCI_LAYOUT, Platform
from scow.build.ops import image, ocilayout
from scow.build.ops.kit import Kit
from scow.build.ops.resolve import resolve
from scow.build.refs import TreeRef
from scow.build.remotecache import RemoteCache
from scow.build.session import worker
from scow.build.session.builds import Answer, Build
from scow.build.session.doors import Doors
from scow.build.session.engine import ExportRequest, FrontendRequest
from scow.build.session.registry import Sessions
from scow.build.solver.cachestore import CacheStore
from scow.build.solver.scheduler import Job, Solver
from scow.build.solver.step import step
from scow.build.solver.types import Options, Result
from scow.errors import InvalidArgument
from scow.reference import Reference

if TYPE_CHECKING:
    from scow.build.service import BuildService


def _of_trees(use: Callable[[TreeRef | None], None]) -> Callable[[Result], None]:
    return lambda result: use(result if isinstance(result, TreeRef) else None)


class BuildKit:
    """What a build's client sees of this engine."""

    def __init__(self, service: "BuildService") -> None:
        self._service = service
        refs = service.refs
        scratch = service.data / "build" / "scratch"
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sessions = Sessions(service.run / "agents")
        self.executor = Executor(service.run, service.tasks, service.network, service.defaults())
        self.kit = Kit(
            refs,
            service.images,
            self.executor,
            CacheMounts(refs),
            service.db,
            scratch,
            self.sessions,
            service.entitlements,
        )
        cache = CacheStore(service.db, refs.find)
        refs.on_remove = cache.removed
        self.solver = Solver(cache, partial(resolve, self.kit), self.kit.content, _of_trees(refs.hold), _of_trees(refs.release))
        self.doors = Doors(self.sessions, self, service.usage, service.db)
        self._looking = aio.KeyedLock()

    # --- session.engine.Engine

    @contextlib.asynccontextmanager
    async def job(self, id: str, session: str, entitlements: frozenset[str]) -> AsyncIterator[Job]:
        """A job of the solver."""
        job = self.solver.job(id, Options(session=session, entitlements=entitlements))
        try:
            yield job
            job.settle()
        finally:
            await job.close()

    async def frontend(self, request: FrontendRequest) -> Answer:
        """Run a frontend; the caches that it may use are the job's from now on."""
        job: Job = request.build.job
        for kind, attrs in imports.wanted(request.imports, request.options.get("cache-imports", "")):
            with contextlib.suppress(InvalidArgument):
                cache = RemoteCache(self.kit, self.sessions, job.progress, request.build.session, kind, attrs)
                if cache.ref not in {importer.ref for importer in job.importers}:
                    job.importers.append(cache)
        return await frontend.run(request, self)

    async def image_config(self, build: Build, name: str, platform: Platform | None, mode: str, shown: str) -> tuple[str, str, bytes]:
        """Reference, digest and configuration of an image. One that is here counts unless `mode` is "pull"; it has no digest."""
        if name.startswith(OCI_LAYOUT):
            async with step(build.job.progress, shown):
                found = await ocilayout.look(self.kit, build.session, name.removeprefix(OCI_LAYOUT), platform)
            return name, found.digest, found.config
        where = image.wanted(platform)
        pull = mode in ("pull", "force-pull")
        reference = Reference.parse(name)
        full = (reference if reference.digest else reference.tagged()).full()
        key = f"{full} {where} {pull}"
        async with self._looking(f"{build.id} {key}"):  # every FROM of an image asks for it: it is looked up and shown once
            if key not in build.configs:
                async with step(build.job.progress, shown or f"[internal] load metadata for {full}") as told:
                    here = await image.ensure(self.kit, told, build.session, full, where, pull)
                build.configs[key] = json.dumps(here.spec).encode()
        return full, reference.digest, build.configs[key]

    def view(self, result: Result) -> contextlib.AbstractAsyncContextManager[Path]:
        """A result as a directory to read."""
        return self._service.refs.view(result)

    async def export(self, build: Build, answer: Answer, request: ExportRequest) -> dict[str, str]:
        """Write a result where it was asked for. The answer to a question about a Dockerfile (`--call`) is no result."""
        if "result.json" in answer.metadata and not any(answer.references.values()):
            return {}
        inline = any(kind == "inline" for kind, _ in request.caches)
        target = Target(build, answer, request.attests, request.options, inline)
        return await export.export(self._service.refs, self.sessions, target, request.exports, request.caches)

    def workers(self) -> list[Any]:
        """This machine."""
        return [worker.record(self._service.id, self._service.gateway())]

    def version(self) -> Any:
        """The BuildKit that is spoken here."""
        return worker.version()

    async def close(self) -> None:
        """End all builds."""
        await self.doors.close()
        await self.solver.close()
        await self.executor.close()
