"""Time as the swarm's loops see it: the real one, or one that tests and the simulation move.

The wall clock is for what people read and for schedules: somebody may set it. How long something takes, who is silent and since when is
measured by `elapsed_ns`, which only goes forward; it says nothing on another host.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and elapsed time in nanoseconds, and sleeping."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, as the host's clock is set now."""

    def elapsed_ns(self) -> int:
        """Nanoseconds since some moment of this process: for differences, never stored or sent."""

    async def sleep(self, seconds: float) -> None:
        """Come back after `seconds`."""


class SystemClock:
    """The host's clock."""

    def now_ns(self) -> int:
        """See Clock."""
        return time.time_ns()

    def elapsed_ns(self) -> int:
        """See Clock."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until `advance`."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._start = start_ns  # what the wall clock showed when nothing had elapsed
        self._elapsed = 0
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """See Clock."""
        return self._start + self._elapsed

    def elapsed_ns(self) -> int:
        """See Clock."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self._elapsed + int(seconds * 1e9), future)
        self._sleepers.append(entry)
        try:
            await future
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)

    def advance(self, seconds: float) -> None:
        """Move on; sleepers whose time has come wake in their order."""
        self._elapsed += int(seconds * 1e9)
        due = sorted((entry for entry in self._sleepers if entry[0] <= self._elapsed), key=lambda entry: entry[0])
        for entry in due:
            self._sleepers.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock: nothing has elapsed."""
        self._start += int(seconds * 1e9)
