"""Users, their tokens and what they may do, as rows of the catalog; an htpasswd file beside them. Secrets are kept as hashes only.

Passwords are bcrypt (the library is loaded when the first one is met); tokens are 32 random bytes, looked up by their SHA-256.
"""

import hashlib
import importlib
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from scow.errors import Conflict, InvalidArgument, NotFound
from scow.registryd import names
from scow.registryd.database import Database

VERBS = ("pull", "push", "delete")
TOKEN_PREFIX = "scow_"
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z")
_BCRYPT = re.compile(r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}\Z")
_PASSWORD_MAX = 72  # of bcrypt
_FILE_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Grant:
    """In repositories that match `pattern`, these `verbs` are allowed."""

    pattern: str
    verbs: frozenset[str]

    def __str__(self) -> str:
        return f"{self.pattern}:{','.join(verb for verb in VERBS if verb in self.verbs)}"


@dataclass(frozen=True, slots=True)
class Token:
    """A stored token, without its secret. `expires` 0: never."""

    id: str
    user: str
    grants: tuple[Grant, ...]
    created: int
    expires: int


def parse_grant(text: str) -> Grant:
    """`team/**:pull,push` (no verbs: pull; `*`: all). Raises InvalidArgument."""
    pattern, _, verbs = text.partition(":")
    found = set(verbs.split(",")) if verbs else {"pull"}
    if "*" in found:
        found = set(VERBS)
    if not found <= set(VERBS):
        raise InvalidArgument(f"invalid grant {text!r}: it is written PATTERN:VERB,… with the verbs pull, push, delete or *")
    return Grant(names.check_pattern(pattern), frozenset(found))


def hashed(password: str) -> str:
    """The bcrypt hash of a password. Raises InvalidArgument. Takes long on purpose."""
    data = password.encode()
    if not 1 <= len(data) <= _PASSWORD_MAX or b"\0" in data:
        raise InvalidArgument(f"a password has 1 to {_PASSWORD_MAX} bytes")
    return str(_bcrypt().hashpw(data, _bcrypt().gensalt(10)).decode())


def verify(password: str, stored: str) -> bool:
    """Whether a password fits a bcrypt hash. Takes long on purpose."""
    data = password.encode()
    if len(data) > _PASSWORD_MAX or b"\0" in data:
        return False
    try:
        return bool(_bcrypt().checkpw(data, stored.encode()))
    except ValueError:
        return False


def _bcrypt() -> Any:
    return importlib.import_module("bcrypt")


