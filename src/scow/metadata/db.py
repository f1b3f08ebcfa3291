"""The database: document tables in one SQLite file (WAL, synchronous=NORMAL), every row cached in memory.

A document is a JSON object under (table, key). Reads never touch the disk; writes are in the file before the call returns, so a killed
daemon loses nothing it answered. Called on the loop: a write takes some 0.04 ms.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from scow.errors import DataLoss, Internal, ScowError, Unavailable
from scow.metadata.migrations import VERSION, migrate

Doc = dict[str, Any]


def wrap(error: sqlite3.Error, path: Path) -> ScowError:
    """The sentence for what SQLite says."""
    text = str(error)
    if "full" in text:
        return Internal(f"no space left on device: cannot write {path}")
    if "locked" in text or "busy" in text:
        return Unavailable(f"the database {path} is in use by another process")
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return Internal(f"cannot use the database {path}: {text}")
    return DataLoss(f"the database {path} is damaged ({text}); restore it from a backup, or move it away to start empty")


class Table:
    """The documents of one table."""

    def __init__(self, db: "Database", name: str, rows: dict[str, bytes]) -> None:
        self._db = db
        self.name = name
        self._rows = rows

    def get(self, key: str) -> Doc | None:
        """A copy of the document, or None."""
        raw = self._rows.get(key)
        return None if raw is None else orjson.loads(raw)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rows))

    def keys(self) -> list[str]:
        """Every key, oldest first within this run."""
        return list(self._rows)

    def all(self) -> dict[str, Doc]:
        """Copies of all documents."""
        return {key: orjson.loads(raw) for key, raw in self._rows.items()}

    def put(self, key: str, doc: Doc) -> None:
        """Write a document. Raises Internal when the disk is full."""
        raw = orjson.dumps(doc)
        if self._rows.get(key) != raw:
            self._db.write(self, key, raw)

    def delete(self, key: str) -> None:
        """Remove a document; an absent one is fine."""
        if key in self._rows:
            self._db.write(self, key, None)

    def remember(self, key: str, raw: bytes | None) -> bytes | None:
        """Change the cached row and return the old one (used by the database alone)."""
        old = self._rows.get(key)
        if raw is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = raw
        return old


class Database:
    """One SQLite file. Raises DataLoss when it is damaged or newer than this program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._undo: list[tuple[Table, str, bytes | None]] = []
        self._tables: dict[str, Table] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sql = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise Internal(f"cannot open the database {path}: {error}") from error
        try:
            path.chmod(0o600)
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._sql.execute("PRAGMA secure_delete=FAST")  # see `forgetting`
            version = int(self._sql.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                raise DataLoss(f"the database {path} was written by a newer scowd (schema {version}, known here: {VERSION}); use that one")
            migrate(self._sql, version)
            rows: dict[str, dict[str, bytes]] = {}
            for kind, key, doc in self._sql.execute("SELECT kind, key, doc FROM documents"):
                orjson.loads(doc)
                rows.setdefault(kind, {})[key] = doc
        except sqlite3.Error as error:
            self._sql.close()
            raise wrap(error, path) from error
        except (orjson.JSONDecodeError, TypeError) as error:
            self._sql.close()
            raise wrap(sqlite3.DatabaseError("a row is not JSON"), path) from error
        except DataLoss:
            self._sql.close()
            raise
        self._tables = {kind: Table(self, kind, found) for kind, found in rows.items()}

    def table(self, name: str) -> Table:
        """The table `name`; it is made by its first document."""
        return self._tables.setdefault(name, Table(self, name, {}))

    @contextlib.contextmanager
    def update(self) -> Iterator[None]:
        """Group writes: all of them are stored, or (after an exception) none. A nested block joins the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth = 1
            try:
                try:
                    yield
                    if self._sql.in_transaction:
                        self._sql.execute("COMMIT")
                except sqlite3.Error as error:
                    raise wrap(error, self.path) from error
            except BaseException:
                for table, key, old in reversed(self._undo):
                    table.remember(key, old)
                with contextlib.suppress(sqlite3.Error):
                    if self._sql.in_transaction:
                        self._sql.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
                self._undo.clear()

    @contextlib.contextmanager
    def forgetting(self) -> Iterator[None]:
        """As `update`; what the block replaces or removes (keys) is in neither the file nor its log any more. Not within `update`."""
        with self._lock:
            self._sql.execute("PRAGMA secure_delete=ON")
            try:
                with self.update():
                    yield
                with contextlib.suppress(sqlite3.Error):
                    self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._sql.execute("PRAGMA secure_delete=FAST")

    def write(self, table: Table, key: str, raw: bytes | None) -> None:
        """Store one row (None removes it), inside the current transaction or its own."""
        with self._lock:
            try:
                if self._depth and not self._sql.in_transaction:
                    self._sql.execute("BEGIN IMMEDIATE")
                if raw is None:
                    self._sql.execute("DELETE FROM documents WHERE kind=? AND key=?", (table.name, key))
                else:
                    self._sql.execute("INSERT OR REPLACE INTO documents (kind, key, doc) VALUES (?, ?, ?)", (table.name, key, raw))
            except sqlite3.Error as error:
                raise wrap(error, self.path) from error
            old = table.remember(key, raw)
            if self._depth:
                self._undo.append((table, key, old))

    def close(self) -> None:
        """Fold the log into the file and close it."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._sql.close()
