"""The builds that clients of `/grpc` run: found by their id from the calls of several connections. In memory only.

A build is opened by `Control.Solve`; `Status` and the calls of its gateway name it, and may arrive a moment earlier. `Status` may also come
when the build is over already: what it told stays findable for a moment, as in BuildKit.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.build.llb.ops import Definition
from scow.build.session import rpc
from scow.build.session.arrivals import Arrivals
from scow.build.solver.types import Result
from scow.errors import InvalidArgument, NotFound

ARRIVAL_SECONDS = 15.0
FINISHED_SECONDS = 10.0
_MAX_FINISHED = 100
_MAX_REFERENCES = 20_000
_MAX_ID = 256


class Reference:
    """A result by its graph: built when somebody needs the tree."""

    def __init__(self, id: str, definition: Definition, job: Any) -> None:
        self.id, self.definition, self._job = id, definition, job

    async def tree(self) -> Result:
        """Build it (the solver does no work twice)."""
        if self.definition.root is None:
            return None
        result: Result = await self._job.build(self.definition)
        return result


@dataclass(frozen=True, slots=True)
class Answer:
    """What a frontend or gateway made: a result, or one for each platform id; metadata as `containerimage.config` (JSON), with
    `/<platform id>` behind the name where there are several."""

    references: Mapping[str, Reference | None] = field(default_factory=dict)
    """Under "" when there is only one."""
    metadata: Mapping[str, bytes] = field(default_factory=dict)


class Build:
    """One build of a client. `outcome` is what its gateway returned."""

    def __init__(self, id: str, session: str, job: Any, inputs: Mapping[str, Definition]) -> None:
        self.id, self.session, self.job, self.inputs = id, session, job, inputs
        self.explain = False
        """The client wants to know why steps were, or were not, taken from the cache (`scow build --explain`)."""
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._references: dict[str, Reference] = {}
        self.configs: dict[str, bytes] = {}
        """Configurations of images that were looked up for it."""

    def reference(self, definition: Definition) -> Reference:
        """A new reference to a graph."""
        if len(self._references) >= _MAX_REFERENCES:
            raise InvalidArgument("this build holds too many results")
        made = Reference(secrets.token_hex(16), definition, self.job)
        self._references[made.id] = made
        return made

    def find(self, id: str) -> Reference:
        """The reference of an id that the client was given."""
        try:
            return self._references[id]
        except KeyError:
            raise NotFound(f"no such ref: {id[:_MAX_ID]}") from None

    def finish(self, answer: Answer | None, error: rpc.RpcError | None) -> None:
        """The gateway returned."""
        if self.outcome.done():
            return
        if error is not None:
            self.outcome.set_exception(error)
            self.outcome.exception()  # whoever waits gets it; nobody waiting is no fault of the loop's
        elif answer is not None:
            self.outcome.set_result(answer)


class Builds:
    """All builds under way."""

    def __init__(self) -> None:
        self._builds: dict[str, Build] = {}
        self._finished: dict[str, Build] = {}
        self._arrivals = Arrivals()
        self.on_change: Callable[[], None] = lambda: None

    @contextlib.asynccontextmanager
    async def open(self, build: Build) -> AsyncIterator[Build]:
        """Keep a build findable. Raises InvalidArgument for an id that is taken."""
        if not build.id or len(build.id) > _MAX_ID or build.id in self._builds:
            raise InvalidArgument(f"a build needs an id of its own: {build.id[:_MAX_ID]!r}")
        self._builds[build.id] = build
        self._finished.pop(build.id, None)
        self._arrivals.tell(build.id)
        try:
            yield build
        finally:
            del self._builds[build.id]
            self._remember(build)
            build.finish(None, rpc.RpcError(rpc.CANCELLED, "context canceled"))

    def _remember(self, build: Build) -> None:
        self._finished[build.id] = build
        if len(self._finished) > _MAX_FINISHED:
            del self._finished[next(iter(self._finished))]
        asyncio.get_running_loop().call_later(FINISHED_SECONDS, self._forget, build)

    def _forget(self, build: Build) -> None:
        if self._finished.get(build.id) is build:
            del self._finished[build.id]

    async def told(self, id: str) -> Build:
        """The build `id` for whoever wants to hear of it: under way, over since a moment, or opened a little later. Raises NotFound."""
        return self._finished.get(id) or await self._arrival(id, ARRIVAL_SECONDS, over=True)

    async def get(self, id: str, wait: float = ARRIVAL_SECONDS) -> Build:
        """The build `id` that is under way, or is opened up to `wait` seconds later. Raises NotFound."""
        return await self._arrival(id, wait, over=False)

    async def _arrival(self, id: str, wait: float, over: bool) -> Build:
        if (found := self._builds.get(id)) is not None:
            return found
        try:
            await self._arrivals.wait(id, wait)
        except TimeoutError:
            raise NotFound(f"no such job {id[:_MAX_ID]}") from None
        # a build that failed at once may be over before its waiters run
        arrived = self._builds.get(id) or (self._finished.get(id) if over else None)
        if arrived is None:
            raise NotFound(f"no such job {id[:_MAX_ID]}")
        return arrived
