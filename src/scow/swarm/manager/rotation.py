"""Ends the exchange of the cluster's root when every node has a certificate of the next one. Runs on the leader; a new leader goes on.

A node that is down holds it up, since it could not come back otherwise; removing it from the swarm lets it end.
"""

from scow import log
from scow.swarm.manager import certificates
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Node, Object
from scow.swarm.store.store import Change, Store, Tx

logger = log.get(__name__)


class Rotation:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Node, Cluster)

    def __init__(self, store: Store) -> None:
        self._store = store

    def setup(self) -> None:
        """See Loop."""

    def handle(self, change: Change) -> None:
        """See Loop."""

    async def tick(self) -> None:
        """See Loop."""
        if self._complete(self._store.all(Node), cluster_of(self._store)):
            await self._store.update(self._finish)
            logger.info("the swarm's root certificate was exchanged: every node has a certificate of the new one")

    @staticmethod
    def _complete(nodes: list[Node], cluster: Cluster | None) -> bool:
        if cluster is None or cluster.rotation is None:
            return False
        wanted = certificates.tls_info(cluster)
        return all(certificates.has_issuer(node, wanted) for node in nodes)

    def _finish(self, tx: Tx) -> None:
        cluster = tx.all(Cluster)[0]
        if self._complete(tx.all(Node), cluster):
            tx.update(certificates.finished(cluster))
