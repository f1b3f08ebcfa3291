"""One vertex on its way to a result, shared by all jobs that need it.

`probe` finds the vertex's key and a stored result, running as little as it can; `result` has it made when there is none. Both run once, as
tasks of the solver: who waits may be cancelled without harm. When no job needs the state any more, `close` cancels what runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from scow import log
from scow.build.llb.ops import Vertex
from scow.build.solver.cachestore import Record, combine
from scow.build.solver.types import (
    BuildError,
    CacheMap,
    Dependency,
    Event,
    Op,
    Result,
    VertexLog,
    VertexProgress,
    VertexStatus,
    VertexWarning,
)

if TYPE_CHECKING:
    from scow.build.solver.scheduler import Job, Solver

logger = log.get(__name__)
T = TypeVar("T")
_SLOT_WEIGHT = 1


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known before the vertex runs. `canonical` None: only its run will tell, and it is sure to run."""

    map: CacheMap
    canonical: str | None
    record: Record | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = None


class State:
    """A vertex, its inputs' states and the jobs that need it."""

    def __init__(self, solver: Solver, key: str, vertex: Vertex, inputs: Sequence[tuple[State, int]], fresh: bool) -> None:
        self._solver = solver
        self.key = key
        self.vertex = vertex
        self.inputs = inputs
        self.fresh = fresh
        self.jobs: list[Job] = []
        self.failed = False
        self.canonical = ""
        self.record_key = ""
        """Under which the cache has its result, "" = it has none."""
        self._op: Op | None = None
        self._probing: asyncio.Task[_Outcome] | None = None
        self._making: asyncio.Task[_Outcome] | None = None
        self._deferred: list[Callable[[], Awaitable[None]]] = []
        self._held: list[Result] = []
        meta = vertex.meta
        digests = tuple(state.vertex.digest for state, _ in inputs)
        self.progress = VertexProgress(vertex.digest, meta.name or key, digests, progress_group=meta.progress_group)

    # ---- the JobContext of the op --------------------------------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """The session of the first job that needs it."""
        return self.jobs[0].options.session if self.jobs else ""

    @property
    def sessions(self) -> Sequence[str]:
        """Every session that waits for it."""
        return [job.options.session for job in self.jobs if job.options.session]

    def allowed(self, entitlement: str) -> bool:
        """See JobContext."""
        return any(entitlement in job.options.entitlements for job in self.jobs)

    def begin(self) -> None:
        """It runs."""
        if not self.progress.started_ns:
            self.show(started_ns=time.time_ns())

    def defer(self, undo: Callable[[], Awaitable[None]]) -> None:
        """See JobContext."""
        self._deferred.append(undo)

    def log(self, data: bytes, stream: int = 1) -> None:
        """See JobContext."""
        self._tell(VertexLog(self.vertex.digest, stream, data, time.time_ns()))

    def status(self, id: str, *, name: str = "", current: int = 0, total: int = 0, completed: bool = False) -> None:
        """See JobContext."""
        now = time.time_ns()
        self._tell(VertexStatus(id, self.vertex.digest, name or id, current, total, now, now, now if completed else 0))

    def warn(self, short: str, detail: Sequence[str] = (), url: str = "", level: int = 1) -> None:
        """See JobContext."""
        self._tell(VertexWarning(self.vertex.digest, level, short, tuple(detail), url))

    def _tell(self, event: Event) -> None:
        for job in self.jobs:
            job.progress.tell(event)

    def show(self, **changes: Any) -> None:
        """Tell how it stands."""
        self.progress = replace(self.progress, **changes)
        self._tell(self.progress)

    def join(self, job: Job) -> None:
        """One more job needs it."""
        if job not in self.jobs:
            self.jobs.append(job)
            if self.progress.started_ns or self.progress.completed_ns:
                job.progress.tell(self.progress)

    # ---- tasks ---------------------------------------------------------------------------------------------------------------------

    async def _guard(self, work: Coroutine[Any, Any, T]) -> _Outcome:
        try:
            return _Outcome(await work)
        except Exception as error:
            self.failed = True
            self._solver.drop(self)
            return _Outcome(error=self._blame(error))

    def _blame(self, error: Exception) -> BuildError:
        if isinstance(error, BuildError):
            if not error.vertex:
                error.vertex, error.name = self.vertex.digest, self.progress.name
                self._fail(str(error))
            return error
        from scow.errors import ScowError

        if not isinstance(error, ScowError):
            logger.error("vertex %s failed", self.progress.name, exc_info=error)
        text = str(error) if isinstance(error, ScowError) else f"internal error: {type(error).__name__}"
        self._fail(text)
        return BuildError(text, vertex=self.vertex.digest, name=self.progress.name, reason=error)

    def _fail(self, text: str) -> None:
        now = time.time_ns()
        self.show(started_ns=self.progress.started_ns or now, completed_ns=now, error=text)

    async def _wait(self, task: asyncio.Task[_Outcome]) -> Any:
        await asyncio.wait({task})  # a waiter that is cancelled leaves the task alone
        if task.cancelled():
            raise BuildError("the build was cancelled", vertex=self.vertex.digest, name=self.progress.name)
        outcome = task.result()
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def probe(self) -> Probe:
        """What is known of it. Raises BuildError."""
        if self._probing is None:
            self._probing = self._solver.tasks.start(self._guard(self._probe()), "probe")
        found: Probe = await self._wait(self._probing)
        return found

    async def result(self) -> list[Result]:
        """Its trees, made if they must be. Raises BuildError."""
        if self._making is None:
            self._making = self._solver.tasks.start(self._guard(self._result()), "make")
        found: list[Result] = await self._wait(self._making)
        return found

    async def tree(self, index: int) -> Result:
        """One of its trees."""
        found = await self.result()
        if not 0 <= index < len(found):
            raise BuildError(f"the step {self.progress.name} has no output {index}", vertex=self.vertex.digest, name=self.progress.name)
        return found[index]

    # ---- keys ----------------------------------------------------------------------------------------------------------------------

    def _operation(self) -> Op:
        if self._op is None:
            self._op = self._solver.resolve(self.vertex)
        return self._op

    def _deps(self, map: CacheMap) -> list[Dependency]:
        return [map.deps[number] if number < len(map.deps) else Dependency() for number in range(len(self.inputs))]

    def _key(self, map: CacheMap, inputs: Sequence[str]) -> str:
        deps = self._deps(map)
        return combine(
            map.digest, [f"{key} {index} {dep.selector}" for key, (_, index), dep in zip(inputs, self.inputs, deps, strict=True)]
        )

    async def _content_key(self, map: CacheMap, inputs: Sequence[str]) -> str:
        """The key by what is read from inputs; runs those whose content counts."""
        deps = self._deps(map)

        async def part(number: int) -> str:
            if not deps[number].content:
                return f"{inputs[number]} {self.inputs[number][1]}"
            state, index = self.inputs[number]
            return "content " + await self._solver.content(await state.tree(index), deps[number])

        parts = await self._solver.all_of([part(number) for number in range(len(deps))])
        return combine("content", map.digest, parts, [dep.selector for dep in deps])

    @staticmethod
    def _partial(map: CacheMap, deps: Sequence[Dependency], inputs: Sequence[str | None]) -> str:
        return combine("partial", map.digest, ["" if dep.content else str(key) for dep, key in zip(deps, inputs, strict=True)])

    async def _probe(self) -> Probe:
        map = await self._operation().cache_map(self)
        deps = self._deps(map)
        probes = await self._solver.all_of([state.probe() for state, _ in self.inputs])
        known = [probe.canonical for probe in probes]
        if self.fresh and not map.no_cache:
            return Probe(map, None, None, "the cache is switched off for it")
        if map.no_cache:
            if all(key is not None for key in known):
                return self._known(map, self._key(map, [str(key) for key in known]), None, "")
            return Probe(map, None, None, "")
        new = next((number for number, key in enumerate(known) if key is None and not deps[number].content), None)
        if new is not None:
            return Probe(map, None, None, f"the step before it was built anew: {self.inputs[new][0].progress.name}")
        cache = self._solver.cache
        if all(key is not None for key in known):
            key = self._key(map, [str(one) for one in known])
            record = cache.find(key) or await self._imported(key)
            if record is not None:
                return self._known(map, record.canonical, record, "the same work on the same trees was done before")
            if not any(dep.content for dep in deps):
                return self._known(map, key, None, "nothing like it is in the cache")
        if not cache.possible(self._partial(map, deps, known)) and not self._solver.importing(self):
            return Probe(map, None, None, "nothing like it is in the cache")
        content = await self._content_key(map, [str(key) for key in known])
        record = cache.find(content) or await self._imported(content)
        if record is None:
            return self._known(map, content, None, "the files it reads have changed")
        if all(key is not None for key in known):
            cache.alias(self._key(map, [str(one) for one in known]), record.key)
        return self._known(map, record.canonical, record, "the files it reads are the same as before")

    def _known(self, map: CacheMap, canonical: str, record: Record | None, reason: str) -> Probe:
        self.canonical = canonical
        if record is not None:
            self.record_key = record.key
            for result in self._solver.cache.results(record):
                self._hold(result)
            now = time.time_ns()
            self.show(started_ns=self.progress.started_ns or now, completed_ns=now, cached=True, reason=reason)
        return Probe(map, canonical, record, reason)

    async def _imported(self, key: str) -> Record | None:
        return await self._solver.imported(self, key)

    def _hold(self, result: Result) -> None:
        self._held.append(result)
        self._solver.hold(result)

    # ---- making --------------------------------------------------------------------------------------------------------------------

    async def _result(self) -> list[Result]:
        probe = await self.probe()
        if probe.record is not None:
            return self._solver.cache.results(probe.record)
        inputs = await self._solver.all_of([state.tree(index) for state, index in self.inputs])
        keys = [state.canonical for state, _ in self.inputs]
        map, deps = probe.map, self._deps(probe.map)
        if map.no_cache:
            results = await self._run(inputs, probe.reason)
            self.canonical = self.canonical or self._key(map, keys)
            return results
        key = plain = self._key(map, keys)
        if any(dep.content for dep in deps):
            key = await self._content_key(map, keys)
        async with self._solver.running(key):  # the same work for another job: one waits for the other's result
            record = self._solver.cache.find(key)
            if record is not None and not self.fresh:
                self._known(map, record.canonical, record, "the same work was just done for another build")
                return self._solver.cache.results(record)
            results = await self._run(inputs, probe.reason)
            self.canonical = key
            if self.fresh:
                self.canonical = combine("fresh", key, [result.id if result is not None else "" for result in results])
            self._solver.cache.save(key, self.canonical, self._partial(map, deps, keys), results)
            self._solver.cache.alias(plain, key)
            self.record_key = key
        return results

    async def _run(self, inputs: Sequence[Result], reason: str) -> list[Result]:
        operation = self._operation()
        if operation.weight >= _SLOT_WEIGHT:
            async with self._solver.slots:
                return await self._exec(operation, inputs, reason)
        return await self._exec(operation, inputs, reason)

    async def _exec(self, operation: Op, inputs: Sequence[Result], reason: str) -> list[Result]:
        self.progress = replace(self.progress, reason=reason)
        self.begin()
        results = list(await operation.exec(self, inputs))
        for result in results:
            self._hold(result)
        self.show(completed_ns=time.time_ns())
        return results

    def settle(self) -> None:
        """A build has ended well: what was looked at and not run counts as cached."""
        if self._probing is not None and self._probing.done() and not self.failed and not self.progress.completed_ns and not self._making:
            now = time.time_ns()
            self.show(started_ns=self.progress.started_ns or now, completed_ns=now, cached=True, reason="its result was not needed")

    async def close(self) -> None:
        """Nobody needs it: cancel what runs, let go of its trees."""
        tasks = {task for task in (self._probing, self._making) if task is not None and not task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for result in self._held:
            self._solver.release(result)
        self._held.clear()
        while self._deferred:
            try:
                await self._deferred.pop()()
            except Exception:
                logger.exception("tidying up after %s failed", self.progress.name)
