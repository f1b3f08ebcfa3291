"""Types at the solver's border: what an op is, what a result is, what is told while it runs. Nothing stored.

`build/ops/` implements `Op`, `build/refs.py` is the `Ref`, doors read the progress types.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scow.build.llb.ops import Location, ProgressGroup, SourceInfo
from scow.errors import ScowError


class Ref(Protocol):
    """An immutable tree of the build cache."""

    @property
    def id(self) -> str: ...


Result = Ref | None
"""What an op makes: a tree, or None for an empty one."""


@dataclass(frozen=True, slots=True)
class Read:
    """A path that a vertex reads of an input, as a copy understands it."""

    path: str
    wildcard: bool = False
    follow: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Dependency:
    """How one input takes part in a vertex's cache key. `content` = by a digest of `reads` (none = all of it), tried when the definition's
    key misses; False = only by how it was made. `selector` tells apart uses of one input."""

    selector: str = ""
    content: bool = False
    reads: tuple[Read, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheMap:
    """`digest` says what the op does (without its inputs); one dependency per input."""

    digest: str
    deps: tuple[Dependency, ...] = ()
    no_cache: bool = False
    """Never answered from the cache and never put there: done again whenever a result is needed (a source)."""


class JobContext(Protocol):
    """What an op may use of the job that runs it: one line of progress each, and services of the session that asked."""

    @property
    def session(self) -> str: ...

    @property
    def sessions(self) -> Sequence[str]:
        """Every session that waits for this vertex, the first one first."""
        ...

    def allowed(self, entitlement: str) -> bool:
        """Whether a job that waits for this vertex has `network.host` or `security.insecure`."""
        ...

    def begin(self) -> None:
        """The work has begun (told by the solver before `exec`; an op whose `cache_map` takes long tells it there)."""
        ...

    def defer(self, undo: Callable[[], Awaitable[None]]) -> None:
        """Do this when nobody needs the vertex's results any more."""
        ...

    def log(self, data: bytes, stream: int = 1) -> None:
        """Output of a step: stream 1 = stdout, 2 = stderr."""
        ...

    def status(self, id: str, *, name: str = "", current: int = 0, total: int = 0, completed: bool = False) -> None: ...

    def warn(self, short: str, detail: Sequence[str] = (), url: str = "", level: int = 1) -> None: ...


class Op(Protocol):
    """What a vertex does."""

    async def cache_map(self, job: JobContext) -> CacheMap: ...

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> Sequence[Result]:
        """Makes the results. Cancelled = everything half-made is gone when this returns."""
        ...

    @property
    def weight(self) -> int:
        """Slots it takes of the machine's while it runs: 0 = waits for others (network, files), 1 = a step that computes."""
        ...


# ---- progress ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VertexProgress:
    """A vertex as clients show it; told again whenever it changes. Times in nanoseconds, 0 = not yet."""

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    started_ns: int = 0
    completed_ns: int = 0
    cached: bool = False
    error: str = ""
    progress_group: ProgressGroup | None = None
    reason: str = ""
    """Why it was, or was not, taken from the cache; for `--explain`."""


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """A part of a vertex's work: a layer that is fetched, a context that is sent."""

    id: str
    vertex: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp_ns: int = 0
    started_ns: int = 0
    completed_ns: int = 0


@dataclass(frozen=True, slots=True)
class VertexLog:
    vertex: str
    stream: int
    data: bytes
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class VertexWarning:
    """`level` 1 = a lint of the frontend. `info` and `ranges`: the place in the source."""

    vertex: str
    level: int
    short: str
    detail: tuple[str, ...] = ()
    url: str = ""
    info: SourceInfo | None = None
    location: Location | None = None


Event = VertexProgress | VertexStatus | VertexLog | VertexWarning


# ---- errors --------------------------------------------------------------------------------------------------------------------


class BuildError(ScowError):
    """A vertex failed. Doors print the lines of the source around it."""

    foreign = True
    """It is the build's failure, not the engine's: it does not belong into the log."""

    def __init__(
        self,
        message: str,
        *,
        vertex: str = "",
        name: str = "",
        exit_code: int | None = None,
        infos: tuple[SourceInfo, ...] = (),
        locations: tuple[Location, ...] = (),
        output: bytes = b"",
        reason: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.vertex = vertex
        self.name = name
        self.exit_code = exit_code
        self.infos = infos
        self.locations = locations
        self.output = output
        """The step's last output, at most 64 KiB."""
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Options:
    """What a job is asked with."""

    session: str = ""
    no_cache: bool = False
    """Nothing is answered from the cache; what is made goes there."""
    entitlements: frozenset[str] = field(default_factory=frozenset)
    """Of "network.host" and "security.insecure"."""
