"""Managers as the cluster sees them: who is reachable, and who is to be one no longer. Runs on the leader."""

from collections.abc import Awaitable, Callable
from functools import partial

from scow import log
from scow.swarm.objects import Node, Object
from scow.swarm.store.store import Change, Store, Tx

logger = log.get(__name__)


class Roles:
    """The loop (`loop.Loop`). `expel(node)` takes a manager's member out of the cluster of etcd; False: not yet, it is this node's own."""

    kinds: tuple[type[Object], ...] = (Node,)

    def __init__(self, store: Store, node_id: str, expel: Callable[[Node], Awaitable[bool]]) -> None:
        self._store = store
        self._node_id = node_id
        self._expel = expel

    def setup(self) -> None:
        """See Loop."""

    def handle(self, change: Change) -> None:
        """See Loop."""

    async def tick(self) -> None:
        """See Loop."""
        for node in self._store.all(Node):
            if node.manager is not None and node.role == "worker" and await self._expel(node):
                logger.info("node %s is a manager no longer", node.id)
                await self._store.update(partial(self._plain, id=node.id))
        if any(self._differs(node) for node in self._store.all(Node)):
            await self._store.update(self._note)

    @staticmethod
    def _plain(tx: Tx, id: str) -> None:
        node = tx.get(Node, id)
        if node is not None and node.role == "worker":
            tx.update(node.changed(manager=None, member_id=""))

    def _wanted(self, node: Node) -> dict[str, object]:
        assert node.manager is not None
        reachable = node.id == self._node_id or node.status_state == "ready"
        state = "reachable" if reachable else "unreachable" if node.status_state == "down" else "unknown"
        return {**node.manager, "Leader": node.id == self._node_id, "Reachability": state}

    def _differs(self, node: Node) -> bool:
        return node.manager is not None and self._wanted(node) != dict(node.manager)

    def _note(self, tx: Tx) -> None:
        for node in tx.all(Node):
            if self._differs(node):
                tx.update(node.changed(manager=self._wanted(node)))
