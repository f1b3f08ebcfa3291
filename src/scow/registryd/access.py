"""Who asks, and what they may do. A password is checked against the users of the catalog, then against the htpasswd file; its bcrypt is
paid once in five minutes. Where there never were accounts, everybody may pull, and push if the server was started so.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow import aio
from scow.registryd import accounts, bearer, errors, names
from scow.registryd.accounts import Accounts, Grant, Htpasswd
from scow.registryd.limits import Buckets
from scow.registryd.metrics import Metrics
from scow.registryd.options import Options

SERVICE = "scow-registry"
_ALL = frozenset(accounts.VERBS)
_REMEMBER_SECONDS = 300.0
_REMEMBER_MANY = 1000
_TOKEN_SECONDS = 300
_REFRESH_SECONDS = 90 * 86400
_SCOPES_MAX = 50
_HEADER_MAX = 16 << 10
# bcrypt of nothing anybody has: an unknown user takes as long as a known one
_NOBODY = "$2b$10$abcdefghijklmnopqrstuuQFGc3fMUOF.9vOyGWTi3XlG7vC8WT7a"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `name` "" is anybody."""

    name: str
    grants: tuple[Grant, ...]
    limited: tuple[Grant, ...] = ()  # of a token: both must allow

    def may(self, repository: str, verb: str) -> bool:
        """Whether the caller may do this there."""
        return _allows(self.grants, repository, verb) and (not self.limited or _allows(self.limited, repository, verb))


def _allows(grants: tuple[Grant, ...], repository: str, verb: str) -> bool:
    return any(verb in grant.verbs and names.matches(grant.pattern, repository) for grant in grants)


