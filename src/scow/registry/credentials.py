"""Credentials as clients send them: the X-Registry-Auth header and the body of /auth. Held for one request, stored nowhere."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the user is to a registry. Never printed: repr leaves the secrets out."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    server: str = ""

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header, "" without a user."""
        if not self.username and not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def of(document: Any) -> Credentials:
    """Credentials of Docker's AuthConfig; what is no text counts as absent."""
    if not isinstance(document, dict):
        return Credentials()
    found = {str(key).lower(): value for key, value in document.items() if isinstance(value, str)}
    user, password = found.get("username", ""), found.get("password", "")
    auth = found.get("auth", "")
    if auth and not user:
        try:
            user, _, password = base64.b64decode(auth, validate=False).decode().partition(":")
        except (ValueError, binascii.Error):
            user = ""
    return Credentials(user, password, found.get("identitytoken", ""), found.get("registrytoken", ""), found.get("serveraddress", ""))


def from_header(text: str) -> Credentials:
    """The X-Registry-Auth header (base64url of JSON). What cannot be decoded counts as absent, as in Docker."""
    if not text or len(text) > _MAX:
        return Credentials()
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
        return of(json.loads(data))
    except (ValueError, binascii.Error, RecursionError):
        return Credentials()
