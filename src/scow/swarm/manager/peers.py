"""When the root of etcd's members is exchanged, and whose turn it is (`ca/peers.py` has the steps). The loop runs on the leader; a new one
goes on, since all of it lies in the store.

Managers tell what their member works with (`Node.peer_mark`). A step begins when all have told of the one before; one whose daemon is down
holds it up, since it could not come back otherwise, and removing it from the swarm lets it go on. Members are started again one at a time:
`Turn` names the manager that may, and moves on when that one has told. The leader comes last.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from scow import log
from scow.swarm import ca
from scow.swarm.ca import peers
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Node, Object
from scow.swarm.store.store import Change, Store, Tx

logger = log.get(__name__)


def asked(cluster: Cluster, exchanged: Mapping[str, Any], present: ca.KeyPair) -> dict[str, Any]:
    """Fields of the cluster to change when its own root is to be exchanged for another (`exchanged`: what changes for that): the members'
    root goes with it. `present`: the members' root where no exchange is under way."""
    rotation = exchanged.get("rotation")
    if rotation is None or (cluster.rotation is not None and cluster.rotation["Certificate"] == rotation["Certificate"]):
        return {}
    return {"peers": peers.begun(present) if cluster.peers is None else {**cluster.peers, "Again": True}}


def planned(exchange: peers.Doc, nodes: Iterable[Node], gone: set[str], leader: str) -> peers.Doc | None:
    """The exchange as it goes on; the very same where it has to wait, None at its end. `gone`: members that nodes had and etcd has not."""
    concerned = [node for node in nodes if (node.manager is not None or node.member_id) and node.member_id not in gone]
    mark = peers.wanted(exchange).mark
    behind = {node.id for node in concerned if node.peer_mark != mark}
    if not concerned or exchange["Turn"] in behind:
        return exchange
    if not behind:
        return peers.moved(exchange)
    if exchange["Step"] == peers.SIGN:
        return exchange
    return {**exchange, "Turn": min(behind, key=lambda id: (id == leader, id))}


class PeerRotation:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Node, Cluster)

    def __init__(self, store: Store, node_id: str, known: Callable[[], Awaitable[set[str]]]) -> None:
        """`known()`: ids of etcd's members."""
        self._store, self._node_id, self._known = store, node_id, known

    def setup(self) -> None:
        """See Loop."""

    def handle(self, change: Change) -> None:
        """See Loop."""

    async def tick(self) -> None:
        """See Loop."""
        cluster = cluster_of(self._store)
        if cluster is None or cluster.peers is None:
            return
        # a member is in etcd before its node's row names it: what is named now and not in etcd afterwards has been removed for good
        named = {node.member_id for node in self._store.all(Node)} - {""}
        gone = named - await self._known()
        before, after = await self._store.update(lambda tx: self._move(tx, gone))
        if before is not None and after is None:
            logger.info("the root of etcd's members was exchanged: every member believes the new one only")
        elif before is not None and after is not None and before["Step"] != after["Step"]:
            logger.info('the exchange of the root of etcd\'s members comes to its step "%s"', after["Step"])

    def _move(self, tx: Tx, gone: set[str]) -> tuple[peers.Doc | None, peers.Doc | None]:
        cluster = tx.all(Cluster)[0]
        if (before := cluster.peers) is None:
            return None, None
        after = planned(before, tx.all(Node), gone, self._node_id)
        if after is not before:
            tx.update(cluster.changed(peers=after))
        return before, after
