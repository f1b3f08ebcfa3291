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

_STEP = 1000  # blobs looked at together
_STEP_SECONDS = 0.05  # of one transaction: pushes wait no longer
_YIELD_SECONDS = 0.003

# a link is needed while a manifest of its repository refers to the blob
_UNNEEDED_LINKS = """
SELECT repo, digest FROM links WHERE digest >= ? AND digest <= ? AND touched < ?
AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.child = links.digest AND f.repo = links.repo)
"""
_UNNEEDED_BLOBS = """
SELECT digest, size FROM blobs b WHERE digest >= ? AND digest <= ? AND touched < ?
AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.child = b.digest)
"""
_NOT_LINKED = "AND NOT EXISTS (SELECT 1 FROM links l WHERE l.digest = b.digest) ORDER BY digest"


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
        window = [row[0] for row in store.db.rows("SELECT digest FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?", last, _STEP)]
        if not window:
            break
        done = _step(store, window, cutoff, progress)
        last = window[done - 1]
        progress.scanned += done
        if report is not None:
            report(progress)
        _breathe()
    _strays(store, cutoff, progress, stop)
    if report is not None:
        report(progress)
    return progress


def _step(store: Store, window: list[str], cutoff: int, progress: Progress) -> int:
    """Collect among these blobs, as many as there is time for; how many are done with."""
    values = (window[0], window[-1], cutoff)
    if not any(store.db.row(sql + "LIMIT 1", *values) for sql in (_UNNEEDED_LINKS, _UNNEEDED_BLOBS)):
        return len(window)
    with store.db.update() as tx:
        # by key: SQLite would look through all links for those of a sub-query
        tx.executemany("DELETE FROM links WHERE repo = ? AND digest = ?", tx.execute(_UNNEEDED_LINKS, values).fetchall())
        rows = tx.execute(_UNNEEDED_BLOBS + _NOT_LINKED, values).fetchall()
        end = time.monotonic() + _STEP_SECONDS
        for digest, size in rows:
            # bytes first: should the row outlive a crash, the blob counts as lost and is pushed again
            store.driver.delete(digest)
            tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            progress.removed += 1
            progress.bytes += size
            if time.monotonic() > end:
                return window.index(digest) + 1
    return len(window)


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