class Access:
    """The door. `authenticate` says who it is, `require` lets through or refuses."""

    def __init__(self, options: Options, users: Accounts, metrics: Metrics) -> None:
        self._options = options
        self._users = users
        self._metrics = metrics
        self._htpasswd = Htpasswd(options.htpasswd)
        self._failures = Buckets(0.2, 20)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._salt = secrets.token_bytes(32)

    @property
    def open(self) -> bool:
        """Whether there are no accounts at all; who says what is public has said that the rest is not."""
        return not self._htpasswd.given and not self._options.public and not self._users.any()

    @property
    def by_token(self) -> bool:
        """Whether clients are sent to the token endpoint; else they are asked for the password with each request."""
        return self._options.auth == "token" or (not self._options.auth and bool(self._options.public))

    @property
    def anybody(self) -> Caller:
        """Who gave no name."""
        grants = [Grant(pattern, frozenset(("pull",))) for pattern in (("**",) if self.open else self._options.public)]
        if self._options.anonymous_push:
            grants.append(Grant("**", _ALL))
        return Caller("", tuple(grants))

    async def authenticate(self, headers: Mapping[str, str], address: str) -> Caller:
        """The caller of a request. Raises Refused (UNAUTHORIZED) for credentials that are wrong, TOOMANYREQUESTS for too many of those."""
        value = headers.get("authorization", "")
        if not value or self.open:
            return self.anybody
        kind, _, rest = value.partition(" ")
        if len(rest) <= _HEADER_MAX:
            if kind.lower() == "bearer":
                caller = self._bearer(rest.strip())
                if caller is not None:
                    return caller
                if not rest.strip().startswith(accounts.TOKEN_PREFIX):
                    raise self.challenge("", "", expired=True)
            elif kind.lower() == "basic":
                user, password = _basic(rest)
                caller = await self.login(user, password, address)
                if caller is not None:
                    return caller
        self._metrics.add("refused_logins_total")
        raise self.challenge("", "")

    def _bearer(self, token: str) -> Caller | None:
        if token.startswith(accounts.TOKEN_PREFIX):
            return self._stored(token)
        claims = bearer.verify(self._users.key(), token, SERVICE)
        if claims is None or claims.get("use") != "access":
            return None
        grants = tuple(Grant(row["name"], frozenset(row["actions"])) for row in claims.get("access", ()))
        return Caller(str(claims.get("sub", "")), grants)

    def _stored(self, secret: str, user: str = "") -> Caller | None:
        token = self._users.token(secret)
        if token is None or user not in ("", token.user):
            return None
        return Caller(token.user, self._users.grants(token.user), token.grants)

    async def login(self, user: str, password: str, address: str) -> Caller | None:
        """The caller with this name and password (or token as password), None when they are wrong. Raises Refused (TOOMANYREQUESTS)."""
        if not user or not password:
            return None
        if password.startswith(accounts.TOKEN_PREFIX):
            caller = self._stored(password, user)
            if caller is not None:
                return caller
        stored = self._users.password(user)
        own = bool(stored)
        stored = stored or self._htpasswd.password(user)
        key = hmac.digest(self._salt, f"{user}\0{stored}\0{password}".encode(), hashlib.sha256)
        if self._known.get(key, 0.0) < time.monotonic():
            wait = self._failures.wait(address)
            if wait:
                raise errors.too_many(int(wait) + 1)
            good = await aio.in_pool(accounts.verify, password, stored or _NOBODY)
            if not good or not stored:
                self._failures.take(address)
                return None
            self._known[key] = time.monotonic() + _REMEMBER_SECONDS
            if len(self._known) > _REMEMBER_MANY:
                self._known.popitem(last=False)
        return Caller(user, self._users.grants(user) if own else (Grant("**", _ALL),))

    def require(self, caller: Caller, repository: str, verb: str) -> None:
        """Raises Refused unless the caller may."""
        if caller.may(repository, verb):
            return
        if self.open:
            raise errors.denied(
                "anonymous pushes are off here: the server allows them with --anonymous-push, or has users (`scow registry user add`)"
            )
        if not caller.name or self.by_token:
            raise self.challenge(repository, verb, insufficient=bool(caller.name))
        raise errors.denied(f"{caller.name} may not {verb} in {repository}")

    def ping(self, caller: Caller) -> None:
        """The version endpoint: where names are asked for it must say so, or clients never send theirs."""
        if not caller.name and not self.open and (self.by_token or not caller.grants):
            raise self.challenge("", "")

    def challenge(self, repository: str, verb: str, insufficient: bool = False, expired: bool = False) -> errors.Refused:
        """The 401 that tells clients how to log in. `REALM` in it is filled in by the app, which knows the request."""
        if self.by_token:
            value = f'Bearer realm="REALM",service="{SERVICE}"'
            if repository:
                actions = {"pull": "pull", "push": "pull,push", "delete": "delete"}[verb]
                value += f',scope="repository:{repository}:{actions}"'
            if insufficient:
                value += ',error="insufficient_scope"'
            elif expired:
                value += ',error="invalid_token"'
        else:
            value = 'Basic realm="scow registry"'
        detail = [{"Type": "repository", "Name": repository, "Action": verb}] if repository else None
        return errors.Refused(401, "UNAUTHORIZED", "authentication required", detail, (("WWW-Authenticate", value),))

    # --- the token endpoint

    def access_token(self, caller: Caller, scopes: list[str]) -> dict[str, Any]:
        """What the token endpoint answers: a token for those of the scopes that the caller may."""
        rows = []
        for scope in scopes[:_SCOPES_MAX]:
            kind, _, rest = scope.partition(":")
            repository, _, actions = rest.rpartition(":")
            if kind != "repository" or not names.valid_name(repository):
                continue
            wanted = set(actions.split(","))
            if "*" in wanted:
                wanted = set(_ALL)
            allowed = [verb for verb in accounts.VERBS if verb in wanted and caller.may(repository, verb)]
            if allowed:
                rows.append({"type": "repository", "name": repository, "actions": allowed})
            if "pull" in wanted and self._options.mirror:
                # the copy that is read where the name is not one of here
                inner = "" if "/" in repository else "library/"
                copies = {f"{self._options.mirror}/{repository}", f"{self._options.mirror}/{inner}{repository}"}
                rows += [{"type": "repository", "name": copy, "actions": ["pull"]} for copy in copies if caller.may(copy, "pull")]
        claims = {"iss": SERVICE, "aud": SERVICE, "sub": caller.name, "use": "access", "access": rows}
        token = bearer.sign(self._users.key(), claims, _TOKEN_SECONDS)
        return {"token": token, "access_token": token, "expires_in": _TOKEN_SECONDS}

    def refresh_token(self, user: str) -> str:
        """An identity token: good until the user's password changes, at most 90 days."""
        claims = {"aud": SERVICE, "sub": user, "use": "refresh", "gen": self._generation(user)}
        return bearer.sign(self._users.key(), claims, _REFRESH_SECONDS)

    def refreshed(self, token: str) -> Caller | None:
        """The caller of an identity token, None when it is no longer good."""
        claims = bearer.verify(self._users.key(), token, SERVICE)
        if claims is None or claims.get("use") != "refresh":
            return None
        user = str(claims.get("sub", ""))
        if not user or not hmac.compare_digest(str(claims.get("gen", "")), self._generation(user)):
            return None
        own = bool(self._users.password(user))
        return Caller(user, self._users.grants(user) if own else (Grant("**", _ALL),))

    def _generation(self, user: str) -> str:
        stored = self._users.password(user) or self._htpasswd.password(user)
        return hashlib.sha256(stored.encode()).hexdigest()[:16] if stored else "none"


def _basic(text: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return "", ""
    return user, password
