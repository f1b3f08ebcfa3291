"""The tokens that the token endpoint signs and the same server takes: JSON web tokens, HMAC-SHA256 and nothing else."""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any

import orjson

_HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
_MAX = 16 << 10


def sign(key: bytes, claims: dict[str, Any], seconds: int) -> str:
    """A token with these claims that is good for so long."""
    now = int(time.time())
    body = base64.urlsafe_b64encode(orjson.dumps({**claims, "iat": now, "nbf": now - 5, "exp": now + seconds})).rstrip(b"=")
    text = _HEAD + b"." + body
    return (text + b"." + base64.urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)).rstrip(b"=")).decode()


def verify(key: bytes, token: str, audience: str) -> dict[str, Any] | None:
    """The claims of a token of ours that is good now and meant for `audience`; else None."""
    if len(token) > _MAX or not token.isascii():
        return None
    text, _, signature = token.rpartition(".")
    head, _, body = text.partition(".")
    if head.encode() != _HEAD:
        return None
    try:
        given = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        if not hmac.compare_digest(given, hmac.digest(key, text.encode(), hashlib.sha256)):
            return None
        claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return None
    now = time.time()
    good = isinstance(claims, dict) and claims.get("aud") == audience and claims.get("nbf", now + 1) <= now < claims.get("exp", 0)
    return claims if good else None
