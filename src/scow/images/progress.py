"""Progress of several things at once as the lines Docker streams: what happened is never lost, how far something is only now and then."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from scow import units
from scow.aio import Supervisor

Line = dict[str, Any]
_EVERY = 0.1
_WIDTH = 50


class Board:
    """Where work writes lines, and one reader takes them."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._latest: dict[str, tuple[str, int, int]] = {}
        self._last: dict[str, float] = {}
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, line: Line) -> None:
        """Add a line."""
        self._latest.pop(line.get("id", ""), None)
        self._lines.append(line)
        self._ready.set()

    def state(self, id: str, status: str) -> None:
        """Something about one layer."""
        self.put({"status": status, "progressDetail": {}, "id": id})

    def moved(self, id: str, status: str, current: int, total: int) -> None:
        """How far one layer is."""
        if id not in self._last:
            self._last[id] = time.monotonic()
            self._lines.append(_moved(id, status, current, total))
            self._ready.set()
            return
        if not self._latest:
            self._ready.set()
        self._latest[id] = (status, current, total)

    def close(self) -> None:
        """No more lines will come."""
        self._closed = True
        self._ready.set()

    async def read(self) -> AsyncIterator[Line]:
        """The lines, until `close`."""
        while True:
            self._ready.clear()
            while self._lines:
                yield self._lines.popleft()
            now = time.monotonic()
            for id in [id for id in self._latest if self._closed or now - self._last[id] >= _EVERY]:
                if id in self._latest and not self._lines:
                    self._last[id] = now
                    yield _moved(id, *self._latest.pop(id))
            if self._lines:
                continue
            if self._closed:
                return
            try:
                await asyncio.wait_for(self._ready.wait(), _EVERY if self._latest else None)
            except TimeoutError:
                pass


def _moved(id: str, status: str, current: int, total: int) -> Line:
    return {"status": status, "progressDetail": {"current": current, "total": total}, "progress": bar(current, total), "id": id}


def bar(current: int, total: int) -> str:
    """`[===>    ]  1.2MB/3MB`, which old clients print as it is."""
    if total <= 0:
        return units.human_size(current)
    done = min(current * _WIDTH // total, _WIDTH)
    arrow = "=" * done + (">" if done < _WIDTH else "")
    return f"[{arrow:<{_WIDTH}}]  {units.human_size(current)}/{units.human_size(total)}"


async def run(tasks: Supervisor, work: Callable[[Board], Awaitable[None]], name: str) -> AsyncIterator[Line]:
    """The lines of some work; what it raises comes behind its lines. Closing the iterator cancels the work and waits for its end."""
    board = Board()
    task = tasks.start(_outcome(work(board)), name)
    task.add_done_callback(lambda _: board.close())
    try:
        async for line in board.read():
            yield line
        error = await task
        if error is not None:
            raise error
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _outcome(doing: Awaitable[None]) -> Exception | None:
    try:
        await doing
    except Exception as error:
        return error
    return None
