"""What is told while a build runs: vertices, parts of their work, output, warnings. In memory, bounded, replayed to whoever comes later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from scow.build.solver.types import Event, VertexLog, VertexProgress, VertexStatus, VertexWarning

_MAX_EVENTS = 200_000
_MAX_LOG = 64 << 20


class Progress:
    """The story of one job. Events are kept in order; a vertex that is told again replaces nothing, readers take the newest."""

    def __init__(self) -> None:
        self.vertices: dict[str, VertexProgress] = {}
        self.warnings: list[VertexWarning] = []
        self._events: list[Event] = []
        self.log_bytes = 0
        self._closed = False
        self._news = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Add an event; what is too much is dropped (output first)."""
        if self._closed:
            return
        match event:
            case VertexProgress():
                if self.vertices.get(event.digest) == event:
                    return
                self.vertices[event.digest] = event
            case VertexWarning():
                if event in self.warnings:
                    return
                self.warnings.append(event)
            case VertexLog():
                self.log_bytes += len(event.data)
                if self.log_bytes > _MAX_LOG or len(self._events) > _MAX_EVENTS:
                    return
            case VertexStatus():
                if len(self._events) > _MAX_EVENTS:
                    return
        self._events.append(event)
        self._news.set()

    def close(self) -> None:
        """The build is over: readers end after the last event."""
        self._closed = True
        self._news.set()

    @property
    def closed(self) -> bool:
        """Whether the build is over."""
        return self._closed

    def events(self) -> list[Event]:
        """Everything until now."""
        return list(self._events)

    async def subscribe(self) -> AsyncIterator[list[Event]]:
        """All events from the first on, in batches, until the build is over. Any number may read."""
        at = 0
        while True:
            if at < len(self._events):
                batch = self._events[at:]
                at += len(batch)
                yield batch
                continue
            if self._closed:
                return
            self._news = self._news if not self._news.is_set() else asyncio.Event()
            await self._news.wait()
