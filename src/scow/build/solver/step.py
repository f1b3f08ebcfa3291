"""Work of a build that is no vertex of its graph (an image's metadata, an export), shown as one. Nothing stored."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from scow.build.solver.progress import Progress
from scow.build.solver.types import VertexLog, VertexProgress, VertexStatus
from scow.errors import ScowError


class Step:
    """What the work tells while it goes on; the same verbs as an op's `JobContext`."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        digest = "sha256:" + hashlib.sha256(secrets.token_bytes(16)).hexdigest()
        self._vertex = VertexProgress(digest, name, started_ns=time.time_ns())
        self._begun: dict[str, int] = {}
        progress.tell(self._vertex)

    def log(self, data: bytes, stream: int = 1) -> None:
        """A piece of output."""
        self._progress.tell(VertexLog(self._vertex.digest, stream, data, time.time_ns()))

    def status(self, id: str, *, name: str = "", current: int = 0, total: int = 0, completed: bool = False) -> None:
        """How far a part of the work is."""
        now = time.time_ns()
        begun = self._begun.setdefault(id, now)
        self._progress.tell(VertexStatus(id, self._vertex.digest, name, current, total, now, begun, now if completed else 0))

    @contextlib.contextmanager
    def part(self, id: str) -> Iterator[None]:
        """A part that begins and ends."""
        self.status(id)
        yield
        self.status(id, completed=True)

    def end(self, error: str = "") -> None:
        """The work is done, or has failed."""
        self._progress.tell(replace(self._vertex, completed_ns=time.time_ns(), error=error))


@contextlib.asynccontextmanager
async def step(progress: Progress, name: str) -> AsyncIterator[Step]:
    """A step while the context is open; what is raised is its error."""
    made = Step(progress, name)
    try:
        yield made
    except BaseException as error:
        made.end(error.message if isinstance(error, ScowError) else "context canceled" if not isinstance(error, Exception) else str(error))
        raise
    made.end()
