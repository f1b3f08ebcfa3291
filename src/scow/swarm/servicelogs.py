"""`service logs`: what the tasks of a service wrote, lines of many tasks on one stream, each marked with its task where asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from scow import units
from scow.swarm.objects import Task

_QUEUE = 256
_LABEL = "com.docker.swarm."


class Source(Protocol):
    """Where a task's output comes from: its controller on this node, or another node."""

    def logs(self, options: Mapping[str, Any]) -> AsyncIterator[tuple[int, int, bytes]]:
        """See `agent.executor.Controller`."""


def attributes(task: Task) -> str:
    """What `details` puts before a line."""
    rows = {_LABEL + "node.id": task.node_id, _LABEL + "service.id": task.service_id, _LABEL + "task.id": task.id}
    return ",".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(rows.items()))


def frame(task: Task, stream: int, at_ns: int, line: bytes, options: Mapping[str, Any]) -> bytes:
    """One line as the client gets it."""
    data = line
    if options.get("details"):
        data = attributes(task).encode() + b" " + data
    if options.get("timestamps"):
        data = units.rfc3339nano(at_ns).encode() + b" " + data
    if options.get("raw"):
        return data
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


async def merged(sources: Sequence[tuple[Task, Source]], options: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Lines of all sources as they come; without `follow` it ends when all have ended."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE)

    async def read(task: Task, controller: Source) -> None:
        try:
            async for stream, at_ns, line in controller.logs(options):
                await queue.put(frame(task, stream, at_ns, line, options))
        finally:
            await queue.put(None)

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read(task, controller)) for task, controller in sources]
        left = len(readers)
        try:
            while left:
                piece = await queue.get()
                if piece is None:
                    left -= 1
                else:
                    yield piece
        finally:
            for reader in readers:
                reader.cancel()
