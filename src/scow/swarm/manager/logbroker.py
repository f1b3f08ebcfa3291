"""Output of tasks on other nodes: a reader makes a request, the task's node is told by its session and sends the lines.

A request is {"id", "task", "options"}. Lines travel as [stream, time in ns, text in latin-1]. Nothing is stored.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.errors import NotFound
from scow.swarm.identity import new_id
from scow.swarm.objects import Task

_QUEUE = 256
_ANSWER_SECONDS = 10.0

Line = tuple[int, int, bytes]


@dataclass(slots=True)
class _Open:
    node_id: str
    queue: asyncio.Queue[Line | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    begun: bool = False
    closed: bool = False


class LogBroker:
    """`ask(node, request)` hands a request to a node (`Dispatcher.want_logs`)."""

    def __init__(self, ask: Callable[[str, Mapping[str, Any]], bool]) -> None:
        self._ask = ask
        self._requests: dict[str, _Open] = {}

    async def read(self, task: Task, options: Mapping[str, Any]) -> AsyncIterator[Line]:
        """Lines of a task on another node; ends at once where the node is not connected."""
        id = new_id()
        made = _Open(task.node_id)
        self._requests[id] = made
        try:
            if not self._ask(task.node_id, {"id": id, "task": task.id, "options": dict(options)}):
                return
            while True:
                try:
                    async with asyncio.timeout(None if made.begun else _ANSWER_SECONDS):
                        line = await made.queue.get()
                except TimeoutError:
                    if made.begun:
                        continue
                    return
                if line is None:
                    return
                yield line
        finally:
            del self._requests[id]
            made.closed = True
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    made.queue.get_nowait()  # whoever waits to add goes on and sees that nobody reads

    async def publish(self, node_id: str, id: str, lines: AsyncIterator[Any]) -> None:
        """A node sends what was asked for. Raises NotFound when nobody asks any more."""
        made = self._requests.get(id)
        if made is None or made.node_id != node_id:
            raise NotFound("nobody reads these logs")
        made.begun = True
        try:
            async for stream, at_ns, text in lines:
                await made.queue.put((int(stream), int(at_ns), str(text).encode("latin-1")))
                if made.closed:
                    return
        finally:
            if not made.closed:
                await made.queue.put(None)
