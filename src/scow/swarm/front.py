"""What the daemon holds of the swarm: nothing until this node is part of one, or is asked about one. Most daemons are in none.

Nothing stored. Made in `daemon/wiring.py`; how the swarm's services are made says `daemon/cluster.py`. Routes, `/info`, `/_ping` ask it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from scow.swarm.wording import INACTIVE

if TYPE_CHECKING:
    from scow.swarm.service import SwarmService


class Made(Protocol):
    """The swarm's services."""

    @property
    def swarm(self) -> "SwarmService":
        """What is asked."""

    async def recover(self) -> None:
        """At boot, once the containers are back: take up what this node is part of."""

    async def close(self) -> None:
        """The daemon stops; tasks live on."""

    async def take_down(self) -> None:
        """Behind `close`, when the tasks have ended too: the kernel keeps nothing of the swarm's networks; the node stays in its swarm."""


class Front:
    """The way to the `SwarmService`."""

    def __init__(self, make: Callable[[], Awaitable[Made]]) -> None:
        self._make = make
        self._made: Made | None = None
        self._making = asyncio.Lock()

    async def service(self) -> "SwarmService":
        """The service; made at the first call."""
        async with self._making:
            if self._made is None:
                self._made = await self._make()
            return self._made.swarm

    async def recover(self) -> None:
        """At boot, once the containers are back; nothing where nothing is made."""
        if self._made is not None:
            await self._made.recover()

    async def close(self) -> None:
        """The daemon stops."""
        async with self._making:
            if self._made is not None:
                await self._made.close()

    async def take_down(self) -> None:
        """See Made."""
        if self._made is not None:
            await self._made.take_down()

    @property
    def word(self) -> str:
        """What /_ping says: see SwarmService.word."""
        return self._made.swarm.word if self._made is not None else str(INACTIVE["LocalNodeState"])

    def info(self) -> dict[str, Any]:
        """The Swarm part of /info: see SwarmService.info."""
        if self._made is not None:
            return self._made.swarm.info()
        return dict(INACTIVE)
