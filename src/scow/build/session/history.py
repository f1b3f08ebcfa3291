"""Records of builds, for `buildx history` and the like.

Stored: the last hundred finished ones in the table `build_history`, by the reference of the build. What a build told while it ran (`history
logs`) is kept in memory for the last thirty: a restart of scowd forgets that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.build.session import status
from scow.build.session.builds import Build
from scow.build.session.messages import V1
from scow.build.solver.progress import Progress
from scow.errors import NotFound, ScowError
from scow.metadata import Database

_KEPT = 100
_STORIES = 30
_STORY_MAX = 2 << 20
_OPTIONS_MAX = 256 << 10
_STARTED, _COMPLETE, _DELETED = range(3)
_MAX_LISTENERS = 100


@dataclass(slots=True)
class Record:
    """One build."""

    ref: str
    frontend: str
    options: Mapping[str, str]
    exports: tuple[tuple[str, dict[str, str]], ...]
    created_ns: int
    completed_ns: int = 0
    response: dict[str, str] = field(default_factory=dict)
    error: tuple[int, str] | None = None
    pinned: bool = False
    cached: int = 0
    total: int = 0
    completed: int = 0
    warnings: int = 0
    progress: Progress | None = None
    """The story of a build that is over, for `history logs`."""

    def document(self) -> dict[str, Any]:
        """As it is stored; options that are too long to be kept are left out."""
        long = sum(len(key) + len(value) for key, value in self.options.items()) > _OPTIONS_MAX
        return {
            "frontend": self.frontend,
            "options": {} if long else dict(self.options),
            "exports": [list(one) for one in self.exports],
            "created": self.created_ns,
            "completed": self.completed_ns,
            "response": self.response,
            "error": list(self.error) if self.error is not None else None,
            "pinned": self.pinned,
            "counts": [self.cached, self.total, self.completed, self.warnings],
        }

    @classmethod
    def of(cls, ref: str, row: Mapping[str, Any]) -> Record:
        """A stored one."""
        made = cls(ref, row["frontend"], row["options"], tuple((kind, attrs) for kind, attrs in row["exports"]), row["created"])
        made.completed_ns, made.response, made.pinned = row["completed"], row["response"], row["pinned"]
        made.error = (row["error"][0], row["error"][1]) if row["error"] else None
        made.cached, made.total, made.completed, made.warnings = row["counts"]
        return made

    def message(self) -> Any:
        """The BuildHistoryRecord."""
        made = V1.BuildHistoryRecord(
            Ref=self.ref,
            Frontend=self.frontend or "dockerfile.v0",
            FrontendAttrs=self.options,
            ExporterResponse=self.response,
            pinned=self.pinned,
            numCachedSteps=self.cached,
            numTotalSteps=self.total,
            numCompletedSteps=self.completed,
            numWarnings=self.warnings,
        )
        for kind, attrs in self.exports:
            made.Exporters.add(Type=kind, Attrs=attrs)
        made.CreatedAt.seconds, made.CreatedAt.nanos = divmod(self.created_ns, 1_000_000_000)
        if self.completed_ns:
            made.CompletedAt.seconds, made.CompletedAt.nanos = divmod(self.completed_ns, 1_000_000_000)
        if self.error is not None:
            made.error.code, made.error.message = self.error
        return made


class History:
    """The records, the newest last."""

    def __init__(self, db: Database) -> None:
        self._table = db.table("build_history")
        stored = (Record.of(ref, row) for ref, row in self._table.all().items())
        self._records: dict[str, Record] = {one.ref: one for one in sorted(stored, key=lambda one: one.created_ns)}
        self._listeners: list[asyncio.Queue[Any]] = []

    @contextlib.asynccontextmanager
    async def recording(self, record: Record, build: Build, internal: bool) -> AsyncIterator[None]:
        """Keep a record of a build while it runs, and afterwards. Internal ones (subrequests) leave none."""
        if internal:
            yield
            return
        self._records[record.ref] = record
        self._tell(_STARTED, record)
        try:
            yield
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            wrapped = None if cancelled else status.of(error)
            record.error = (1, "context canceled") if wrapped is None else (wrapped.code, wrapped.message)
            raise
        finally:
            record.completed_ns = time.time_ns()
            vertices = list(build.job.progress.vertices.values())
            record.total = len(vertices)
            record.cached = sum(one.cached for one in vertices)
            record.completed = sum(bool(one.completed_ns) for one in vertices)
            record.warnings = len(build.job.progress.warnings)
            record.progress = build.job.progress if build.job.progress.log_bytes <= _STORY_MAX else None
            with contextlib.suppress(ScowError):  # a full disk costs the record, not the build
                self._table.put(record.ref, record.document())
            self._trim()
            self._tell(_COMPLETE, record)

    def _trim(self) -> None:
        loose = [one.ref for one in self._records.values() if one.completed_ns and not one.pinned]
        for ref in loose[: max(0, len(self._records) - _KEPT)]:
            self._drop(ref)
        told = [one for one in self._records.values() if one.progress is not None and not one.pinned]
        for one in told[: max(0, len(told) - _STORIES)]:
            one.progress = None

    def _drop(self, ref: str) -> None:
        del self._records[ref]
        with contextlib.suppress(ScowError):
            self._table.delete(ref)

    def progress(self, ref: str) -> Progress | None:
        """The story of a build that is over, None when there is none (any more)."""
        record = self._records.get(ref)
        return record.progress if record is not None else None

    def _tell(self, kind: int, record: Record) -> None:
        event = V1.BuildHistoryEvent(type=kind, record=record.message())
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(event)

    async def listen(self, request: Any) -> AsyncIterator[Any]:
        """The events a BuildHistoryRequest asks for."""
        queue: asyncio.Queue[Any] = asyncio.Queue(1000)
        if len(self._listeners) >= _MAX_LISTENERS:
            raise NotFound("too many clients listen to the history of builds")
        self._listeners.append(queue)
        try:
            found = [one for one in self._records.values() if not request.Ref or one.ref == request.Ref]
            for record in found[-request.Limit :] if request.Limit > 0 else found:
                if not (request.ActiveOnly and record.completed_ns):
                    yield V1.BuildHistoryEvent(type=_COMPLETE if record.completed_ns else _STARTED, record=record.message())
            if request.EarlyExit and not any(not one.completed_ns for one in found):
                return
            while True:
                event = await queue.get()
                if not request.Ref or event.record.Ref == request.Ref:
                    yield event
                    if request.EarlyExit and event.type == _COMPLETE:
                        return
        finally:
            self._listeners.remove(queue)

    def update(self, request: Any) -> None:
        """Pin, unpin or delete. Raises NotFound."""
        record = self._records.get(request.Ref)
        if record is None:
            raise NotFound(f"no build history record {request.Ref[:100]!r}")
        if request.Delete:
            self._drop(request.Ref)
            self._tell(_DELETED, record)
        elif not request.Finalize:
            record.pinned = request.Pinned
            if record.completed_ns:
                self._table.put(record.ref, record.document())
