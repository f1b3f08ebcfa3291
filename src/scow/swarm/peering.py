"""A manager's part in the exchange of the root of etcd's members: its own member is given what the step asks for, and the store is told.

Run by `managers.py` on every manager that has a member; `ca/peers.py` has the steps, `manager/peers.py` says whose turn it is. What the
member works with is kept in the node's state before it is used, so a daemon that is killed anywhere goes on from there.
"""

from typing import TYPE_CHECKING

from scow import log
from scow.errors import ScowError, Unavailable
from scow.swarm.ca import peers
from scow.swarm.clock import Clock
from scow.swarm.links.rpc import dial
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Node, Object
from scow.swarm.store.etcd.member import Etcd
from scow.swarm.store.store import Change, Store, Tx

if TYPE_CHECKING:
    from scow.swarm.managers import Managers
    from scow.swarm.node import SwarmNode

logger = log.get(__name__)

_AGAIN_SECONDS = 1.0
_HEALTH_SECONDS = 5.0


class Peering:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Node, Cluster)

    def __init__(self, node: "SwarmNode", managers: "Managers", store: Store, etcd: Etcd, clock: Clock) -> None:
        self._node, self._managers, self._store, self._etcd, self._clock = node, managers, store, etcd, clock
        self._id = node.state.node_id

    def setup(self) -> None:
        """See Loop."""

    def handle(self, change: Change) -> None:
        """See Loop."""

    async def tick(self) -> None:
        """See Loop."""
        said = ""
        while True:
            try:
                if await self._done():
                    return
            except ScowError as error:
                if said != (said := error.message):
                    logger.info("the exchange of the root of etcd's members waits: %s", said)
            await self._clock.sleep(_AGAIN_SECONDS)

    async def _done(self) -> bool:
        """Whether there is nothing to do here until the store changes. Raises ScowError: try again."""
        own, cluster = self._store.get(Node, self._id), cluster_of(self._store)
        if own is None or cluster is None:
            return True
        if own.peer_mark != self._etcd.trust.mark:
            await self._tell()
        if cluster.peers is None:
            return True
        wanted = peers.wanted(cluster.peers)
        if wanted.mark == self._etcd.trust.mark:
            return True
        if wanted.believed == self._etcd.trust.believed:
            self._node.keep_trust(wanted)
            self._etcd.certify(wanted)
            await self._tell()
            return True
        if cluster.peers["Turn"] != self._id:
            return True
        await self._store.fresh()
        if (now := cluster_of(self._store)) is None or now.peers != cluster.peers:
            return False
        leads = await self._others_are_well()
        if leads:
            await self._managers.hand_over()
            return False
        logger.info('etcd is started again here: its members exchange their root, step "%s"', cluster.peers["Step"])
        self._node.keep_trust(wanted)
        await self._managers.restart(wanted)
        await self._tell()
        return True

    async def _tell(self) -> None:
        mark = self._etcd.trust.mark

        def write(tx: Tx) -> None:
            node = tx.get(Node, self._id)
            if node is not None and node.peer_mark != mark:
                tx.update(node.changed(peer_mark=mark))

        await self._store.update(write)

    async def _others_are_well(self) -> bool:
        """Whether this member leads others, all of which are well. Raises Unavailable when one is not."""
        own = await self._etcd.client.health()
        others = [node for node in self._store.all(Node) if node.manager is not None and node.id != self._id]
        for node in others:
            async with await dial(node.manager_address, self._node.context()) as client:
                leader = int(await client.call("member.leader", seconds=_HEALTH_SECONDS))
            if not leader or leader != own.leader:
                raise Unavailable(f"the member of manager {node.id} does not follow the others")
        return bool(others) and own.leader == own.member
