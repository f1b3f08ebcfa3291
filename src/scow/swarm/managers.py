"""A manager's part in keeping the cluster's state: which store it is, who leads, how managers come and go."""

from pathlib import Path
from typing import TYPE_CHECKING

from scow.errors import Unsupported
from scow.metadata import Database
from scow.swarm.clock import Clock
from scow.swarm.links.rpc import Json
from scow.swarm.manager.manager import Manager
from scow.swarm.state import NodeState
from scow.swarm.store.local import LocalStore
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Store

if TYPE_CHECKING:
    from scow.swarm.node import SwarmNode

_ONE = "a second manager is not supported by this engine yet"


class Managers:
    """Of one node that is a manager."""

    def __init__(self, node: "SwarmNode", db: Database, run: Path, sealer: Sealer, clock: Clock) -> None:
        self._node, self._db, self._run, self._sealer, self._clock = node, db, run, sealer, clock

    async def open(self) -> Store:
        """The store."""
        return LocalStore(self._db, self._sealer, self._clock.now_ns)

    async def begin(self, manager: Manager) -> None:
        """Lead when it is this node's turn."""
        manager.lead()

    async def admit(self, node_id: str, address: str) -> Json:
        """See doors.Members."""
        raise Unsupported(_ONE)

    async def promote(self, node_id: str) -> None:
        """See doors.Members."""
        raise Unsupported(_ONE)

    @staticmethod
    async def admitted(node: "SwarmNode") -> NodeState:
        """The state of a worker that the leader has let in as a manager."""
        raise Unsupported(_ONE)

    async def withdraw(self) -> None:
        """This manager leaves."""

    async def close(self) -> None:
        """The daemon stops."""

    async def forget(self) -> None:
        """Remove what is stored."""
