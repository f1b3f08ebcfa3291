"""`service logs`: what the tasks of a service wrote, lines of many tasks on one stream, each marked with its task where asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from scow import units
from scow.swarm.objects import Service, Task, TaskState
from scow.swarm.store.store import Resync, Store

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


async def listed(tasks: Sequence[Task]) -> AsyncIterator[Task]:
    """Those of some tasks that a node has."""
    for task in tasks:
        if task.node_id:
            yield task


async def begun(store: Store, service_id: str) -> AsyncIterator[Task]:
    """Tasks of a service that have begun to run, and then whatever begins, each once, until the service is removed."""
    told: set[str] = set()

    def fresh(task: Task) -> bool:
        if task.id in told or not task.node_id or task.status.state < TaskState.STARTING:
            return False
        told.add(task.id)
        return True

    while True:
        watch = store.watch(Task, Service)
        try:
            for task in filter(fresh, store.by(Task, "service", service_id)):
                yield task
            if store.get(Service, service_id) is None:
                return
            async for changes in watch:
                for change in changes:
                    one = change.object
                    if one.id == service_id and change.new is None:
                        return
                    if isinstance(one, Task) and one.service_id == service_id:
                        if change.new is None:
                            told.discard(one.id)
                        elif fresh(one):
                            yield one
        except Resync:
            continue
        finally:
            watch.close()


async def merged(tasks: AsyncIterator[Task], source: Callable[[Task], Source], options: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Lines of all tasks as they come; ends when no more tasks come and all have ended."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE)
    jobs: set[asyncio.Task[None]] = set()
    left = 1

    async def read(task: Task) -> None:
        async for stream, at_ns, line in source(task).logs(options):
            await queue.put(frame(task, stream, at_ns, line, options))
        await queue.put(None)

    async with asyncio.TaskGroup() as group:

        def begin(work: Coroutine[Any, Any, None]) -> None:
            job = group.create_task(work)
            jobs.add(job)
            job.add_done_callback(jobs.discard)

        async def look() -> None:
            nonlocal left
            async for task in tasks:
                left += 1
                begin(read(task))
            await queue.put(None)

        begin(look())
        try:
            while left:
                piece = await queue.get()
                if piece is None:
                    left -= 1
                else:
                    yield piece
        finally:
            for job in jobs:
                job.cancel()
