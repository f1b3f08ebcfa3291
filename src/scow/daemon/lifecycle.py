"""Start and stop as an ordered list of steps: stopping is starting reversed, each step with a time budget."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scow import log

logger = log.get(__name__)

Action = Callable[[], Awaitable[None]]
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the daemon: how it starts, how it stops, how long stopping may take."""

    name: str
    start: Action | None = None
    stop: Action | None = None
    stop_seconds: float = _STOP_SECONDS


class Lifecycle:
    """Runs steps in order and takes back those that ran."""

    def __init__(self) -> None:
        self._started: list[Step] = []

    async def start(self, step: Step) -> None:
        """Run one step; it is stopped later even when its start failed half-way."""
        began = time.monotonic()
        self._started.append(step)
        if step.start is not None:
            await step.start()
        logger.debug("started %s in %.0f ms", step.name, (time.monotonic() - began) * 1000)

    async def stop(self) -> None:
        """Stop all, newest first. A step that fails or takes too long is logged and left behind."""
        while self._started:
            step = self._started.pop()
            if step.stop is None:
                continue
            try:
                await asyncio.wait_for(step.stop(), step.stop_seconds)
            except TimeoutError:
                logger.error("stopping %s took longer than %.0f s", step.name, step.stop_seconds)
            except Exception:
                logger.exception("stopping %s failed", step.name)
