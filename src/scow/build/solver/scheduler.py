"""The solver: states of vertices, jobs that need them, and what they share (cache, slots, keys that are being worked on).

solver = Solver(CacheStore(…), resolve, content, hold, release)
job = solver.job("id", Options(session="…"))
try:
    tree = await job.build(definition)      # job.progress tells the story meanwhile
finally:
    await job.close()                       # cancels what only this job needed
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from scow import aio, log
from scow.build.llb.ops import LOCAL, Definition, Input, SourceOp, Vertex
from scow.build.solver.cachestore import CacheStore, Record, combine
from scow.build.solver.progress import Progress
from scow.build.solver.state import State
from scow.build.solver.types import BuildError, Dependency, Op, Options, Result

_SLOTS = 32

logger = log.get(__name__)


class Importer(Protocol):
    """A cache from elsewhere; `ref` says which."""

    ref: str

    async def load(self, key: str) -> tuple[list[Result], str] | None:
        """The trees that a key made there, brought here, and the canonical key of that; None when it has none. Raises nothing."""
        ...


class Solver:
    """Runs graphs. `resolve(vertex)` makes its op, `content(tree, dependency)` digests what is read of it, `hold`/`release` keep trees."""

    def __init__(
        self,
        cache: CacheStore,
        resolve: Callable[[Vertex], Op],
        content: Callable[[Result, Dependency], Awaitable[str]],
        hold: Callable[[Result], None] = lambda result: None,
        release: Callable[[Result], None] = lambda result: None,
        slots: int = _SLOTS,
    ) -> None:
        self.cache = cache
        self.resolve = resolve
        self.content = content
        self.hold = hold
        self.release = release
        self.slots = asyncio.Semaphore(slots)
        self.tasks = aio.Supervisor("solver")
        self._states: dict[str, State] = {}
        self._locks = aio.KeyedLock()
        self.jobs: dict[str, Job] = {}

    def job(self, id: str, options: Options | None = None) -> Job:
        """A new build. Raises BuildError when one of this id runs."""
        if id in self.jobs:
            raise BuildError(f"a build {id} is already running")
        job = Job(self, id, options or Options())
        self.jobs[id] = job
        return job

    @contextlib.asynccontextmanager
    async def running(self, key: str) -> AsyncIterator[None]:
        """Only one at a time works on a key."""
        async with self._locks(key):
            yield

    async def all_of(self, work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Results of coroutines that run at the same time; the first failure ends the waiting (not the states)."""
        if len(work) == 1:
            return [await work[0]]
        return list(await asyncio.gather(*work)) if work else []

    def state(self, key: str, vertex: Vertex, inputs: Sequence[tuple[State, int]], fresh: bool, job: Job) -> State:
        """The shared state of a vertex, made if it is new."""
        found = self._states.get(key)
        if found is None or found.failed:
            found = self._states[key] = State(self, key, vertex, inputs, fresh)
        found.join(job)
        return found

    def drop(self, state: State) -> None:
        """Later jobs begin anew with this vertex."""
        if self._states.get(state.key) is state:
            del self._states[state.key]

    def importing(self, state: State) -> bool:
        """Whether a job that needs the state brings caches from elsewhere."""
        return any(job.importers for job in state.jobs)

    async def imported(self, state: State, key: str) -> Record | None:
        """A record that a cache from elsewhere has for the key; it is kept here from now on."""
        for job in list(state.jobs):
            for importer in job.importers:
                found = await importer.load(key)
                if found is not None:
                    self.cache.save(key, found[1], "", found[0])
                    return self.cache.find(key)
        return None

    async def close(self) -> None:
        """Cancel every build."""
        for job in list(self.jobs.values()):
            await job.close()
        await self.tasks.close()


