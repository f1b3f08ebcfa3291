"""Garbage collection, while the registry serves: blobs that no manifest needs and nobody was promised lately go.

It works in small steps, each a short write transaction in which a blob is looked at again and its bytes and row go together; pushes run
between the steps, also those of a server in another process. What was uploaded, mounted or found by a client (HEAD) within the grace
period is kept, because a manifest that needs it may be on its way. Fed and stored rows: see `catalog`. For a pool thread.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from scow import log
from scow.registryd.store import Store

logger = log.get(__name__)

_STEP = 100  # blobs in one transaction
_YIELD_SECONDS = 0.003

# a link is needed while a manifest of its repository refers to the blob
_LINKS = """
DELETE FROM links WHERE digest > ? AND digest <= ? AND touched < ?
AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.child = links.digest AND f.repo = links.repo)
"""
_BLOBS = """
SELECT digest, size FROM blobs b WHERE digest > ? AND digest <= ? AND touched < ?
AND NOT EXISTS (SELECT 1 FROM links l WHERE l.digest = b.digest) AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.child = b.digest)
"""


@dataclass(slots=True)
class Progress:
    """Where a collection is: `scanned` of `total` blobs, what was removed so far (`bytes` of them), files that no row knew."""

    total: int = 0
    scanned: int = 0
    removed: int = 0
    bytes: int = 0
    strays: int = 0


def collect(
    store: Store, grace_seconds: float, report: Callable[[Progress], None] | None = None, stop: Callable[[], bool] | None = None
) -> Progress:
    """One collection; `report` is called now and then, `stop` asked whether to end early. Raises OSError, sqlite3.Error."""
    cutoff = time.time_ns() - int(grace_seconds * 1e9)
    progress = Progress(total=store.catalog.counts()["blobs"])
    last = ""
    while not (stop and stop()):
        row = store.db.row(
            "SELECT max(digest), count(*) FROM (SELECT digest FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?)", last, _STEP
        )
        assert row is not None
        if row[0] is None:
            break
        _step(store, last, row[0], cutoff, progress)
        last = row[0]
        progress.scanned += row[1]
        if report is not None:
            report(progress)
        _breathe()
    _strays(store, cutoff, progress, stop)
    if report is not None:
        report(progress)
    return progress


def _step(store: Store, first: str, last: str, cutoff: int, progress: Progress) -> None:
    if not store.db.row(
        "SELECT 1 FROM blobs b WHERE digest > ? AND digest <= ? AND touched < ? AND NOT EXISTS "
        "(SELECT 1 FROM refs f WHERE f.child = b.digest) LIMIT 1",
        first,
        last,
        cutoff,
    ) and not store.db.row(
        "SELECT 1 FROM links WHERE digest > ? AND digest <= ? AND touched < ? AND NOT EXISTS "
        "(SELECT 1 FROM refs f WHERE f.child = links.digest AND f.repo = links.repo) LIMIT 1",
        first,
        last,
        cutoff,
    ):
        return
    with store.db.update() as tx:
        tx.execute(_LINKS, (first, last, cutoff))
        for digest, size in tx.execute(_BLOBS, (first, last, cutoff)).fetchall():
            # bytes first: should the row outlive a crash, the blob counts as lost and is pushed again
            store.driver.delete(digest)
            tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            progress.removed += 1
            progress.bytes += size


def _strays(store: Store, cutoff: int, progress: Progress, stop: Callable[[], bool] | None) -> None:
    """Files that a crash left without a row."""
    for stored in store.driver.blobs():
        if stop and stop():
            return
        if stored.modified_ns >= cutoff or store.db.row("SELECT 1 FROM blobs WHERE digest = ?", stored.digest):
            continue
        with store.db.update() as tx:
            if tx.execute("SELECT 1 FROM blobs WHERE digest = ?", (stored.digest,)).fetchone() is None:
                store.driver.delete(stored.digest)
                progress.strays += 1
                progress.bytes += stored.size
        _breathe()


def _breathe() -> None:
    """Let others have the write lock: SQLite's is not fair."""
    threading.Event().wait(_YIELD_SECONDS)
