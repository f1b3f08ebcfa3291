"""What the solver tells, as BuildKit's StatusResponse: events that come close together go out in one message. Used by `control.py`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from scow.build.llb import wire
from scow.build.session.messages import V1
from scow.build.solver.types import Event, VertexLog, VertexProgress, VertexStatus

_GATHER_SECONDS = 0.01
_MAX_EVENTS = 500


def timestamp(ns: int) -> Any:
    """A google.protobuf.Timestamp for a constructor; None for 0 = never."""
    return {"seconds": ns // 1_000_000_000, "nanos": ns % 1_000_000_000} if ns else None


def response(events: Sequence[Event], explain: bool = False) -> Any:
    """One StatusResponse of events, in their order. `explain` adds why a step was, or was not, taken from the cache: a status that
    `scow build --explain` knows."""
    made = V1.StatusResponse()
    for event in events:
        if isinstance(event, VertexProgress):
            vertex = made.vertexes.add(digest=event.digest, inputs=event.inputs, name=event.name, cached=event.cached, error=event.error)
            _time(vertex.started, event.started_ns)
            _time(vertex.completed, event.completed_ns)
            if explain and event.reason:
                made.statuses.add(ID="scow.reason", vertex=event.digest, name=event.reason)
            if event.progress_group is not None:
                group = event.progress_group
                vertex.progressGroup.id, vertex.progressGroup.name, vertex.progressGroup.weak = group.id, group.name, group.weak
        elif isinstance(event, VertexStatus):
            status = made.statuses.add(ID=event.id, vertex=event.vertex, name=event.name, current=event.current, total=event.total)
            _time(status.timestamp, event.timestamp_ns)
            _time(status.started, event.started_ns)
            _time(status.completed, event.completed_ns)
        elif isinstance(event, VertexLog):
            entry = made.logs.add(vertex=event.vertex, stream=event.stream, msg=event.data)
            _time(entry.timestamp, event.timestamp_ns)
        else:
            warning = made.warnings.add(vertex=event.vertex, level=event.level, short=event.short.encode(), url=event.url)
            warning.detail.extend(line.encode() for line in event.detail)
            if event.info is not None:
                warning.info.CopyFrom(wire.info(event.info))
            if event.location is not None:
                warning.ranges.extend(wire.ranges(event.location))
    return made


def _time(field: Any, ns: int) -> None:
    if ns:
        field.seconds, field.nanos = divmod(ns, 1_000_000_000)


async def responses(batches: AsyncIterator[Sequence[Event]], explain: bool = False) -> AsyncIterator[Any]:
    """StatusResponses of a job's progress (`Progress.subscribe`), until it ends."""
    async for batch in batches:
        for at in range(0, len(batch), _MAX_EVENTS):
            yield response(batch[at : at + _MAX_EVENTS], explain)
        await asyncio.sleep(_GATHER_SECONDS)
