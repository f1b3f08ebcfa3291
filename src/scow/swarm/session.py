"""An agent's session with the dispatcher of its own process (`wire.Session`)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from scow.errors import Unavailable
from scow.swarm.manager.manager import Manager
from scow.swarm.objects import TaskStatus
from scow.swarm.wire import Assignment


class LocalSession:
    """Speaks to a manager in this process."""

    def __init__(self, manager: Manager, node_id: str) -> None:
        self._manager = manager
        self._node_id = node_id

    def _check(self) -> None:
        if not self._manager.leading:
            raise Unavailable("this manager does not lead")

    async def register(self, description: Mapping[str, Any], address: str) -> float:
        """See Session."""
        self._check()
        return await self._manager.dispatcher.register(self._node_id, description, address)

    async def heartbeat(self, usage: Mapping[str, Mapping[str, float]]) -> float:
        """See Session."""
        self._check()
        self._manager.autoscaler.note(usage)
        return await self._manager.dispatcher.heartbeat(self._node_id)

    def assignments(self) -> AsyncIterator[Assignment]:
        """See Session."""
        self._check()
        return self._manager.dispatcher.assignments(self._node_id)

    async def report(self, statuses: Sequence[tuple[str, TaskStatus]]) -> None:
        """See Session."""
        self._check()
        await self._manager.dispatcher.report(self._node_id, statuses)
