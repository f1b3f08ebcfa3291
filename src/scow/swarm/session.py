"""An agent's session with the dispatcher (`wire.Session`): of its own process, or of another node over a link."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from scow.errors import InvalidArgument, Unavailable
from scow.swarm.links.rpc import Client
from scow.swarm.manager.manager import Manager
from scow.swarm.objects import TaskStatus
from scow.swarm.wire import Assignment, pack_status, unpack

_LEAST_SECONDS = 3.0


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

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        """See Session."""
        self._check()
        return await self._manager.leases.lease(self._node_id, network, container, names, asked)

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        """See Session."""
        self._check()
        await self._manager.leases.release(self._node_id, container, network_ids)

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """See Session."""
        self._check()
        await self._manager.keys.note(self._node_id, keys)

    async def leave(self) -> None:
        """See Session."""
        self._check()
        await self._manager.dispatcher.leave(self._node_id)

    async def close(self) -> None:
        """See Session."""


class RemoteSession:
    """Speaks to the manager at the other end of a link. A heartbeat without an answer within its period ends the session."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._period = _LEAST_SECONDS

    async def register(self, description: Mapping[str, Any], address: str) -> float:
        """See Session."""
        self._period = float(await self._client.call("session.register", {"description": description, "address": address}))
        return self._period

    async def heartbeat(self, usage: Mapping[str, Mapping[str, float]]) -> float:
        """See Session."""
        self._period = float(await self._client.call("session.heartbeat", {"usage": usage}, max(self._period, _LEAST_SECONDS)))
        return self._period

    async def assignments(self) -> AsyncIterator[Assignment]:
        """See Session."""
        async for body in self._client.stream("session.assignments"):
            try:
                yield unpack(body)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidArgument(f"the manager sent what this node does not understand: {error!r}") from None

    async def report(self, statuses: Sequence[tuple[str, TaskStatus]]) -> None:
        """See Session."""
        await self._client.call("session.report", {"statuses": [[id, pack_status(status)] for id, status in statuses]})

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        """See Session."""
        body = {"network": network, "container": container, "names": list(names), "asked": list(asked)}
        return dict(await self._client.call("session.lease", body))

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        """See Session."""
        await self._client.call("session.release", {"container": container, "networks": list(network_ids)})

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """See Session."""
        await self._client.call("session.tunnel", {"keys": [dict(row) for row in keys]})

    async def leave(self) -> None:
        """See Session."""
        await self._client.call("session.leave", seconds=5)

    async def close(self) -> None:
        """See Session."""
        await self._client.close()