class Accounts:
    """The users and tokens of `catalog.db`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._key = b""

    def any(self) -> bool:
        """Whether there is a user, or was one: what was closed to others does not open when the last user goes."""
        sql = "SELECT 1 FROM users UNION ALL SELECT 1 FROM settings WHERE key = 'had users' LIMIT 1"
        return self._db.row(sql) is not None

    def password(self, user: str) -> str:
        """The hash of a user's password, "" where there is no such user."""
        row = self._db.row("SELECT password FROM users WHERE name = ?", user)
        return row[0] if row else ""

    def grants(self, user: str) -> tuple[Grant, ...]:
        """What a user may do."""
        rows = self._db.rows("SELECT pattern, verbs FROM grants WHERE user = ? ORDER BY pattern", user)
        return tuple(Grant(pattern, frozenset(verbs.split(","))) for pattern, verbs in rows)

    def users(self) -> list[tuple[str, tuple[Grant, ...], int]]:
        """(name, grants, tokens) of every user."""
        rows = self._db.rows("SELECT name, (SELECT count(*) FROM tokens t WHERE t.user = u.name) FROM users u ORDER BY name")
        return [(name, self.grants(name), tokens) for name, tokens in rows]

    def add(self, user: str, password: str, grants: list[Grant]) -> None:
        """A new user. Raises InvalidArgument, Conflict."""
        if not _USER.match(user):
            raise InvalidArgument(f"invalid user name {user[:100]!r}: letters, digits and . _ @ + -, at most 128")
        stored = hashed(password)
        with self._db.update(durable=True) as tx:
            if tx.execute("SELECT 1 FROM users WHERE name = ?", (user,)).fetchone():
                raise Conflict(f"the user {user} is there already: change it with `user passwd`, `user grant` and `user revoke`")
            tx.execute("INSERT INTO users VALUES (?, ?, ?)", (user, stored, time.time_ns()))
            tx.executemany("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", [_row(user, grant) for grant in grants])

    def change_password(self, user: str, password: str) -> None:
        """Another password; refresh tokens made with the old one end. Raises NotFound, InvalidArgument."""
        stored = hashed(password)
        with self._db.update(durable=True) as tx:
            if not tx.execute("UPDATE users SET password = ? WHERE name = ?", (stored, user)).rowcount:
                raise NotFound(f"there is no user {user}")

    def grant(self, user: str, grants: list[Grant]) -> None:
        """Allow more; a grant for the same pattern is replaced. Raises NotFound."""
        with self._db.update(durable=True) as tx:
            self._require(tx, user)
            tx.executemany("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", [_row(user, grant) for grant in grants])

    def revoke(self, user: str, pattern: str) -> None:
        """Take the grant for a pattern back. Raises NotFound."""
        with self._db.update(durable=True) as tx:
            self._require(tx, user)
            if not tx.execute("DELETE FROM grants WHERE user = ? AND pattern = ?", (user, pattern)).rowcount:
                raise NotFound(f"the user {user} has no grant for {pattern}")

    def remove(self, user: str) -> None:
        """A user goes, with grants and tokens. Raises NotFound."""
        with self._db.update(durable=True) as tx:
            self._require(tx, user)
            for table, column in (("users", "name"), ("grants", "user"), ("tokens", "user")):
                tx.execute(f"DELETE FROM {table} WHERE {column} = ?", (user,))
            tx.execute("INSERT OR IGNORE INTO settings VALUES ('had users', x'01')")

    @staticmethod
    def _require(tx: Any, user: str) -> None:
        if tx.execute("SELECT 1 FROM users WHERE name = ?", (user,)).fetchone() is None:
            raise NotFound(f"there is no user {user}")

    # --- tokens

    def create_token(self, user: str, grants: list[Grant], seconds: int) -> tuple[str, str]:
        """(id, secret) of a token: it may what the user may, and of that only what `grants` allow (none: all). Raises NotFound."""
        identity, secret = secrets.token_hex(6), TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = time.time_ns()
        stored = orjson.dumps([str(grant) for grant in grants]).decode()
        with self._db.update(durable=True) as tx:
            self._require(tx, user)
            expires = now + seconds * 10**9 if seconds else 0
            tx.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)", (identity, user, _digest(secret), stored, now, expires))
        return identity, secret

    def token(self, secret: str) -> Token | None:
        """The token with this secret, if it is still good."""
        row = self._db.row("SELECT id, user, grants, created, expires FROM tokens WHERE secret = ?", _digest(secret))
        if row is None or (row[4] and row[4] < time.time_ns()):
            return None
        return _token(row)

    def tokens(self, user: str = "") -> list[Token]:
        """Every token, or those of a user."""
        rows = self._db.rows("SELECT id, user, grants, created, expires FROM tokens WHERE ? IN ('', user) ORDER BY user, created", user)
        return [_token(row) for row in rows]

    def remove_token(self, identity: str) -> None:
        """Raises NotFound."""
        with self._db.update(durable=True) as tx:
            if not tx.execute("DELETE FROM tokens WHERE id = ?", (identity,)).rowcount:
                raise NotFound(f"there is no token {identity}")

    def key(self) -> bytes:
        """The secret that signs what the token endpoint gives out; made once for each directory."""
        if not self._key:
            with self._db.update(durable=True) as tx:
                tx.execute("INSERT OR IGNORE INTO settings VALUES ('token key', ?)", (secrets.token_bytes(32),))
                self._key = tx.execute("SELECT value FROM settings WHERE key = 'token key'").fetchone()[0]
        return self._key


def _row(user: str, grant: Grant) -> tuple[str, str, str]:
    return user, grant.pattern, ",".join(sorted(grant.verbs))


def _token(row: tuple[Any, ...]) -> Token:
    return Token(row[0], row[1], tuple(parse_grant(text) for text in orjson.loads(row[2])), row[3], row[4])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Htpasswd:
    """An htpasswd file with bcrypt entries, read again when it changes. Entries of other kinds are left out: they are not safe."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] = (0, 0, 0)
        self._entries: dict[str, str] = {}

    @property
    def given(self) -> bool:
        """Whether there is such a file at all."""
        return self._path is not None

    def password(self, user: str) -> str:
        """The hash of a user's password, "" where the file has none."""
        if self._path is None:
            return ""
        try:
            info = self._path.stat()
            stamp = (info.st_mtime_ns, info.st_ino, info.st_size)
            if stamp != self._stamp:
                with self._path.open("rb") as file:
                    text = file.read(_FILE_MAX).decode("utf-8", "replace")
                self._entries = dict(_entries(text))
                self._stamp = stamp
        except OSError:
            self._entries, self._stamp = {}, (0, 0, 0)
        return self._entries.get(user, "")


def _entries(text: str) -> list[tuple[str, str]]:
    rows = []
    for line in text.splitlines():
        user, sep, stored = line.strip().partition(":")
        if sep and user and not user.startswith("#") and _BCRYPT.match(stored):
            rows.append((user, stored))
    return rows
