"""What the networks of this node ask of the cluster: networks and addresses. `engine_executor/networks.py` calls it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from scow.aio import holds
from scow.errors import Unavailable
from scow.swarm.manager.allocator import view_of
from scow.swarm.service import SwarmService
from scow.swarm.wire import Session

_ALLOCATION_SECONDS = 10.0
_STEP_SECONDS = 0.01


class Desk:
    """Of one node, in a swarm or not."""

    def __init__(self, swarm: SwarmService) -> None:
        self._swarm = swarm

    @property
    def active(self) -> bool:
        """Whether this node is part of a swarm."""
        return self._swarm.active

    async def fresh(self) -> None:
        """Have in `networks` what any manager has acknowledged until now; without a leader nothing changes."""
        with contextlib.suppress(Unavailable):
            await self._swarm.fresh()

    def networks(self) -> list[dict[str, Any]] | None:
        """All networks of the cluster as `allocator.view_of`; None where this node cannot know them: it is no manager, or has no quorum."""
        try:
            return [view_of(one) for one in self._swarm.control.networks()]
        except Unavailable:
            return None

    async def create(self, spec: Mapping[str, Any]) -> str:
        """Make a network; its id, once it has its addresses. Raises ScowError."""
        control = self._swarm.control
        id = await control.create_network(spec)
        if await holds(lambda: bool(control.network(id).ipam.get("Config")), _ALLOCATION_SECONDS, _STEP_SECONDS):
            return id
        await control.remove_network(id)
        raise Unavailable("the network got no addresses: the swarm has no leader now, or no free subnet in its address pools")

    async def remove(self, id: str) -> None:
        """Remove a network. Raises ScowError (in use)."""
        await self._swarm.control.remove_network(id)

    @property
    def _session(self) -> Session:
        """This node's connection to the manager that leads. Raises Unavailable."""
        agent = self._swarm.agent
        if agent is None:
            raise Unavailable("this node is in no swarm, or its swarm has not been taken up yet")
        return agent.session

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        """See `wire.Session.lease`."""
        return await self._session.lease(network, container, names, asked)

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """See `wire.Session.tunnel`."""
        await self._session.tunnel(keys)

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        """See `wire.Session.release`."""
        await self._session.release(container, network_ids)
