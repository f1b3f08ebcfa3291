"""Who signs node certificates now, and whom nodes believe: one root, two while it is exchanged. Pure."""

from scow.swarm import ca
from scow.swarm.objects import Cluster


def issuer(cluster: Cluster) -> ca.KeyPair:
    """The root that signs."""
    rotation = cluster.rotation
    if rotation is not None:
        return ca.KeyPair(str(rotation["Certificate"]), str(rotation["Key"]))
    return ca.KeyPair(cluster.root_certificate, cluster.root_key)


def roots(cluster: Cluster) -> str:
    """The roots that are believed, PEM."""
    if cluster.rotation is None:
        return cluster.root_certificate
    return cluster.root_certificate.rstrip() + "\n" + str(cluster.rotation["Certificate"])


def expiry_ns(cluster: Cluster) -> int:
    """How long a node certificate holds."""
    return int(cluster.spec["CAConfig"]["NodeCertExpiry"])
