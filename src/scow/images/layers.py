"""Bringing layers in: a tar (plain or compressed) becomes a blob and a committed snapshot; a layer is unpacked once.

A lease keeps layers that no image names yet.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from scow.aio import KeyedLock, Supervisor
from scow.archive.workers import Report, Workers
from scow.content import ContentStore
from scow.errors import InvalidArgument, ScowError
from scow.ids import new_id
from scow.images.store import chain_ids
from scow.snapshots.overlay import Overlay
from scow.snapshots.snapshotter import Committed

_AT_A_TIME = max(2, min(4, os.cpu_count() or 2))


class Ahead(Protocol):
    """What was unpacked before anybody knew what it is (load.py)."""

    async def take(self, file: Path, diff_id: str, digest: str, lowest: bool) -> tuple[str, Report] | None:
        """What came of `file`, if that serves as the layer `diff_id`; it is the caller's then."""


class Layers:
    """Unpacks and removes layers."""

    def __init__(self, content: ContentStore, snapshots: Overlay, workers: Workers) -> None:
        self._content = content
        self._snapshots = snapshots
        self._workers = workers
        self._locks = KeyedLock()
        self._tasks = Supervisor("layers")
        self._leased: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self.pinned: set[str] = set()
        """Layers that the build cache keeps, whatever becomes of their images."""

    @contextlib.contextmanager
    def hold(self, digest: str) -> Iterator[None]:
        """Keep a blob that no layer has yet."""
        self._held[digest] += 1
        try:
            yield
        finally:
            self._held[digest] -= 1
            self._held = +self._held

    def demote(self, digest: str) -> None:
        """A verified blob of a pull that failed becomes a finished download, unless somebody uses it."""
        if not self._held[digest] and self._content.has(digest) and not any(layer.blob == digest for layer in self._snapshots.layers()):
            self._content.demote(digest)

    @contextlib.contextmanager
    def lease(self, names: Iterable[str]) -> Iterator[None]:
        """Keep these layers (by chain id, there or to come) from being dropped."""
        held = list(names)
        self._leased.update(held)
        try:
            yield
        finally:
            self._leased.subtract(held)
            self._leased = +self._leased

    def chain(self, names: tuple[str, ...]) -> list[Committed]:
        """The layers of an image that are there, lowest first."""
        return [layer for name in names if (layer := self._snapshots.layer(name)) is not None]

    async def add_file(self, parent: str, diff_id: str, file: Path, digest: str) -> Committed:
        """Unpack `file`, whose own digest is `digest`, as the layer `diff_id` on top of `parent`; the file becomes the blob.

        There already: nothing happens. Raises InvalidArgument when the content is not what `diff_id` says.
        """
        name = _chain(parent, diff_id) if parent else diff_id
        async with self._locks(name):
            known = self._snapshots.layer(name)
            if known is not None:
                return known
            key, report = await self._unpack(parent, diff_id, file, digest)
            await self._fit(key, report, parent)
            return await self._commit(key, report, parent, diff_id, file, digest)

    async def ahead(self, file: Path, size: int) -> tuple[str, Report]:
        """Unpack what may turn out to be a layer while `file` is still being written: (key, report) for `add_files`, or to remove.

        Raises ScowError; never ends when the file never grows to `size` bytes, so it is cancelled with its writer."""
        key = "unpack-" + new_id()
        root = await self._snapshots.prepare(key, "", unpack=True)
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                job = {**self.job(root, False, True), "hash": "packed", "follow": size}
                report = await self._workers.run(job, [fd])
            finally:
                os.close(fd)
        except BaseException:
            await self._snapshots.remove(key)
            raise
        report.setdefault("size", size)
        return key, report

    async def add_files(self, files: list[tuple[str, Path, str]], ahead: "Ahead | None" = None) -> None:
        """Unpack all layers of an image, lowest first: (diff id, file, its digest). Several are unpacked at a time.

        `ahead`: what was unpacked on suspicion.
        """
        names = chain_ids(diff_id for diff_id, _, _ in files)
        gate = asyncio.Semaphore(_AT_A_TIME)

        async def early(index: int) -> tuple[str, Report] | ScowError | None:
            if self._snapshots.layer(names[index]) is not None:
                return None
            if ahead is not None and (done := await ahead.take(files[index][1], files[index][0], files[index][2], index == 0)):
                return done
            async with gate:
                try:
                    return await self._unpack(names[index - 1] if index else "", *files[index])
                except ScowError as error:
                    return error

        tasks = [self._tasks.start(early(index), "unpack") for index in range(len(files))]
        try:
            for index, (diff_id, file, digest) in enumerate(files):
                parent = names[index - 1] if index else ""
                done = await tasks[index]
                if isinstance(done, ScowError):
                    raise done
                if done is not None:
                    await self._fit(*done, parent)
                async with self._locks(names[index]):
                    if self._snapshots.layer(names[index]) is None and done is not None:
                        await self._commit(*done, parent, diff_id, file, digest)
                        done = None
                if done is not None:  # somebody else was faster
                    await self._snapshots.remove(done[0])
                await self.add_file(parent, diff_id, file, digest)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, tuple):
                    await self._snapshots.remove(result[0])

    async def begin(self, parent: str, diff_id: str, digest: str) -> tuple[str, Report]:
        """Unpack a blob that is there, for `settle`: (key, report). Raises InvalidArgument when it is not what `diff_id` says."""
        return await self._unpack(parent, diff_id, self._content.path(digest), digest)

    async def settle(self, key: str, report: Report, parent: str, diff_id: str, digest: str) -> None:
        """Commit what was unpacked from the blob `digest`."""
        name = _chain(parent, diff_id) if parent else diff_id
        try:
            await self._fit(key, report, parent)
            async with self._locks(name):
                if self._snapshots.layer(name) is None:
                    await self._commit(key, report, parent, diff_id, self._content.path(digest), digest)
        finally:
            if self._snapshots.exists(key):
                await self._snapshots.remove(key)

    @staticmethod
    def job(root: Path, base: bool, hash: bool) -> Report:
        """The archive job that unpacks a layer on its own."""
        return {"job": "unpack", "root": str(root), "layer": True, "base": base, "hash": hash}

    async def compress(self, layer: Committed) -> Committed:
        """Have a layer's blob as gzip, which registries take; the plain one goes when nobody reads it. The caller has a lease."""
        async with self._locks("compress " + layer.blob):
            known = self._snapshots.layer(layer.name) or layer
            if known.compression in ("gzip", "zstd"):
                return known
            with self._content.ingest() as ingest:
                fd, out = self._content.open(layer.blob), ingest.file()
                try:
                    report = await self._workers.run({"job": "compress"}, [fd, out])
                finally:
                    os.close(fd)
                    os.close(out)
                digest = str(report["digest"])
                if not self._content.has(digest):
                    self._content.commit(ingest.path / "data", digest)
            users = [one.name for one in self._snapshots.layers() if one.blob == layer.blob]
            self._snapshots.replace_blob(users, digest, "gzip")
            if not self._held[layer.blob] and all(self._leased[name] <= 1 for name in users):
                self._content.delete(layer.blob)
            return self._snapshots.layer(layer.name) or known

    async def _fit(self, key: str, report: Report, parent: str) -> None:
        """Give the directories that an unpacked layer does not list the mode and owner that they have below."""
        if report["implicit"] and parent and self._snapshots.exists(key):
            root = str(self._snapshots.path(key))
            await self._workers.run({"job": "adjust", "root": root, "paths": report["implicit"], "lowers": self._lowers(parent)})

    async def _unpack(self, parent: str, diff_id: str, file: Path, digest: str) -> tuple[str, Report]:
        key = "unpack-" + new_id()
        root = await self._snapshots.prepare(key, "", unpack=True)
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC) if file.exists() else self._content.open(digest)
            try:
                report = await self._workers.run(self.job(root, not parent, digest != diff_id), [fd])
                report.setdefault("size", os.fstat(fd).st_size)
            finally:
                os.close(fd)
            if digest == diff_id and report["compression"]:
                raise InvalidArgument(f"layer {diff_id} is compressed, and its diff id is that of the compressed bytes")
            if digest != diff_id and report["digest"] != diff_id:
                raise InvalidArgument(f"layer {diff_id} holds something else: its content is {report['digest']}")
        except BaseException:
            await self._snapshots.remove(key)
            raise
        return key, report

    async def _commit(self, key: str, report: Report, parent: str, diff_id: str, file: Path, digest: str) -> Committed:
        if not self._content.has(digest):
            self._content.commit(file, digest)
        name = _chain(parent, diff_id) if parent else diff_id
        layer = Committed(name, parent, diff_id, report["content"], report["size"], digest, report["compression"])
        await self._snapshots.commit(key, layer)
        return layer

    async def add_stream(self, chunks: AsyncIterable[bytes]) -> Committed:
        """Unpack a tar stream as a lowest layer."""
        key = "unpack-" + new_id()
        root = await self._snapshots.prepare(key, "", unpack=True)
        try:
            with self._content.ingest() as ingest:
                fd = ingest.file()
                try:
                    report = await self._workers.run_from({**self.job(root, True, True), "keep": True}, chunks, [fd])
                finally:
                    os.close(fd)
                diff_id = str(report["digest"])
                async with self._locks(diff_id):
                    known = self._snapshots.layer(diff_id)
                    if known is not None:
                        await self._snapshots.remove(key)
                        return known
                    blob = str(report["raw_digest"])
                    if not self._content.has(blob):
                        self._content.commit(ingest.path / "data", blob)
                    layer = Committed(diff_id, "", diff_id, report["content"], report["size"], blob, report["compression"])
                    await self._snapshots.commit(key, layer)
                    return layer
        except BaseException:
            await self._snapshots.remove(key)
            raise

    async def add_changes(self, container_id: str, parent: str) -> Committed:
        """The writable layer of a container as a new layer on top of `parent`."""
        with self._content.ingest() as ingest:
            fd = ingest.file()
            try:
                report = await self._workers.run(self._snapshots.pack(container_id), [fd])
            finally:
                os.close(fd)
            digest = str(report["digest"])
            return await self.add_file(parent, digest, ingest.path / "data", digest)

    async def adopt(self, key: str, parent: str) -> Committed:
        """Make an active snapshot, which nothing writes to any more, a layer on top of `parent` where it is; the snapshot is gone then."""
        with self._content.ingest() as ingest:
            fd = ingest.file()
            try:
                report = await self._workers.run(self._snapshots.pack(key), [fd])
            finally:
                os.close(fd)
            diff_id = str(report["digest"])
            name = _chain(parent, diff_id) if parent else diff_id
            async with self._locks(name):
                known = self._snapshots.layer(name)
                if known is not None:
                    await self._snapshots.remove(key)
                    return known
                size = await self._snapshots.usage(key)
                if not self._content.has(diff_id):
                    self._content.commit(ingest.path / "data", diff_id)
                layer = Committed(name, parent, diff_id, size, int(report["size"]), diff_id, "")
                await self._snapshots.commit(key, layer)
                return layer

    def _lowers(self, parent: str) -> list[str]:
        return [str(tree) for tree in self._snapshots.trees(parent)] if parent else []

    async def drop(self, names: tuple[str, ...], kept: set[str]) -> int:
        """Remove layers from the top of a chain down to the first that is in `kept` or carries another one; the bytes of their files."""
        freed = 0
        parents = self._snapshots.parents()
        for name in reversed(names):
            layer = self._snapshots.layer(name)
            if layer is None or name in kept or name in parents or self._leased[name] or name in self.pinned:
                break
            freed += await self._drop_one(name)
            parents = self._snapshots.parents()
        return freed

    async def forget(self, names: Iterable[str], kept: set[str], demote: bool = False) -> None:
        """Drop what a failed load brought, other people's leases respected: each name is leased once by the load itself.

        `demote` keeps the verified blobs for another try."""
        for name in reversed(list(dict.fromkeys(names))):
            if self._leased[name] <= 1 and name not in kept | self.pinned and name not in self._snapshots.parents():
                await self._drop_one(name, demote)

    async def _drop_one(self, name: str, demote: bool = False) -> int:
        layer = self._snapshots.layer(name)
        if layer is None:
            return 0
        await self._snapshots.remove(name)
        if demote:
            self.demote(layer.blob)
        elif not self._held[layer.blob] and not any(other.blob == layer.blob for other in self._snapshots.layers()):
            self._content.delete(layer.blob)
        return layer.size

    def gone(self, name: str) -> bool:
        """Whether the layer is not there (any more)."""
        return self._snapshots.layer(name) is None

    def blobs(self) -> set[str]:
        """The blobs of every layer."""
        return {layer.blob for layer in self._snapshots.layers()}

    async def sweep(self, kept: set[str]) -> int:
        """Remove every layer that is neither kept nor under another one; how many went."""
        removed = 0
        while True:
            parents = self._snapshots.parents()
            held = kept | parents | self.pinned
            loose = [layer.name for layer in self._snapshots.layers() if layer.name not in held and not self._leased[layer.name]]
            if not loose:
                return removed
            for name in loose:
                await self.drop((name,), kept)
                removed += 1


def _chain(parent: str, diff_id: str) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest()
