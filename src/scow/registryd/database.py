"""`catalog.db`: one SQLite file in WAL mode. Readers never wait; writers queue, also those of other processes. Owns the schema."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scow.errors import DataLoss, ScowError

VERSION = 1
_BUSY_SECONDS = 60.0
_POLL_SECONDS = 0.001  # SQLite's own waiting backs off to 100 ms and starves beside a process that writes in small steps

_SCHEMA = """
CREATE TABLE repositories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, touched INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE links (repo INTEGER NOT NULL, digest TEXT NOT NULL, touched INTEGER NOT NULL, PRIMARY KEY (repo, digest)) WITHOUT ROWID;
CREATE INDEX links_of_blob ON links (digest);
CREATE TABLE manifests (
  repo INTEGER NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, data BLOB NOT NULL, subject TEXT NOT NULL,
  artifact_type TEXT NOT NULL, annotations TEXT NOT NULL, pushed INTEGER NOT NULL, pulled INTEGER NOT NULL, PRIMARY KEY (repo, digest)
);
CREATE INDEX manifests_of_subject ON manifests (repo, subject) WHERE subject != '';
CREATE TABLE refs (
  repo INTEGER NOT NULL, manifest TEXT NOT NULL, child TEXT NOT NULL, size INTEGER NOT NULL, kind TEXT NOT NULL,
  PRIMARY KEY (repo, manifest, child)
) WITHOUT ROWID;
CREATE INDEX refs_of_child ON refs (child, repo);
CREATE TABLE tags (
  repo INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, pushed INTEGER NOT NULL, PRIMARY KEY (repo, name)
) WITHOUT ROWID;
CREATE INDEX tags_of_manifest ON tags (repo, digest);
CREATE TABLE uploads (id TEXT PRIMARY KEY, repo TEXT NOT NULL, started INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE grants (user TEXT NOT NULL, pattern TEXT NOT NULL, verbs TEXT NOT NULL, PRIMARY KEY (user, pattern)) WITHOUT ROWID;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, user TEXT NOT NULL, secret TEXT NOT NULL UNIQUE, grants TEXT NOT NULL, created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE rules (
  id INTEGER PRIMARY KEY, repositories TEXT NOT NULL, tags TEXT NOT NULL, spare TEXT NOT NULL, keep INTEGER NOT NULL,
  older INTEGER NOT NULL, unused INTEGER NOT NULL, untagged INTEGER NOT NULL
);
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class Database:
    """The open file. Reads may run on any thread; `update` is one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Opens, creates where absent. Raises DataLoss (damaged, newer), ScowError."""
        self._lock = threading.Lock()
        try:
            self._writer = self._connect(path)
            self._reader = self._connect(path)
            self._writer.execute("PRAGMA busy_timeout = 0")
            with self.update(durable=True):
                found = self._writer.execute("PRAGMA user_version").fetchone()[0]
                if found == 0:
                    for statement in _SCHEMA.split(";"):
                        self._writer.execute(statement)
                    self._writer.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise DataLoss(f"the registry's catalog {path} cannot be used: {error}") from None
        if found > VERSION:
            raise ScowError(f"the registry's catalog {path} is of a newer Scow: update this one")

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -8000")
        return connection

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self._reader.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row, None where there is none."""
        found: tuple[Any, ...] | None = self._reader.execute(sql, values).fetchone()
        return found

    @contextlib.contextmanager
    def update(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction; all or nothing. `durable`: it survives a power cut, and so does everything before it. For pool threads."""
        with self._lock:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._begin()
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def _begin(self) -> None:
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
            threading.Event().wait(_POLL_SECONDS)

    def close(self) -> None:
        """Done; twice is fine."""
        with self._lock:
            self._reader.close()
            self._writer.close()
