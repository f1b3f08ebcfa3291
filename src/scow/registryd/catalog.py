"""What the registry holds, as rows: repositories, tags, manifests, links (which blobs a repository shows) and refs (who needs what).

Reads are quick enough for the loop; what writes takes a pool thread (see `database`). Times are ns since the epoch.
"""

import time
from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

import orjson

from scow.registry.media import Manifest
from scow.registryd import errors
from scow.registryd.database import Database
from scow.registryd.manifest import Parsed

_REFERRERS_BYTES = 4 << 20
_MANY = 500  # values in one statement
_TOUCH_EVERY_NS = 300 * 10**9


class Catalog:
    """The tables of `catalog.db` that say what is there."""

    def __init__(self, db: Database) -> None:
        self.db = db

    # --- reading

    def exists(self, name: str) -> bool:
        """Whether the repository has, or has had, anything."""
        return self.db.row("SELECT 1 FROM repositories WHERE name = ?", name) is not None

    def resolve(self, name: str, tag: str) -> str:
        """The digest of a tag, "" where there is none."""
        row = self.db.row("SELECT t.digest FROM tags t JOIN repositories r ON r.id = t.repo WHERE r.name = ? AND t.name = ?", name, tag)
        return row[0] if row else ""

    def manifest(self, name: str, digest: str) -> Manifest | None:
        """A manifest of a repository."""
        row = self.db.row(
            "SELECT m.media_type, m.data FROM manifests m JOIN repositories r ON r.id = m.repo WHERE r.name = ? AND m.digest = ?",
            name,
            digest,
        )
        return Manifest(digest, row[0], row[1]) if row else None

    def linked(self, name: str, digest: str) -> tuple[int, int] | None:
        """(size, when it was last promised to somebody) of a blob that the repository shows."""
        row = self.db.row(
            "SELECT b.size, l.touched FROM repositories r JOIN links l ON l.repo = r.id JOIN blobs b ON b.digest = l.digest "
            "WHERE r.name = ? AND l.digest = ?",
            name,
            digest,
        )
        return (row[0], row[1]) if row else None

    def promised(self, name: str, digest: str) -> tuple[int, bool]:
        """(size, -1 where nothing of the repository refers to it) of what a manifest here refers to, and whether that is a blob."""
        row = self.db.row(
            "SELECT f.size, f.kind FROM refs f JOIN repositories r ON r.id = f.repo WHERE r.name = ? AND f.child = ?", name, digest
        )
        return (row[0], row[1] != "manifest") if row else (-1, False)

    def tags(self, name: str, count: int, last: str) -> list[str]:
        """At most `count` tags behind `last`, in the order of their bytes."""
        rows = self.db.rows(
            "SELECT t.name FROM tags t JOIN repositories r ON r.id = t.repo WHERE r.name = ? AND t.name > ? ORDER BY t.name LIMIT ?",
            name,
            last,
            count,
        )
        return [row[0] for row in rows]

    def repositories(self, count: int, last: str) -> list[str]:
        """At most `count` names of repositories that hold a manifest, behind `last`."""
        rows = self.db.rows(
            "SELECT name FROM repositories r WHERE name > ? AND EXISTS (SELECT 1 FROM manifests m WHERE m.repo = r.id) "
            "ORDER BY name LIMIT ?",
            last,
            count,
        )
        return [row[0] for row in rows]

    def holders(self, digest: str, count: int) -> list[str]:
        """Some repositories that show a blob."""
        rows = self.db.rows(
            "SELECT r.name FROM links l JOIN repositories r ON r.id = l.repo WHERE l.digest = ? ORDER BY r.name LIMIT ?", digest, count
        )
        return [row[0] for row in rows]

    def referrers(self, name: str, subject: str, artifact_type: str, count: int, last: str) -> list[dict[str, Any]]:
        """Descriptors of at most `count` manifests that are about `subject`, by digest, behind `last`; `artifact_type` "" means any.

        Fewer where their annotations are long.
        """
        rows = self.db.rows(
            "SELECT m.digest, m.media_type, length(m.data), m.artifact_type, m.annotations FROM manifests m "
            "JOIN repositories r ON r.id = m.repo WHERE r.name = ? AND m.subject = ? AND m.digest > ? AND (? = '' OR m.artifact_type = ?) "
            "ORDER BY m.digest LIMIT ?",
            name,
            subject,
            last,
            artifact_type,
            artifact_type,
            count,
        )
        found: list[dict[str, Any]] = []
        room = _REFERRERS_BYTES
        for digest, media_type, size, kind, annotations in rows:
            room -= 300 + len(annotations)
            if room < 0 and found:
                break
            descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
            if kind:
                descriptor["artifactType"] = kind
            if annotations:
                descriptor["annotations"] = orjson.loads(annotations)
            found.append(descriptor)
        return found

    def counts(self) -> dict[str, int]:
        """How much there is: repositories, tags, manifests, blobs, bytes."""
        one = "SELECT (SELECT count(*) FROM repositories), (SELECT count(*) FROM tags), (SELECT count(*) FROM manifests)"
        row = self.db.row(one + ", (SELECT count(*) FROM blobs), (SELECT coalesce(sum(size), 0) FROM blobs)")
        assert row is not None
        return dict(zip(("repositories", "tags", "manifests", "blobs", "bytes"), row, strict=True))

    # --- writing

    def add_blob(self, tx: Connection, name: str, digest: str, size: int) -> None:
        """A blob has come into a repository."""
        now = time.time_ns()
        tx.execute(
            "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET size = excluded.size, touched = excluded.touched",
            (digest, size, now),
        )
        self._link(tx, repository(tx, name), digest, now)

    @staticmethod
    def _link(tx: Connection, repo: int, digest: str, now: int) -> None:
        tx.execute(
            "INSERT INTO links VALUES (?, ?, ?) ON CONFLICT (repo, digest) DO UPDATE SET touched = excluded.touched", (repo, digest, now)
        )

    def mount(self, name: str, digest: str, source: str) -> bool:
        """Show a blob of another repository here, too; whether that one has it."""
        with self.db.update() as tx:
            found = tx.execute(
                "SELECT 1 FROM links l JOIN repositories r ON r.id = l.repo WHERE r.name = ? AND l.digest = ?", (source, digest)
            ).fetchone()
            if found is None:
                return False
            now = time.time_ns()
            tx.execute("UPDATE blobs SET touched = ? WHERE digest = ?", (now, digest))
            self._link(tx, repository(tx, name), digest, now)
        return True

    @staticmethod
    def stale(touched: int) -> bool:
        """Whether a promise that somebody gets now must be noted, so that the garbage collection keeps it."""
        return touched < time.time_ns() - _TOUCH_EVERY_NS

    def touch(self, name: str, digest: str) -> None:
        """Somebody was told that the blob is here, and may count on it in a manifest."""
        with self.db.update() as tx:
            now = time.time_ns()
            tx.execute("UPDATE blobs SET touched = ? WHERE digest = ?", (now, digest))
            tx.execute(
                "UPDATE links SET touched = ? WHERE digest = ? AND repo = (SELECT id FROM repositories WHERE name = ?)", (now, digest, name)
            )

    def forget_blob(self, digest: str) -> None:
        """The blob's bytes are lost: say so from now on."""
        with self.db.update() as tx:
            tx.execute("DELETE FROM links WHERE digest = ?", (digest,))
            tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,))

    def unlink(self, name: str, digest: str) -> bool:
        """The repository shows the blob no more; whether it did."""
        with self.db.update(durable=True) as tx:
            done = tx.execute("DELETE FROM links WHERE digest = ? AND repo = (SELECT id FROM repositories WHERE name = ?)", (digest, name))
            return done.rowcount > 0

    def put_manifest(self, name: str, manifest: Manifest, parsed: Parsed, tag: str = "", lost: list[str] | None = None) -> None:
        """Store a manifest, and point `tag` at it. Raises Refused (MANIFEST_BLOB_UNKNOWN) where something is missing or `lost`.

        `lost` None: nobody asks whether it is complete.
        """
        now = time.time_ns()
        with self.db.update(durable=True) as tx:
            repo = repository(tx, name)
            if lost is not None:
                blobs = [child.digest for child in parsed.children if child.kind == "blob"]
                inner = [child.digest for child in parsed.children if child.kind == "manifest"]
                missing = _absent(tx, "links", repo, blobs) + _absent(tx, "manifests", repo, inner)
                missing += [digest for digest in lost if digest not in missing]
                if missing:
                    raise errors.blobs_missing(missing[:100])
            annotations = orjson.dumps(parsed.annotations).decode() if parsed.subject and parsed.annotations else ""
            tx.execute(
                "INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repo, digest) DO UPDATE SET "
                "media_type = excluded.media_type, pushed = excluded.pushed",
                (repo, manifest.digest, manifest.media_type, manifest.data, parsed.subject, parsed.artifact_type, annotations, now, now),
            )
            tx.executemany(
                "INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?, ?)",
                [(repo, manifest.digest, child.digest, child.size, child.kind) for child in parsed.children],
            )
            if tag:
                tx.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", (repo, tag, manifest.digest, now))

    def delete_tag(self, name: str, tag: str) -> bool:
        """Whether it was there."""
        with self.db.update(durable=True) as tx:
            done = tx.execute("DELETE FROM tags WHERE name = ? AND repo = (SELECT id FROM repositories WHERE name = ?)", (tag, name))
            return done.rowcount > 0

    def delete_manifest(self, name: str, digest: str) -> bool:
        """A manifest and its tags; whether it was there."""
        with self.db.update(durable=True) as tx:
            row = tx.execute("SELECT id FROM repositories WHERE name = ?", (name,)).fetchone()
            return row is not None and remove_manifest(tx, row[0], digest)

    def pulled(self, rows: Iterable[tuple[str, str]], now: int) -> None:
        """(repository, digest) of manifests that were pulled lately."""
        with self.db.update() as tx:
            tx.executemany(
                "UPDATE manifests SET pulled = ? WHERE digest = ? AND repo = (SELECT id FROM repositories WHERE name = ?)",
                [(now, digest, name) for name, digest in rows],
            )

    # --- upload sessions

    def begin_upload(self, identity: str, name: str) -> None:
        """Remember a session over restarts."""
        with self.db.update() as tx:
            tx.execute("INSERT INTO uploads VALUES (?, ?, ?)", (identity, name, time.time_ns()))

    def upload(self, identity: str) -> str:
        """The repository of a session, "" where there is none."""
        row = self.db.row("SELECT repo FROM uploads WHERE id = ?", identity)
        return row[0] if row else ""


