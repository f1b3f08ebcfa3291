"""Time as the swarm's loops see it: the real one, or one that tests and the simulation move."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time in nanoseconds and sleeping."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Come back after `seconds`."""


class SystemClock:
    """The host's clock."""

    def now_ns(self) -> int:
        """See Clock."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until `advance`."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now = start_ns
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """See Clock."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self._now + int(seconds * 1e9), future)
        self._sleepers.append(entry)
        try:
            await future
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)

    def advance(self, seconds: float) -> None:
        """Move on; sleepers whose time has come wake in their order."""
        self._now += int(seconds * 1e9)
        due = sorted((entry for entry in self._sleepers if entry[0] <= self._now), key=lambda entry: entry[0])
        for entry in due:
            self._sleepers.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)
