import json

from scow.errors import Forbidden, NotFound, Unavailable
from scow.registry.errors import RegistryError, parse, status_error, translated


def _body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def test_dockerd_s_sentences() -> None:
    unknown = parse(404, _body("MANIFEST_UNKNOWN", "manifest unknown"))
    assert translated(unknown, "x", "x:1").message == "manifest for x:1 not found: manifest unknown: manifest unknown"
    denied = parse(401, _body("UNAUTHORIZED", "authentication required"), insufficient=True)
    text = "pull access denied for x, repository does not exist or may require 'docker login': "
    text += "denied: requested access to the resource is denied"
    assert translated(denied, "x", "x:1").message == text
    assert isinstance(translated(denied, "x", "x:1"), NotFound)
    limited = parse(429, _body("TOOMANYREQUESTS", "slow down"), retry_after=3)
    assert (limited.message, limited.retry_after) == ("toomanyrequests: slow down", 3)
    assert isinstance(translated(limited, "x", "x:1"), Unavailable)


def test_a_401_stays_what_makes_no_client_ask_for_a_password() -> None:
    error = parse(401, b"")
    assert translated(error, "x", "x:1") is error
    assert error.message == "unauthorized: authentication required"


def test_bodies_of_any_kind() -> None:
    for body in (b"", b"null", b"[]", b'{"errors": 3}', b"<html>", b"\xff" * 5000, b"[" * 100_000):
        assert isinstance(parse(500, body), RegistryError)
        assert len(parse(500, body).message) < 2000
    assert isinstance(status_error(parse(403, b"no")), Forbidden)