def repository(tx: Connection, name: str) -> int:
    """The row id of a repository, made where it is new."""
    row = tx.execute("SELECT id FROM repositories WHERE name = ?", (name,)).fetchone()
    if row is None:
        row = tx.execute("INSERT INTO repositories (name, created) VALUES (?, ?) RETURNING id", (name, time.time_ns())).fetchone()
    return int(row[0])


def remove_manifest(tx: Connection, repo: int, digest: str) -> bool:
    """Take a manifest, its tags and its refs away; whether it was there."""
    done = tx.execute("DELETE FROM manifests WHERE repo = ? AND digest = ?", (repo, digest))
    tx.execute("DELETE FROM tags WHERE repo = ? AND digest = ?", (repo, digest))
    tx.execute("DELETE FROM refs WHERE repo = ? AND manifest = ?", (repo, digest))
    return done.rowcount > 0


def _absent(tx: Connection, table: str, repo: int, digests: list[str]) -> list[str]:
    found: set[str] = set()
    for at in range(0, len(digests), _MANY):
        some = digests[at : at + _MANY]
        marks = ",".join("?" * len(some))
        found |= {row[0] for row in tx.execute(f"SELECT digest FROM {table} WHERE repo = ? AND digest IN ({marks})", (repo, *some))}
    return [digest for digest in digests if digest not in found]
