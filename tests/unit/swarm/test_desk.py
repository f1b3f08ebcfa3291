"""What a host's networks are told by its swarm."""

from typing import Any

import pytest

from scow.errors import Unavailable
from scow.swarm.clock import ManualClock
from scow.swarm.desk import Desk
from scow.swarm.manager.control import Control
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import NoLeader
from tests.support.asynchronous import on_loop


class Swarm:
    """A manager that may lose its quorum."""

    def __init__(self) -> None:
        self.quorum = True
        self._control = Control(MemoryStore(), ManualClock(), lambda ref: "")

    @property
    def control(self) -> Control:
        if not self.quorum:
            raise NoLeader
        return self._control

    async def fresh(self) -> None:
        if not self.quorum:
            raise NoLeader


@on_loop
async def test_a_manager_without_a_quorum_knows_no_networks_and_keeps_nobody_from_those_of_its_host() -> None:
    swarm = Swarm()
    desk = Desk(swarm)  # type: ignore[arg-type]
    id = await swarm.control.create_network({"Name": "wide"})
    await desk.fresh()
    found: list[dict[str, Any]] | None = desk.networks()
    assert found is not None
    assert [view["ID"] for view in found] == [id]
    swarm.quorum = False
    await desk.fresh()
    assert desk.networks() is None
    for refused in (desk.create({"Name": "other"}), desk.remove(id)):
        with pytest.raises(Unavailable, match="does not have a leader"):
            await refused
