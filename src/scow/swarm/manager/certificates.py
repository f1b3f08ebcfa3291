"""Which root signs node certificates now, whom nodes believe, and how one root follows another. `authority.py` has them signed.

`swarm ca --rotate` puts the next root beside the present one (`Cluster.rotation`). From then on certificates are signed by the next root
and carry its cross-signed certificate, so that a node which has not heard of it believes it, too; nodes believe both. When every node has
such a certificate (`rotation.py`, on the leader) the next root takes the present one's place and the join tokens are new.
"""

from collections.abc import Mapping
from typing import Any

from scow.swarm import ca
from scow.swarm.objects import Cluster, Node
from scow.swarm.store.store import Store

Json = dict[str, Any]


def issuer(cluster: Cluster) -> ca.KeyPair:
    """The root that signs; its key is "" where only an external CA has it."""
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


def with_cross_signed(cluster: Cluster, certificate: str) -> str:
    """A node's certificate with what else its peers need to believe it while the root is exchanged."""
    return certificate if cluster.rotation is None else certificate.rstrip() + "\n" + str(cluster.rotation["CrossSigned"])


def same_issuer(one: Cluster, two: Cluster) -> bool:
    """Whether two states of the cluster have certificates signed by one root."""
    return issuer(one).certificate == issuer(two).certificate


def issued(store: Store, cluster: Cluster, role: str, certificate: str) -> Json:
    """What a node is told with its certificate."""
    managers = [[one.id, one.manager_address] for one in store.all(Node) if one.manager is not None]
    return {
        "cluster": cluster.id,
        "role": role,
        "certificate": certificate,
        "roots": roots(cluster),
        "issuer": issuer(cluster).certificate,
        "managers": managers,
    }


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