class Job:
    """One build: definitions that are solved in it share states; they are kept until `close`."""

    def __init__(self, solver: Solver, id: str, options: Options) -> None:
        self._solver = solver
        self.id = id
        self.options = options
        self.progress = Progress()
        self.importers: list[Importer] = []
        self._deferred: list[Callable[[], Awaitable[None]]] = []
        self._states: dict[str, State] = {}
        self._closing: asyncio.Task[None] | None = None

    async def build(self, definition: Definition) -> Result:
        """The root's tree (None = empty). Raises BuildError with the place in the source."""
        if definition.root is None:
            return None
        root = self._load(definition, definition.root)
        try:
            return await root.tree(definition.root.index)
        except BuildError as error:
            raise self._placed(error, definition) from error.reason

    def recorded(self) -> list[tuple[str, str, list[Result]]]:
        """What this job has in the cache: key, canonical key, trees."""
        cache = self._solver.cache
        keys = [state.record_key for state in self._states.values() if state.record_key]
        return [(one.key, one.canonical, cache.results(one)) for key in keys if (one := cache.find(key)) is not None]

    @staticmethod
    def _placed(error: BuildError, definition: Definition) -> BuildError:
        locations = definition.locations.get(error.vertex, ())
        return BuildError(
            error.message,
            vertex=error.vertex,
            name=error.name,
            exit_code=error.exit_code,
            infos=definition.infos,
            locations=tuple(locations),
            output=error.output,
            reason=error.reason,
        )

    def _load(self, definition: Definition, root: Input) -> State:
        if self.id not in self._solver.jobs or self._closing is not None:
            raise BuildError("the build was cancelled")
        keys: dict[str, str] = {}
        states: dict[str, State] = {}
        for vertex in definition.upward(root):
            key = self._state_key(vertex, keys)
            keys[vertex.digest] = key
            missing = [one.digest for one in vertex.inputs if one.digest not in states]
            if missing:
                raise BuildError(f"the graph names an input {missing[0][:100]} that it does not have", vertex=vertex.digest)
            inputs = [(states[one.digest], one.index) for one in vertex.inputs]
            fresh = self.options.no_cache or vertex.meta.ignore_cache
            state = self._solver.state(key, vertex, inputs, fresh, self)
            states[vertex.digest] = self._states[key] = state
        found = states.get(root.digest)
        if found is None:
            raise BuildError(f"the graph has no vertex {root.digest[:100]}")
        return found

    def _state_key(self, vertex: Vertex, keys: dict[str, str]) -> str:
        """What tells states apart: the digest, and for what depends on the client's files without saying which client, the session."""
        mark = ""
        if isinstance(vertex.op, SourceOp) and vertex.op.identifier.startswith(LOCAL) and not vertex.op.attrs.get("local.session"):
            mark = self.options.session
        changed = [keys[one.digest] for one in vertex.inputs if keys.get(one.digest, one.digest) != one.digest]
        fresh = "fresh" if self.options.no_cache or vertex.meta.ignore_cache else ""
        if not mark and not changed and not fresh:
            return vertex.digest
        return combine(vertex.digest, mark, changed, fresh)

    def defer(self, undo: Callable[[], Awaitable[None]]) -> None:
        """Do this at the end of the build, however it ends."""
        self._deferred.append(undo)

    def settle(self) -> None:
        """The build has ended well: tell of what was not needed."""
        for state in self._states.values():
            state.settle()

    async def close(self) -> None:
        """End the build: what no other job needs is cancelled, and gone when this returns."""
        if self._closing is None:
            self._closing = self._solver.tasks.start(self._close(), "close")
        await asyncio.wait({self._closing})

    async def _close(self) -> None:
        try:
            await self._tidy()
        finally:
            self.progress.close()  # whoever follows the build ends, whatever went wrong

    async def _tidy(self) -> None:
        self._solver.jobs.pop(self.id, None)
        last: list[State] = []
        for state in self._states.values():
            if self in state.jobs:
                state.jobs.remove(self)
            if not state.jobs:
                self._solver.drop(state)
                last.append(state)
        for state in reversed(last):
            await state.close()
        while self._deferred:
            try:
                await self._deferred.pop()()
            except Exception:
                logger.exception("tidying up after the build %s failed", self.id)
        self._states.clear()
