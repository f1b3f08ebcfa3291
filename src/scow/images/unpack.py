"""Layers on their way in: each is downloaded, verified and unpacked in one stream, several at a time, and shared by all who wait for it.

The bytes go from the connection into an archive helper, which hashes them, writes them to `content/partial/<digest>` and unpacks what is in
them. A download that breaks off goes on from those bytes at the next try, also after a restart of the daemon. A layer is committed
once the one below it is. Everybody who waits for a layer is a source of it: when the registry, or the credentials, of one fail, the next
one's are used from the byte that was reached.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from scow import log
from scow.aio import KeyedLock, Supervisor
from scow.archive.workers import ArchiveError, Report, Workers
from scow.content import ContentStore
from scow.errors import DataLoss, InvalidArgument, ScowError
from scow.ids import new_id
from scow.images.layers import Layers
from scow.registry.errors import Broken, RegistryError, Unreachable
from scow.registry.media import Descriptor
from scow.snapshots.overlay import Overlay

logger = log.get(__name__)

_HAVE_MIN = 4096  # fewer bytes are not worth going on with
Moved = Callable[[int], None]
Open = Callable[[Descriptor, int, Moved, Moved], AsyncGenerator[bytes, None]]  # blob, offset, told of bytes, told of pauses
Watcher = Callable[[str, int], None]  # state, number


@dataclass(frozen=True, slots=True)
class Source:
    """Where a layer can be had: as which blob, and how."""

    blob: Descriptor
    open: Open


@dataclass(slots=True)
class Arrival:
    """One layer on its way. `sources`: those of everybody who waits, the one in use first."""

    name: str
    parent: str
    diff_id: str
    sources: list[Source]
    below: "Arrival | None"
    users: int = 0
    state: tuple[str, int] = ("waiting", 0)
    watchers: list[Watcher] = field(default_factory=list)
    task: "asyncio.Task[ScowError | None] | None" = None

    @property
    def blob(self) -> Descriptor:
        """What is fetched at the moment."""
        return self.sources[0].blob

    def tell(self, state: str, number: int = 0) -> None:
        """Tell everybody how it goes."""
        self.state = (state, number)
        for watcher in self.watchers:
            watcher(state, number)

    async def done(self) -> None:
        """Wait until the layer is there. Raises what went wrong. A cancelled waiter does not end it."""
        assert self.task is not None
        error = await asyncio.shield(self.task)
        if error is not None:
            raise error


class Arrivals:
    """Every layer that is on its way."""

    def __init__(self, content: ContentStore, snapshots: Overlay, layers: Layers, workers: Workers, limit: Callable[[], int]) -> None:
        self._content = content
        self._snapshots = snapshots
        self._layers = layers
        self._workers = workers
        self._limit = limit
        self._width = 0
        self._gate = asyncio.Semaphore(1)
        self._tasks = Supervisor("arrivals")
        self._all: dict[str, Arrival] = {}
        self._blobs = KeyedLock()

    def join(self, name: str, parent: str, diff_id: str, blob: Descriptor, open: Open, watcher: Watcher) -> Arrival:
        """Wait along for the layer `name` on `parent` ("" for none), which has to be there or on its way; everybody calls `leave` once."""
        found = self._all.get(name)
        if found is not None:
            found.sources.append(Source(blob, open))
        else:
            found = self._all[name] = Arrival(name, parent, diff_id, [Source(blob, open)], self._all.get(parent))
            found.task = self._tasks.start(self._run(found), "layer")
        found.users += 1
        found.watchers.append(watcher)
        watcher(*found.state)
        return found

    async def leave(self, arrival: Arrival, watcher: Watcher) -> None:
        """Stop waiting; the last one ends the work, and what has arrived is kept for another try."""
        arrival.users -= 1
        with contextlib.suppress(ValueError):
            arrival.watchers.remove(watcher)
        if arrival.users or arrival.task is None:
            return
        if self._all.get(arrival.name) is arrival:
            del self._all[arrival.name]
        if not arrival.task.done():
            arrival.task.cancel()
            await asyncio.wait([arrival.task])

    def busy(self) -> set[str]:
        """The blobs on their way."""
        return {arrival.blob.digest for arrival in self._all.values()}

    async def close(self) -> None:
        """End everything."""
        await self._tasks.close()

    def _slots(self) -> asyncio.Semaphore:
        width = max(self._limit(), 1)
        if width != self._width:
            self._width, self._gate = width, asyncio.Semaphore(width)
        return self._gate

    async def _run(self, arrival: Arrival) -> ScowError | None:
        try:
            while True:
                digest = arrival.blob.digest
                try:
                    try:
                        with self._layers.hold(digest):
                            await self._bring(arrival)
                    except BaseException:
                        self._layers.demote(digest)
                        raise
                    return None
                except ScowError as error:
                    if len(arrival.sources) < 2 or not isinstance(error, (RegistryError, Unreachable, Broken)):
                        return error
                    logger.info("layer %s goes on from another source: %s", arrival.name, error.message)
                    del arrival.sources[0]
        finally:
            if self._all.get(arrival.name) is arrival:
                del self._all[arrival.name]

    async def _bring(self, arrival: Arrival) -> None:
        digest = arrival.blob.digest
        async with self._blobs(digest):
            if self._content.has(digest):
                key, report = await self._layers.begin(arrival.parent, arrival.diff_id, digest)
            else:
                async with self._slots():
                    key, report = await self._stream(arrival, True)
        try:
            arrival.tell("arrived")
            if arrival.below is not None:
                await arrival.below.done()
            arrival.tell("unpacking")
        except BaseException:
            await self._snapshots.remove(key)
            raise
        await self._layers.settle(key, report, arrival.parent, arrival.diff_id, digest)
        arrival.tell("done")

    async def _stream(self, arrival: Arrival, again: bool) -> tuple[str, Report]:
        """Download, verify and unpack. What is wrong with bytes kept from an earlier try is tried once from the beginning."""
        blob = arrival.blob
        path = self._content.partial(blob.digest)
        key = "unpack-" + new_id()
        root = await self._snapshots.prepare(key, "", unpack=True)
        have = 0
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                have = os.fstat(fd).st_size
                if not _HAVE_MIN <= have <= blob.size:
                    os.ftruncate(fd, 0)
                    have = 0
                report = await self._feed(arrival, root, fd, have)
            finally:
                os.close(fd)
            self._check(arrival, report)
            self._content.commit(path, blob.digest)
            return key, report
        except (ArchiveError, InvalidArgument, DataLoss) as error:  # the content is bad, not the line
            path.unlink(missing_ok=True)
            await self._snapshots.remove(key)
            if not have or not again:
                raise
            logger.info("the kept bytes of %s are of no use, starting again: %s", blob.digest, error.message)
        except BaseException:
            await self._snapshots.remove(key)
            raise
        return await self._stream(arrival, False)

    async def _feed(self, arrival: Arrival, root: object, fd: int, have: int) -> Report:
        blob = arrival.blob
        arrival.tell("downloading", have)
        job = self._layers.job(root, not arrival.parent, blob.digest != arrival.diff_id)  # type: ignore[arg-type]
        open = arrival.sources[0].open
        chunks = open(blob, have, lambda at: arrival.tell("downloading", at), lambda seconds: arrival.tell("retrying", seconds))
        try:
            return await self._workers.run_from({**job, "keep": True, "have": have}, chunks, [fd])
        finally:
            await chunks.aclose()

    @staticmethod
    def _check(arrival: Arrival, report: Report) -> None:
        blob = arrival.blob
        if report["raw_size"] != blob.size:
            raise Broken(f"unexpected EOF: {report['raw_size']} of {blob.size} bytes of {blob.digest}")
        if report["raw_digest"] != blob.digest:
            raise DataLoss(f"filesystem layer verification failed for digest {blob.digest}")
        arrival.tell("verifying")
        if blob.digest == arrival.diff_id:
            if report["compression"]:
                raise InvalidArgument(f"layer {arrival.diff_id} is compressed, and its diff id is that of the compressed bytes")
            report.setdefault("size", report["raw_size"])
        elif report["digest"] != arrival.diff_id:
            raise InvalidArgument(f"layer {arrival.diff_id} holds something else: its content is {report['digest']}")
