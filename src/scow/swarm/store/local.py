"""The store of a swarm with one manager: in memory, each commit written to the node's own database first.

One manager agrees with itself, so it needs no etcd; the second one to join brings it (docs/adr/0003). Stored in the table
`swarm_objects`: `kind/id` → row of `sealed.Sealer`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from scow.metadata import Database
from scow.swarm.objects import Object
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Store, Tx

T = TypeVar("T")

TABLE = "swarm_objects"
_VERSION = "version"


class LocalStore(MemoryStore):
    """A store on SQLite (`store.Store`)."""

    def __init__(self, db: Database, sealer: Sealer, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Reads everything. Raises InvalidArgument when the data key is another one."""
        super().__init__(now_ns)
        self._db = db
        self._table = db.table(TABLE)
        self._sealer = sealer
        self._free = asyncio.Event()
        self._free.set()
        self._successor: Store | None = None
        rows = self._table.all()
        self._version = int(rows.pop(_VERSION, {}).get("index", 0))
        for name, row in rows.items():
            kind, _, _ = name.partition("/")
            self.tables[kind].put(sealer.decode(kind, row))

    def show(self, written: Mapping[tuple[str, str], Object | None], version: int) -> None:
        """Write the commit to disk, then make it visible."""
        with self._db.update():
            self._table.put(_VERSION, {"index": version})
            for (kind, id), obj in written.items():
                if obj is None:
                    self._table.delete(f"{kind}/{id}")
                else:
                    self._table.put(f"{kind}/{id}", self._sealer.encode(obj))
        super().show(written, version)

    # --- moving to etcd

    @property
    def version(self) -> int:
        """See Store."""
        return self._version if self._successor is None else self._successor.version

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """See Store; while the rows are copied, writers wait."""
        await self._free.wait()
        return await (super().update(fn) if self._successor is None else self._successor.update(fn))

    async def fresh(self) -> None:
        """See Store."""
        if self._successor is not None:
            await self._successor.fresh()

    def hold(self) -> None:
        """Let writers wait."""
        self._free.clear()

    def release(self, successor: Store | None = None) -> None:
        """Let them write again, from now on to `successor`, which has taken over tables and watchers."""
        self._successor = successor
        self._free.set()


def forget(db: Database) -> None:
    """Remove every row: the node has left, or the rows have moved to etcd."""
    table = db.table(TABLE)
    with db.update():
        for name in table.all():
            table.delete(name)
