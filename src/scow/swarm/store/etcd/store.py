"""The store in etcd: a copy in memory that a watch keeps current, and writes as transactions there.

Every commit writes the key `/scow/commit` (its value is the store's version) and is only accepted when nobody has written it since the
copy was made: transactions are one after another in the whole cluster, whatever they read. Objects lie at `/scow/o/<kind>/<id>`, as rows
of `sealed.Sealer`, with their version in them.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import orjson

from scow import log
from scow.aio import Supervisor
from scow.errors import InvalidArgument, ScowError
from scow.swarm.objects import Object
from scow.swarm.store.etcd.client import SECONDS, Client, Compacted, EtcdError, NoAnswer, Row
from scow.swarm.store.memory import MemoryStore, Transaction
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import NoLeader, Tx
from scow.swarm.wording import rpc

logger = log.get(__name__)

T = TypeVar("T")

PREFIX = b"/scow/"
_COMMIT = PREFIX + b"commit"
_OBJECTS = PREFIX + b"o/"
_TRIES = 50
_AGAIN_SECONDS = 0.5
_OPEN_SECONDS = 60.0
_FRESH_SECONDS = 0.05

_ROWS = 256  # about what one commit takes from several writers
_MOST_BYTES = 9 << 20
"""What a commit may have: etcd writes longer entries to its log, too, and reads none of more than 10 MiB when it starts again."""

Written = Mapping[tuple[str, str], Object | None]

EncodedRow = tuple[bytes, bytes | None]


class TooLarge(InvalidArgument):
    """A change does not fit into a commit."""

    def __init__(self, size: int) -> None:
        super().__init__(rpc("ResourceExhausted", f"the change is too large: {size} bytes, at most {_MOST_BYTES}"))


class _Writer:
    """Somebody who waits for a write of his."""

    def __init__(self, fn: Callable[[Tx], Any], done: "asyncio.Future[Any]") -> None:
        self.done = done
        self._fn = fn
        self._result: Any = None
        self._error: Exception | None = None

    def run(self, tx: Transaction) -> None:
        """Do it on a transaction; what it refuses is told when those before it are committed: they may be why."""
        self._result, self._error = None, None
        if self.done.done():  # nobody waits any more
            return
        try:
            self._result = self._fn(tx)
        except Exception as error:
            self._error = error
            tx.drop()

    def refuse(self, error: Exception) -> None:
        """What it has written cannot be stored."""
        self._error = error

    def settle(self) -> None:
        """It has ended."""
        if self._error is not None:
            self.fail(self._error)
        elif not self.done.done():
            self.done.set_result(self._result)

    def fail(self, error: Exception) -> None:
        """It could not be done."""
        if not self.done.done():
            self.done.set_exception(error)


class EtcdStore(MemoryStore):
    """A store on a cluster of etcd (`store.Store`). `open` before use, `close` at the end."""

    def __init__(self, client: Client, sealer: Sealer, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(now_ns)
        self._client = client
        self._sealer = sealer
        self._seen = 0  # revision of the last commit that the copy has, 0 for none
        self._revision = 0  # the copy is what etcd had at this revision
        self._turn = asyncio.Lock()
        self._waiting: list[_Writer] = []
        self._writing: asyncio.Task[None] | None = None
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
        """End; who still waits for a write hears that there is no leader."""
        await self._supervisor.close()
        for one in self._waiting:
            one.fail(NoLeader())
        self._waiting = []

    # --- reading

    async def _read(self) -> None:
        """Make the copy what etcd has, as one commit with the differences."""
        rows, revision = await self._client.range(PREFIX, _OPEN_SECONDS)
        if revision < self._revision:
            return  # the watch was faster than the answer: what it has brought would be lost, it comes once
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
            except Exception:
                logger.exception("the watch of the cluster's state failed and begins again")
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, rows: Collection[Row]) -> None:
        """A commit of anybody; ours are in the copy already."""
        revision = max((row.revision for row in rows), default=0)
        if revision <= self._revision:
            return
        version = self._version
        written: dict[tuple[str, str], Object | None] = {}
        for row in rows:
            if row.key == _COMMIT:
                version = int(row.value or b"0")
            elif (place := _place(row)) is not None:
                written[place] = None if row.value is None else self._decode(place[0], row)
        self._seen = self._revision = revision
        self.show(written, version)

    # --- writing

    def encoded(self, written: Written) -> list[EncodedRow]:
        """Objects as etcd's keys and values."""
        rows: list[EncodedRow] = []
        for (kind, id), obj in written.items():
            key = _OBJECTS + f"{kind}/{id}".encode()
            rows.append((key, None if obj is None else orjson.dumps({"version": obj.version, "row": self._sealer.encode(obj)})))
        return rows

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """See Store. What comes while a commit is under way goes into the next one together, each writer with a version of its own."""
        writer = _Writer(fn, asyncio.get_running_loop().create_future())
        self._waiting.append(writer)
        if self._writing is None or self._writing.done():
            self._writing = self._supervisor.start(self._write(), "writes")
        return cast("T", await writer.done)

    async def _write(self) -> None:
        while self._waiting:
            async with self._turn:
                writers, self._waiting = self._waiting, []
                try:
                    await self._commit(writers)
                except BaseException as error:
                    for one in writers:
                        one.fail(error if isinstance(error, ScowError) else NoLeader())
                    if not isinstance(error, ScowError):
                        for one in self._waiting:
                            one.fail(NoLeader())
                        self._waiting = []
                        raise

    async def _commit(self, writers: Sequence["_Writer"]) -> None:
        """Run them on one transaction and commit it; those that find no room in it wait for the next. Raises NoLeader."""
        for _ in range(_TRIES):
            tx = self.begin()
            seen, version = self._seen, self._version
            parts: list[Written] = []
            rows: dict[bytes, bytes | None] = {}
            large: _Writer | None = None
            ended = size = 0
            for one in writers:
                if len(rows) >= _ROWS:
                    break
                one.run(tx)
                if tx.written:
                    made = self.encoded(tx.commit(version + 1))
                    weight = _weight(made)
                    if size and size + weight > _MOST_BYTES:
                        tx.drop()
                        break
                    if weight > _MOST_BYTES:
                        large = one
                        break
                    version += 1
                    size += weight
                    parts.append(tx.stage(version))
                    rows |= made
                ended += 1
            if large is not None:
                ended += 1
                try:
                    done = await self._in_pieces(tx)
                except TooLarge as error:
                    large.refuse(error)
                    done = True
            else:
                done = not rows or await self._committed(seen, list(rows.items()), parts, version)
            if done:
                for one in writers[:ended]:
                    one.settle()
                self._waiting[:0] = writers[ended:]
                return
            await self._behind(seen)
        raise NoLeader

    async def _in_pieces(self, tx: Transaction) -> bool:
        """Commit what is too large for one commit in several, in the order of its writes: only the manager's loops write so much, and what
        they do is right halfway. False when others came between: begin again with what there is now. Raises NoLeader, TooLarge."""
        seen, version = self._seen, self._version
        pieces: list[list[tuple[str, str]]] = [[]]
        size = 0
        for place, obj in tx.written.items():
            weight = _weight(self.encoded({place: obj}))
            if weight > _MOST_BYTES:
                raise TooLarge(weight)
            if size + weight > _MOST_BYTES:
                pieces.append([])
                size = 0
            pieces[-1].append(place)
            size += weight
        for piece in pieces:
            if self._seen != seen:
                return False
            version += 1
            made = tx.commit(version)
            part = {place: made[place] for place in piece}
            if not await self._committed(seen, self.encoded(part), [part], version):
                return False
            if piece is not pieces[-1] and self._version != version:
                return False
            seen = self._seen
        return True

    async def _committed(self, seen: int, rows: Sequence[EncodedRow], parts: Sequence[Written], version: int) -> bool:
        """Whether the commit was accepted: False when others were faster. Raises NoLeader."""
        try:
            if time.monotonic() - self._confirmed > _FRESH_SECONDS:
                # a write that finds no quorum stays in the member's log and would happen when the others are back: ask first
                await self._client.confirm(_COMMIT)
            revision = await self._client.commit(_COMMIT, seen, [(_COMMIT, str(version).encode()), *rows])
        except NoAnswer as error:
            # written or not: only what is read back tells, and that may have to wait for a quorum
            logger.warning("a change could not be committed: %s", error.message)
            raise NoLeader from None
        self._confirmed = time.monotonic()
        if revision and self._revision < revision:
            self._seen = self._revision = revision
            for number, part in enumerate(parts, version - len(parts) + 1):
                self.show(part, number)
        return bool(revision)

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


def _weight(rows: Sequence[EncodedRow]) -> int:
    """About the bytes that rows have in etcd's log."""
    return sum(len(key) + len(value or b"") + 32 for key, value in rows)


async def fill(client: Client, store: MemoryStore, sealer: Sealer) -> int:
    """Copy a store into an empty etcd that nobody else writes to, in as many commits as that takes; the last revision. Raises
    TooLarge."""
    target = EtcdStore(client, sealer)
    revision, size = 0, 0
    head = (_COMMIT, str(store.version).encode())
    rows: list[EncodedRow] = [head]
    for kind, table in store.tables.items():
        for id, obj in table.objects.items():
            made = target.encoded({(kind, id): obj})
            weight = _weight(made)
            if weight > _MOST_BYTES:
                raise TooLarge(weight)
            if len(rows) > 1 and size + weight > _MOST_BYTES:
                revision = await client.commit(_COMMIT, revision, rows, _OPEN_SECONDS)
                rows, size = [head], 0
            rows += made
            size += weight
    return await client.commit(_COMMIT, revision, rows, _OPEN_SECONDS)
