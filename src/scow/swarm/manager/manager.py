"""The leader's work: all loops on one store, begun when this manager comes to lead and ended when it no longer does."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from scow import log
from scow.aio import Supervisor
from scow.errors import ScowError
from scow.swarm.clock import Clock
from scow.swarm.manager.allocator import Allocator
from scow.swarm.manager.autoscale import Autoscaler
from scow.swarm.manager.cron import Cron
from scow.swarm.manager.dispatcher import Dispatcher
from scow.swarm.manager.keymanager import KeyManager
from scow.swarm.manager.leases import Leases
from scow.swarm.manager.logbroker import LogBroker
from scow.swarm.manager.loop import Loop, drive
from scow.swarm.manager.orchestrator.globals import Globals
from scow.swarm.manager.orchestrator.jobs import Jobs
from scow.swarm.manager.orchestrator.reaper import Reaper
from scow.swarm.manager.orchestrator.replicated import Replicated
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.manager.orchestrator.update import Updates
from scow.swarm.manager.rotation import Rotation
from scow.swarm.manager.scheduler.scheduler import Scheduler
from scow.swarm.store.store import Store

logger = log.get(__name__)

_RETRY_SECONDS = 1.0


class Manager:
    """Runs the loops while this node leads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.autoscaler = Autoscaler(store, clock)
        self._supervisor = Supervisor("swarm manager")
        self._updates: Updates | None = None
        self.dispatcher = Dispatcher(store, clock)
        self.leases = Leases(store)
        self.keys = KeyManager(store)
        self.logs = LogBroker(self.dispatcher.want_logs)

    @property
    def leading(self) -> bool:
        """Whether the loops run."""
        return self._updates is not None

    def lead(self) -> None:
        """Begin; leading already is fine."""
        if self._updates is not None:
            return
        restarter = Restarter(self.store, self.clock, self.later)
        self._updates = Updates(self.store, self.clock, restarter, self._supervisor)
        loops: list[Loop] = [
            Reaper(self.store),
            Replicated(self.store, self.clock, restarter, self._updates),
            Globals(self.store, self.clock, restarter, self._updates),
            Jobs(self.store, self.clock, restarter),
            Allocator(self.store, self.clock),
            Scheduler(self.store, self.clock),
            Rotation(self.store),
            self.dispatcher,
        ]
        for loop in loops:
            self._supervisor.start(drive(loop, self.store, self.clock), type(loop).__name__)
        for name, work in (
            ("silence", self.dispatcher.watch_nodes),
            ("autoscaler", self.autoscaler.run),
            ("cron", Cron(self.store, self.clock).run),
        ):
            self._supervisor.start(self._again(work), name)

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it for ever; a store that cannot commit makes it wait, and so does its own failure."""
        while True:
            try:
                with contextlib.suppress(ScowError):
                    await work()
            except Exception:
                logger.exception("a part of the manager failed and begins again")
            await self.clock.sleep(_RETRY_SECONDS)

    async def resign(self) -> None:
        """End the loops; not leading is fine."""
        if self._updates is not None:
            self._updates.close()
            self._updates = None
        self.dispatcher.close()
        await self._supervisor.close()

    def later(self, seconds: float, work: Callable[[], Awaitable[None]], name: str) -> "asyncio.Task[None]":
        """Do something after a while, again after a second while the store cannot commit; ends with the leadership."""

        async def wait() -> None:
            await self.clock.sleep(seconds)
            while True:
                with contextlib.suppress(ScowError):
                    await work()
                    return
                await self.clock.sleep(_RETRY_SECONDS)

        return self._supervisor.start(wait(), name)
