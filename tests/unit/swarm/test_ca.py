"""Certificates, tokens and keys of a cluster."""

import re

import pytest

from scow.errors import InvalidArgument
from scow.swarm import ca

EXPIRY = 90 * 24 * 3600 * 10**9


def test_a_certificate_says_what_the_manager_decided_not_what_was_asked() -> None:
    root = ca.new_root()
    request = ca.new_request("somebody-else")
    made = ca.sign(root, request.certificate, "n1", "worker", "c1", EXPIRY)
    found = ca.identity(made)
    assert (found.node_id, found.role, found.cluster_id) == ("n1", "worker", "c1")
    assert found.not_after_ns - found.not_before_ns > EXPIRY
    with pytest.raises(InvalidArgument):
        ca.sign(root, "nonsense", "n1", "worker", "c1", EXPIRY)


def test_tokens() -> None:
    root = ca.new_root()
    secret = ca.new_token_secret()
    text = ca.token(root.certificate, secret)
    assert re.fullmatch(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", text)
    assert ca.read_token(text) == (ca.root_digest(root.certificate), secret)
    for bad in ("", "bogus", "SWMTKN-1-x-y", text + "-x", text.replace("SWMTKN", "X")):
        with pytest.raises(InvalidArgument, match="invalid join token"):
            ca.read_token(bad)
    assert set(ca.tls_info(root.certificate)) == {"TrustRoot", "CertIssuerSubject", "CertIssuerPublicKey"}


def test_unlock_keys_seal_and_unseal() -> None:
    text = ca.new_unlock_key()
    key = ca.unlock_bytes(text)
    sealed = ca.seal(key, b"data")
    assert b"data" not in sealed.encode()
    assert ca.unseal(key, sealed) == b"data"
    with pytest.raises(InvalidArgument, match="invalid key"):
        ca.unseal(ca.unlock_bytes(ca.new_unlock_key()), sealed)
    for bad in ("x", "SWMKEY-1-", "SWMKEY-1-%%%"):
        with pytest.raises(InvalidArgument):
            ca.unlock_bytes(bad)
