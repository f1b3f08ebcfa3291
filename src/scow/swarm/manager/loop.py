"""A component of the manager: it looks at the store once, then reacts to changes. `drive` runs one until it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from scow import log
from scow.errors import ScowError
from scow.swarm.clock import Clock
from scow.swarm.objects import Object
from scow.swarm.store.store import Change, Resync, Store

logger = log.get(__name__)

_RETRY_SECONDS = 1.0
_FAILED_SECONDS = 5.0


class Loop(Protocol):
    """`setup` looks at everything, `handle` notes a change (both without waiting), `tick` does what follows from them."""

    kinds: tuple[type[Object], ...]

    def setup(self) -> None:
        """Look at all there is."""

    def handle(self, change: Change) -> None:
        """Note a change."""

    async def tick(self) -> None:
        """Act. Raises ScowError when the store cannot commit now; what was noted must then still be noted."""


async def drive(loop: Loop, store: Store, clock: Clock) -> None:
    """Run a loop for ever. Lost changes, a store without a leader and its own failures make it begin again: a manager whose scheduler has
    ended looks well and does nothing."""
    while True:
        watch = store.watch(*loop.kinds)
        try:
            loop.setup()
            await loop.tick()
            async for changes in watch:
                for change in changes:
                    loop.handle(change)
                await loop.tick()
        except Resync:
            logger.info("%s reads everything again", type(loop).__name__)
        except ScowError as error:
            logger.info("%s waits for the store: %s", type(loop).__name__, error.message)
            await clock.sleep(_RETRY_SECONDS)
        except Exception:
            logger.exception("%s failed and begins again", type(loop).__name__)
            await clock.sleep(_FAILED_SECONDS)
        finally:
            watch.close()


Later = Callable[[float, Callable[[], Awaitable[None]], str], "asyncio.Task[None]"]
"""`later(seconds, work, name)`: do something after a while, unless what is given back is cancelled; ends with the manager's leadership."""
