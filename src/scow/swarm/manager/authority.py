"""Gets certificates signed: by an external CA where the settings name one for the root of the time, else with the root's key; and decides
what changed settings mean for the roots. One per manager; stores nodes' certificates, the rest is in the cluster.

`node.py` makes it; `doors.py` and the node itself ask it for certificates, `service.py` for roots. Rules and sentences are swarmkit's.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from scow import log
from scow.errors import Internal, NotFound, Unavailable
from scow.swarm import ca
from scow.swarm.ca import answers, external
from scow.swarm.ca import roots as exchange
from scow.swarm.clock import Clock
from scow.swarm.links import tls
from scow.swarm.manager import certificates
from scow.swarm.objects import Cluster, Node
from scow.swarm.store.store import Store, Tx
from scow.swarm.wording import invalid, rpc

logger = log.get(__name__)

Json = dict[str, Any]

_AT_A_TIME = 8
"""Requests to an external CA: the nodes of a large swarm all come at once when the root is exchanged."""


class Authority:
    """See above."""

    def __init__(self, store: Store, clock: Clock, own: Callable[[], ca.KeyPair]) -> None:
        """`own()`: this manager's certificate and key, which it shows to external CAs."""
        self._store, self._clock, self._own = store, clock, own
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    # --- certificates of nodes

    async def signed(self, cluster: Cluster, request: str, node_id: str, role: str) -> str:
        """A node's certificate, with what else its peers need to believe it. Raises InvalidArgument (the request), Unavailable (an
        external CA does not sign)."""
        root = certificates.issuer(cluster)
        # while roots are exchanged, an authority may still have a certificate of the old one
        outside = self._external(cluster, cluster.spec["CAConfig"], root.certificate, certificates.roots(cluster))
        if outside is not None:
            body = external.node_request(ca.checked_request(request), node_id, role, cluster.id)
            async with self._turns:
                answer = await outside.sign(body)
            wanted = (node_id, role, cluster.id)
            made = answers.node_certificate(answer, request, wanted, exchange.first_of(root.certificate), self._clock.now_ns())
        elif root.key:
            made = ca.sign(root, request, node_id, role, cluster.id, certificates.expiry_ns(cluster))
        else:
            raise Unavailable('the key of the swarm\'s root is not here and no external CA serves it: name one with "swarm update"')
        return certificates.with_cross_signed(cluster, made)

    async def renewed(self, node_id: str, request: str) -> Json:
        """A fresh certificate for a node of the cluster, of the role that it is to have. Raises NotFound, Unavailable, InvalidArgument."""

        def due(node: Node | None, clusters: list[Cluster]) -> tuple[Node, Cluster]:
            if node is None or not clusters:
                raise NotFound(f"node {node_id} is not part of this swarm")
            if node.role == "worker" and node.manager is not None:
                raise Unavailable("this node's part of the swarm's state has yet to be given up")
            return node, clusters[0]

        node, cluster = due(self._store.get(Node, node_id), self._store.all(Cluster))
        certificate = await self.signed(cluster, request, node_id, node.role)

        def write(tx: Tx) -> Json:
            now, present = due(tx.get(Node, node_id), tx.all(Cluster))
            if now.role != node.role or not certificates.same_issuer(present, cluster):
                raise Unavailable("the node's role or the swarm's root changed while its certificate was signed: it is asked for again")
            tx.update(now.changed(certificate=certificate))
            return certificates.issued(self._store, present, now.role, certificate)

        return await self._store.update(write)

    def _external(self, cluster: Cluster, settings: Mapping[str, Any], root: str, believed: str = "") -> external.External | None:
        """The external CA of a root; a row of the settings that names no root serves the present one. `believed`: the roots of which its
        own certificate may be, by default that root."""
        wanted, present = (exchange.normal(one) for one in (root, cluster.root_certificate))
        urls = [
            str(row.get("URL") or "")
            for row in settings.get("ExternalCAs") or ()
            if str(row.get("Protocol") or "").lower() == "cfssl" and (exchange.normal(str(row.get("CACert") or "")) or present) == wanted
        ]
        if not urls:
            return None
        own = self._own()
        return external.External(urls, tls.external(believed or root, own.certificate, own.key))

    # --- one root after another

    async def wished(self, cluster: Cluster, settings: Mapping[str, Any]) -> Json:
        """What a changed CAConfig means for the roots: fields of the cluster to change. Raises InvalidArgument, Internal (the present
        root's external CA does not cross-sign).

        `settings`: with SigningCACert and SigningCAKey where a certain root is wanted; ForceRotate differs where a fresh one is."""
        forced = int(settings.get("ForceRotate") or 0)
        certificate, key = (str(settings.get(name) or "") for name in ("SigningCACert", "SigningCAKey"))
        desired = exchange.checked(certificate, key, self._clock.now_ns()) if certificate or key else None
        present = exchange.first_of(cluster.root_certificate)
        if not cluster.root_key and not (desired is not None and desired.certificate == present and key):
            await self._served(cluster, settings, present, "current")
        rotation = cluster.rotation
        if desired is None:
            if forced != cluster.forced_rotation:
                return await self._begun(cluster, settings, ca.new_root(), forced)
            if rotation is not None and not rotation["Key"]:
                await self._served(cluster, settings, str(rotation["Certificate"]), "next")
            return {}
        if not key:
            await self._served(cluster, settings, desired.certificate, "desired")
        if desired.certificate == present:
            return {"root_key": key, "rotation": None, "forced_rotation": forced}
        if key and key == cluster.root_key:
            raise invalid("Cannot update to a cert with an identical key")
        if rotation is not None and desired.certificate == exchange.first_of(str(rotation["Certificate"])):
            return {"rotation": {**rotation, "Key": key}, "forced_rotation": forced}
        return await self._begun(cluster, settings, desired, forced)

    async def _served(self, cluster: Cluster, settings: Mapping[str, Any], root: str, which: str) -> None:
        outside = self._external(cluster, settings, root)
        if outside is None or not await outside.reachable():
            raise invalid(f"there must be at least one valid, reachable external CA corresponding to the {which} CA certificate")

    async def _begun(self, cluster: Cluster, settings: Mapping[str, Any], desired: ca.KeyPair, forced: int) -> Json:
        present = ca.KeyPair(exchange.first_of(cluster.root_certificate), cluster.root_key)
        if present.key:
            crossed = exchange.cross_signed(present, desired.certificate)
        elif not desired.key:
            raise invalid("rotating from one external CA to a different external CA is not supported")
        else:
            crossed = await self._crossed(cluster, settings, present.certificate, desired)
        rotation = {"Certificate": desired.certificate, "Key": desired.key, "CrossSigned": crossed}
        return {"rotation": rotation, "forced_rotation": forced}

    async def _crossed(self, cluster: Cluster, settings: Mapping[str, Any], present: str, desired: ca.KeyPair) -> str:
        outside = self._external(cluster, settings, present)
        try:
            if outside is None:
                raise Unavailable("no external CA is known")
            answer = await outside.sign(external.cross_request(desired))
            return answers.cross_signed(answer, desired.certificate, present, self._clock.now_ns())
        except Unavailable as error:
            logger.error("the next root was not cross-signed: %s", error.message)
            raise Internal(rpc("Internal", f"unable to generate a cross-signed certificate for root rotation: {error.message}")) from None
