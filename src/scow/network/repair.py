"""Live repair: what others take away of our links and of our table comes back within a second.

The kernel tells (`kernel.monitor`); this gathers what it tells for a moment and calls for the repair, which is the code that boot runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from scow import aio, log
from scow.errors import ScowError
from scow.kernel.monitor import Happened, Monitor

logger = log.get(__name__)
_GATHER_SECONDS = 0.15
_LOST_SECONDS = 60.0  # our own repair makes messages too: a loss leads to one at most so often


class Watch:
    """Calls `repair(what happened)` when the kernel tells of a loss; `links` names the links that matter now."""

    def __init__(self, table: str, links: Callable[[], Collection[str]], repair: Callable[[Happened], Awaitable[None]]) -> None:
        self._table = table
        self._links = links
        self._repair = repair
        self._tasks = aio.Supervisor("network watch")
        self._monitor: Monitor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lost_at = -_LOST_SECONDS

    def start(self) -> None:
        """Begin to listen; a kernel that refuses is logged, then only boot repairs."""
        try:
            self._monitor = Monitor(self._table)
        except OSError as error:
            logger.warning("the kernel tells no changes of networks: %s", error)
            return
        self._listen(True)

    def _listen(self, on: bool) -> None:
        if self._monitor is None:
            return
        loop = asyncio.get_running_loop()
        for one in (self._monitor.route, self._monitor.nft):
            if on:
                loop.add_reader(one, self._heard)
            else:
                loop.remove_reader(one)

    def _heard(self) -> None:
        # our own work makes many messages: they are read a few times a second, all at once
        self._listen(False)
        self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._monitor is None:
            return
        happened = self._monitor.drain(self._links())
        self._listen(True)
        if happened.lost:
            now = asyncio.get_running_loop().time()
            happened.lost = now - self._lost_at >= _LOST_SECONDS
            self._lost_at = now if happened.lost else self._lost_at
        if happened.links or happened.table or happened.lost:
            self._tasks.start(self._mend(happened), "repair")

    async def _mend(self, happened: Happened) -> None:
        logger.warning(
            "networks are repaired: links %s%s%s",
            ", ".join(sorted(happened.links)) or "none",
            ", firewall table" if happened.table else "",
            ", messages of the kernel were lost" if happened.lost else "",
        )
        try:
            await self._repair(happened)
        except (ScowError, OSError) as error:
            logger.error("networks could not be repaired: %s", error)

    async def close(self) -> None:
        """Stop listening; a repair under way ends first."""
        self._listen(False)
        if self._timer is not None:
            self._timer.cancel()
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        await self._tasks.drain()
