"""`scow swarm ca`: how far the exchange of a root is."""

from typing import Any

from scow.cli.commands.swarm.ca import progress

OLD = {"TrustRoot": "old", "CertIssuerPublicKey": "k1", "CertIssuerSubject": "s"}
CROSSED = {"TrustRoot": "old", "CertIssuerPublicKey": "k2", "CertIssuerSubject": "s"}
NEW = {"TrustRoot": "new", "CertIssuerPublicKey": "k2", "CertIssuerSubject": "s"}


def far(wanted: dict[str, str], going: bool, *nodes: dict[str, str]) -> Any:
    swarm = {"TLSInfo": wanted, "RootRotationInProgress": going}
    return progress(swarm, [{"Description": {"TLSInfo": one} if one else {}} for one in nodes])


def test_it_ends_when_every_node_believes_only_the_new_root() -> None:
    assert far(CROSSED, True, OLD, OLD) == (0, 0, False)
    assert far(CROSSED, True, CROSSED, OLD, {}) == (1, 0, False)
    assert far(CROSSED, True, CROSSED, CROSSED) == (2, 0, False)
    assert far(NEW, False, NEW, CROSSED) == (2, 1, False)
    assert far(NEW, False, NEW, NEW) == (2, 2, True)
