"""The store in etcd: a copy in memory that a watch keeps current, and writes as transactions there.

Every commit writes the key `/scow/commit` (its value is the store's version) and is only accepted when nobody has written it since the
copy was made: transactions are one after another in the whole cluster, whatever they read. Objects lie at `/scow/o/<kind>/<id>`, as rows
of `sealed.Sealer`, with their version in them.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import orjson

from scow import log
from scow.aio import Supervisor
from scow.swarm.objects import Object
from scow.swarm.store.etcd.client import SECONDS, Client, Compacted, EtcdError, NoAnswer, Row
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import NoLeader, Tx

logger = log.get(__name__)

T = TypeVar("T")

PREFIX = b"/scow/"
_COMMIT = PREFIX + b"commit"
_OBJECTS = PREFIX + b"o/"
_TRIES = 50
_AGAIN_SECONDS = 0.5
_OPEN_SECONDS = 60.0
_FRESH_SECONDS = 0.05

Written = Mapping[tuple[str, str], Object | None]


class EtcdStore(MemoryStore):
    """A store on a cluster of etcd (`store.Store`). `open` before use, `close` at the end."""

    def __init__(self, client: Client, sealer: Sealer, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(now_ns)
        self._client = client
        self._sealer = sealer
        self._seen = 0  # revision of the last commit that the copy has, 0 for none
        self._revision = 0  # the copy is what etcd had at this revision
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()
        self._supervisor = Supervisor("cluster store")
        self._confirmed = 0.0  # when the quorum last answered

    async def open(self) -> None:
        """Read everything and begin to watch. Raises NoLeader while there is no quorum, InvalidArgument (another data key)."""
        try:
            await self._read()
        except EtcdError as error:
            logger.info("the cluster's state cannot be read yet: %s", error.message)
            raise NoLeader from None
        self._supervisor.start(self._watch(), "watch")

    def adopt(self, store: MemoryStore, revision: int) -> None:
        """Go on where another store stood, whose rows were just written at `revision`; its readers and watchers become ours."""
        self.tables = store.tables
        self._subscriptions = store._subscriptions
        self._version = store.version
        self._seen = self._revision = revision
        self._supervisor.start(self._watch(), "watch")

    async def close(self) -> None:
        """End."""
        await self._supervisor.close()

    # --- reading

    async def _read(self) -> None:
        """Make the copy what etcd has, as one commit with the differences."""
        rows, revision = await self._client.range(PREFIX, _OPEN_SECONDS)
        version, commit = self._version, 0
        found: dict[tuple[str, str], Object | None] = {}
        for row in rows:
            if row.key == _COMMIT:
                version, commit = int(row.value or b"0"), row.revision
            elif (place := _place(row)) is not None:
                found[place] = self._decode(place[0], row)
        for kind, table in self.tables.items():
            for id, old in table.objects.items():
                new = found.get((kind, id))
                if new is None:
                    found[kind, id] = None
                elif new.version == old.version:
                    del found[kind, id]
        self._seen, self._revision = commit, revision
        self.show(found, version)

    def _decode(self, kind: str, row: Row) -> Object:
        document = orjson.loads(row.value or b"{}")
        return self._sealer.decode(kind, document["row"]).changed(version=int(document["version"]))

    def show(self, written: Written, version: int) -> None:
        """See MemoryStore."""
        super().show(written, version)
        self._moved.set()
        self._moved = asyncio.Event()

    async def _watch(self) -> None:
        while True:
            try:
                async for rows in self._client.watch(PREFIX, self._revision + 1):
                    self._take(rows)
            except Compacted:
                logger.info("the cluster's state is read again from the beginning")
                try:
                    async with self._turn:
                        await self._read()
                    continue
                except EtcdError as error:
                    logger.info("it cannot be read: %s", error.message)
            except EtcdError as error:
                logger.info("the watch of the cluster's state begins again: %s", error.message)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, rows: Iterable[Row]) -> None:
        """A commit of anybody; ours are in the copy already."""
        version = self._version
        revision = 0
        written: dict[tuple[str, str], Object | None] = {}
        for row in rows:
            revision = row.revision
            if row.key == _COMMIT:
                version = int(row.value or b"0")
            elif (place := _place(row)) is not None:
                written[place] = None if row.value is None else self._decode(place[0], row)
        if revision > self._revision:
            self._seen = self._revision = revision
            self.show(written, version)

    # --- writing

    def encoded(self, written: Written, version: int) -> list[tuple[bytes, bytes | None]]:
        """A commit as etcd's keys and values."""
        rows: list[tuple[bytes, bytes | None]] = [(_COMMIT, str(version).encode())]
        for (kind, id), obj in written.items():
            key = _OBJECTS + f"{kind}/{id}".encode()
            rows.append((key, None if obj is None else orjson.dumps({"version": version, "row": self._sealer.encode(obj)})))
        return rows

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """See Store."""
        async with self._turn:
            for _ in range(_TRIES):
                tx = self.begin()
                result = fn(tx)
                if not tx.written:
                    return result
                seen, version = self._seen, self._version + 1
                written = tx.commit(version)
                try:
                    if time.monotonic() - self._confirmed > _FRESH_SECONDS:
                        # a write that finds no quorum stays in the member's log and would happen when the others are back: ask first
                        await self._client.confirm(_COMMIT)
                    revision = await self._client.commit(_COMMIT, seen, self.encoded(written, version))
                except NoAnswer as error:
                    # written or not: only what is read back tells, and that may have to wait for a quorum
                    logger.warning("a change could not be committed: %s", error.message)
                    raise NoLeader from None
                self._confirmed = time.monotonic()
                if revision:
                    if self._revision < revision:
                        self._seen = self._revision = revision
                        self.show(written, version)
                    return result
                await self._behind(seen)
        raise NoLeader

    async def _behind(self, seen: int) -> None:
        """Others were faster: wait until the copy has what they wrote."""
        deadline = time.monotonic() + SECONDS
        while self._seen == seen:
            moved = self._moved
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0.01)):
                    await moved.wait()
            except TimeoutError:
                try:
                    await self._read()
                except EtcdError:
                    raise NoLeader from None
                return

    async def fresh(self) -> None:
        """See Store."""
        try:
            revision = await self._client.confirm(_COMMIT)
        except EtcdError:
            raise NoLeader from None
        self._confirmed = time.monotonic()
        deadline = self._confirmed + SECONDS
        while self._seen < revision:
            moved = self._moved
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0.01)):
                    await moved.wait()
            except TimeoutError:
                await self.catch_up()
                return

    async def catch_up(self) -> None:
        """Have everything that was committed anywhere until now. Raises NoLeader."""
        async with self._turn:
            try:
                await self._read()
            except EtcdError:
                raise NoLeader from None


def _place(row: Row) -> tuple[str, str] | None:
    """(kind, id) of an object's key."""
    if not row.key.startswith(_OBJECTS):
        return None
    kind, _, id = row.key[len(_OBJECTS) :].decode().partition("/")
    return kind, id


async def fill(client: Client, store: MemoryStore, sealer: Sealer) -> int:
    """Copy a store into an empty etcd, in one commit; the revision."""
    target = EtcdStore(client, sealer)
    written: dict[tuple[str, str], Object | None] = {
        (kind, id): obj for kind, table in store.tables.items() for id, obj in table.objects.items()
    }
    rows: list[tuple[bytes, bytes | None]] = [(_COMMIT, str(store.version).encode())]
    for (kind, id), obj in written.items():
        assert obj is not None
        key = _OBJECTS + f"{kind}/{id}".encode()
        rows.append((key, orjson.dumps({"version": obj.version, "row": target._sealer.encode(obj)})))
    return await client.commit(_COMMIT, 0, rows, _OPEN_SECONDS)
