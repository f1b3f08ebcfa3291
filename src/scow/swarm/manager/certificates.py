"""Who signs node certificates now, whom nodes believe, and how one root follows another.

`swarm ca --rotate` puts the next root beside the present one (`Cluster.rotation`). From then on certificates are signed by the next root
and carry its cross-signed certificate, so that a node which has not heard of it believes it, too; nodes believe both. When every node has
such a certificate (`rotation.py`, on the leader) the next root takes the present one's place and the join tokens are new.
"""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument, NotFound, Unavailable
from scow.swarm import ca
from scow.swarm.ca import roots as exchange
from scow.swarm.objects import Cluster, Node
from scow.swarm.store.store import Store, Tx

Json = dict[str, Any]


def issuer(cluster: Cluster) -> ca.KeyPair:
    """The root that signs."""
    rotation = cluster.rotation
    if rotation is not None:
        return ca.KeyPair(str(rotation["Certificate"]), str(rotation["Key"]))
    return ca.KeyPair(cluster.root_certificate, cluster.root_key)


def roots(cluster: Cluster) -> str:
    """The roots that are believed, PEM: the present one first."""
    if cluster.rotation is None:
        return cluster.root_certificate
    return cluster.root_certificate.rstrip() + "\n" + str(cluster.rotation["Certificate"])


def expiry_ns(cluster: Cluster) -> int:
    """How long a node certificate holds."""
    return int(cluster.spec["CAConfig"]["NodeCertExpiry"])


def tls_info(cluster: Cluster) -> dict[str, str]:
    """Docker's TLSInfo of the cluster."""
    return ca.tls_info(cluster.root_certificate, issuer(cluster).certificate)


def signed(cluster: Cluster, request: str, node_id: str, role: str) -> str:
    """A node's certificate, with what else its peers need to believe it. Raises InvalidArgument."""
    made = ca.sign(issuer(cluster), request, node_id, role, cluster.id, expiry_ns(cluster))
    return made if cluster.rotation is None else made.rstrip() + "\n" + str(cluster.rotation["CrossSigned"])


def issued(store: Store, cluster: Cluster, role: str, certificate: str) -> Json:
    """What a node is told with its certificate."""
    managers = [[one.id, str((one.manager or {}).get("Addr") or "")] for one in store.all(Node) if one.manager is not None]
    return {
        "cluster": cluster.id,
        "role": role,
        "certificate": certificate,
        "roots": roots(cluster),
        "issuer": issuer(cluster).certificate,
        "managers": managers,
    }


async def renewed(store: Store, node_id: str, request: str) -> Json:
    """A fresh certificate for a node of the cluster, of the role that it is to have. Raises NotFound, Unavailable, InvalidArgument."""

    def write(tx: Tx) -> Json:
        node, clusters = tx.get(Node, node_id), tx.all(Cluster)
        if node is None or not clusters:
            raise NotFound(f"node {node_id} is not part of this swarm")
        if node.role == "worker" and node.manager is not None:
            raise Unavailable("this node's part of the swarm's state has yet to be given up")
        certificate = signed(clusters[0], request, node_id, node.role)
        tx.update(node.changed(certificate=certificate))
        return issued(store, clusters[0], node.role, certificate)

    return await store.update(write)


# --- one root after another


def wished(cluster: Cluster, asked: Mapping[str, Any], now_ns: int) -> Json:
    """What a changed CAConfig means for the roots: fields of the cluster to change. Raises InvalidArgument.

    `asked`: with SigningCACert and SigningCAKey where a certain root is wanted; ForceRotate differs where a fresh one is."""
    forced = int(asked.get("ForceRotate") or 0)
    certificate, key = (str(asked.get(name) or "") for name in ("SigningCACert", "SigningCAKey"))
    if not certificate and not key:
        return {} if forced == cluster.forced_rotation else _begun(cluster, ca.new_root(), forced)
    desired = exchange.checked(certificate, key, now_ns)
    if not key:
        raise InvalidArgument(
            "rpc error: code = InvalidArgument desc = there must be at least one valid, reachable external CA corresponding to the desired "
            "CA certificate"
        )
    if desired.certificate == exchange.first_of(cluster.root_certificate):
        return {"root_key": key, "rotation": None, "forced_rotation": forced}
    if cluster.rotation is not None and desired.certificate == exchange.first_of(str(cluster.rotation["Certificate"])):
        return {"rotation": {**cluster.rotation, "Key": key}, "forced_rotation": forced}
    return _begun(cluster, desired, forced)


def _begun(cluster: Cluster, desired: ca.KeyPair, forced: int) -> Json:
    old = ca.KeyPair(cluster.root_certificate, cluster.root_key)
    crossed = exchange.cross_signed(old, desired.certificate)
    rotation = {"Certificate": desired.certificate, "Key": desired.key, "CrossSigned": crossed}
    return {"rotation": rotation, "forced_rotation": forced}


def has_issuer(node: Node, wanted: Mapping[str, str]) -> bool:
    """Whether a node says that its certificate is signed by a root (a TLSInfo)."""
    told = node.description.get("TLSInfo") or {}
    return all(told.get(name) == wanted[name] for name in ("CertIssuerSubject", "CertIssuerPublicKey"))


def finished(cluster: Cluster) -> Cluster:
    """With the next root in the present one's place; tokens that name the old root are of no use any more."""
    assert cluster.rotation is not None
    return cluster.changed(
        root_certificate=str(cluster.rotation["Certificate"]),
        root_key=str(cluster.rotation["Key"]),
        rotation=None,
        tokens={role: ca.new_token_secret() for role in cluster.tokens},
    )
