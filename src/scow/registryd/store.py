"""Bytes and catalog together. What changes both does so under the catalog's write lock, so that a garbage collection, even one in another
process, never meets a blob between its bytes and its row."""

import contextlib
import time
from pathlib import Path

from scow import aio, log
from scow.errors import ScowError
from scow.registryd.accounts import Accounts
from scow.registryd.catalog import Catalog
from scow.registryd.database import Database
from scow.registryd.storage.directory import Directory
from scow.registryd.storage.driver import Blob, Driver

logger = log.get(__name__)

_PULLED_MAX = 100_000


class Store:
    """Everything stored: `driver` has the bytes, `catalog` and `accounts` the rows."""

    def __init__(self, db: Database, driver: Driver) -> None:
        self.db = db
        self.driver = driver
        self.catalog = Catalog(db)
        self.accounts = Accounts(db)
        self._pulled: set[tuple[str, str]] = set()

    def commit(self, name: str, upload: str, digest: str, size: int) -> None:
        """A verified upload becomes a blob of the repository. For pool threads; may take long. Raises OSError."""
        self.driver.settle(upload)
        with self.db.update() as tx:
            self.driver.commit(upload, digest)
            self.catalog.add_blob(tx, name, digest, size)
            tx.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def abandon(self, upload: str) -> None:
        """Forget an upload. For pool threads."""
        with self.db.update() as tx:
            tx.execute("DELETE FROM uploads WHERE id = ?", (upload,))
        self.driver.abandon(upload)

    async def blob(self, name: str, digest: str) -> int:
        """The size of a blob that the repository shows, and a promise to keep it a while; -1 where it shows none."""
        found = self.catalog.linked(name, digest)
        if found is None:
            return -1
        size, touched = found
        if self.driver.size(digest) != size:
            logger.error("the bytes of %s are lost or damaged: it is taken out of the catalog", digest)
            await aio.in_pool(self.catalog.forget_blob, digest)
            return -1
        if self.catalog.stale(touched):
            await aio.in_pool(self.catalog.touch, name, digest)
        return size

    def open(self, digest: str) -> Blob | None:
        """The bytes of a blob."""
        return self.driver.open(digest)

    def note_pull(self, name: str, digest: str) -> None:
        """Somebody pulled a manifest: written down by `flush`."""
        if len(self._pulled) < _PULLED_MAX:
            self._pulled.add((name, digest))

    def flush(self) -> None:
        """Write down what was pulled. For pool threads."""
        rows, self._pulled = self._pulled, set()
        if rows:
            self.catalog.pulled(rows, time.time_ns())

    def close(self) -> None:
        """Done."""
        with contextlib.suppress(Exception):
            self.flush()
        self.db.close()


def open_store(root: Path) -> Store:
    """The store in a directory, made where it is absent. Raises ScowError."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Store(Database(root / "catalog.db"), Directory(root))
    except OSError as error:
        raise ScowError(f"the registry's directory {root} cannot be used: {(error.strerror or str(error)).lower()}") from None
