"""Logging in: challenges, the token flow, Basic. One `Login` lives as long as one operation on one repository.

Credentials go to the registry they are for, and to the token server it names if nobody on the way can read or forge that name: both are
spoken to with verified TLS, or they are the same host. They never follow a redirect and never go to a mirror.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError, Unreachable, parse
from scow.registry.resolver import Endpoint, hostname, is_loopback

if TYPE_CHECKING:
    from scow.registry.transport import Transport

CLIENT_ID = "docker"
_TOKEN_MAX = 1 << 20
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_.-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?=\s+[A-Za-z0-9_.-]+\s*=|\s*(?:,|\Z))")
_SLACK = 5.0


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers: `scheme` in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(values: list[str]) -> list[Challenge]:
    """The WWW-Authenticate fields of a reply, taken apart; what is malformed is left out."""
    found: list[Challenge] = []
    for value in values[:8]:
        text = value[:8192]
        at = 0
        while match := _SCHEME.match(text, at):
            at = match.end()
            parameters: dict[str, str] = {}
            while (pair := _PARAMETER.match(text, at)) is not None:
                parameters[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
                at = pair.end()
            found.append(Challenge(match[1].lower(), parameters))
    return found


def scope(path: str, *actions: str) -> str:
    """`repository:library/x:pull,push`."""
    return f"repository:{path}:{','.join(actions)}"


@dataclass(slots=True)
class Login:
    """What one operation knows about authorization at one endpoint."""

    endpoint: Endpoint
    credentials: Credentials
    scopes: list[str] = field(default_factory=list)
    account: bool = False  # ask for an identity token
    identity_token: str = ""
    header: str = ""
    expires: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def current(self) -> str:
        """The Authorization header to send now, "" for none."""
        if self.expires and time.monotonic() > self.expires:
            self.header, self.expires = "", 0.0
        return self.header

    async def answer(self, offered: list[Challenge], sent: str, transport: "Transport", what: str) -> bool:
        """Take up a challenge; whether another try makes sense. `sent`: the header that was refused. Raises when it is hopeless."""
        async with self._lock:
            if self.header and self.header != sent:
                return True  # somebody else has just logged in
            bearer = next((one for one in offered if one.scheme == "bearer"), None)
            if bearer is not None:
                if self.credentials.registry_token:
                    self.header = f"Bearer {self.credentials.registry_token}"
                    return self.header != sent
                self.header = await self._token(bearer, transport, what)
                return True
            if any(one.scheme == "basic" for one in offered):
                basic = self.credentials.basic
                if not basic:
                    raise RegistryError(f"{what}: no basic auth credentials", "UNAUTHORIZED", 401)
                if basic == sent:
                    return False
                self.header = basic
                return True
        return False

    def _may_send(self, realm: str) -> bool:
        parts = urlsplit(realm)
        ours = urlsplit(self.endpoint.base)
        theirs_name, ours_name = hostname(parts.netloc), hostname(ours.netloc)
        if theirs_name == ours_name or (is_loopback(theirs_name) and is_loopback(ours_name)):
            return parts.scheme == "https" or ours.scheme == "http" or is_loopback(ours_name)
        return parts.scheme == "https" and self.endpoint.tls and self.endpoint.verify

    async def _token(self, challenge: Challenge, transport: "Transport", what: str) -> str:
        realm = challenge.parameters.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
            raise Unreachable(f"{what}: invalid token auth challenge realm: {realm[:200]}", final=True)
        service = challenge.parameters.get("service", "")
        wanted = list(self.scopes)
        for one in challenge.parameters.get("scope", "").split():
            if one not in wanted and not any(_covers(own, one) for own in wanted):
                wanted.append(one)
        secret = bool(self.credentials) and self._may_send(realm)
        refresh = (self.credentials.identity_token or self.identity_token) if secret else ""
        headers: dict[str, str] = {}
        if refresh:
            form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", CLIENT_ID), ("service", service)]
            if wanted:
                form.append(("scope", " ".join(wanted)))
            status, body = await transport.plain("POST", realm, urlencode(form).encode(), headers, self.endpoint, _TOKEN_MAX)
        else:
            query = [("service", service)] if service else []
            query += [("scope", one) for one in wanted]
            if secret and self.credentials.basic:
                headers["Authorization"] = self.credentials.basic
                query = [("account", self.credentials.username), *query]
                if self.account:
                    query += [("client_id", CLIENT_ID), ("offline_token", "true")]
            glue = "&" if parts.query else "?"
            url = realm + (glue + urlencode(query) if query else "")
            status, body = await transport.plain("GET", url, None, headers, self.endpoint, _TOKEN_MAX)
        if status >= 400:
            error = parse(status, body)
            raise RegistryError(f"{what}: {error.message}", error.code, error.status)
        return self._accept(body, what)

    def _accept(self, body: bytes, what: str) -> str:
        try:
            document: Any = orjson.loads(body)
        except ValueError:
            document = None
        token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{what}: authorization server did not include a token in the response")
        life = document.get("expires_in")
        seconds = float(life) if isinstance(life, (int, float)) and 0 < life < 1e9 else 60.0
        self.expires = time.monotonic() + max(seconds - _SLACK, 1.0)
        refresh = document.get("refresh_token")
        if isinstance(refresh, str):
            self.identity_token = refresh
        return f"Bearer {token}"


def _covers(own: str, other: str) -> bool:
    """Whether a scope that is asked for anyway includes another."""
    mine, theirs = own.rpartition(":"), other.rpartition(":")
    return mine[0] == theirs[0] and set(theirs[2].split(",")) <= set(mine[2].split(","))
