"""Trees of the build cache: immutable results of steps, directories that change in place (contexts, cache mounts), and who uses them.

Stored: a row each in the table `build_refs` (`rows.py`), in `build_state` whether all of it is on the disk; results are snapshots of the
common store ("built" until an image is made of them, then layers that are pinned), directories lie in `<data>/build/trees/<n>/fs`; mounts
below `<run>/build/`. The tree of an image's layers is the reference `layer:<chain id>`, without a row. Rows are written after the tree
is whole and removed before it. Callers: ops, solver, exporters.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import aio
from scow.build import rows
from scow.build.disk import Disk
from scow.build.rows import Rows
from scow.errors import Internal, NotFound
from scow.images.service import ImageService
from scow.metadata import Database
from scow.snapshots.snapshotter import Committed

if TYPE_CHECKING:
    from scow.build.solver.types import Result

REGULAR, SOURCE, CACHE_MOUNT, GIT, INTERNAL, FRONTEND = (
    "regular",
    "source.local",
    "exec.cachemount",
    "source.git.checkout",
    "internal",
    "frontend",
)
_LAYER = "layer:"
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_UNKNOWN = -1
_TOUCH_NS = 1_000_000_000


def new_id() -> str:
    """An id as BuildKit's: 25 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(25))


@dataclass(frozen=True, slots=True)
class TreeRef:
    """One immutable tree: a row's id, or `layer:<chain id>`. `directory` is set for one that is no snapshot (a context)."""

    id: str
    directory: Path | None = None


class Draft:
    """A tree in the making. `commit` or `discard` ends it; both are safe to call after a failure."""

    def __init__(self, refs: Refs, parent: TreeRef | None, kind: str, description: str) -> None:
        self.id = new_id()
        self._refs = refs
        self.parent = parent
        self._kind = kind
        self._description = description
        self.key = "build-" + self.id
        self.place = refs.run / self.key
        self._mounted = False
        self._prepared = False

    async def prepare(self) -> Path:
        """Make the snapshot; the directory of its own files."""
        parent = self._refs.snapshot(self.parent) if self.parent else ""
        own = await self._refs.snapshots.prepare(self.key, parent)
        self._prepared = True
        return own

    async def tree(self, init: bool = False) -> Path:
        """The whole tree, to write to. `init`: with the mount points a process needs below it."""
        own = await self.prepare()
        if self.parent is None and not init:
            return own
        target = self.place / "rootfs"
        self._mounted = True
        await self._refs.snapshots.mount(self.key, target, volatile=True, init=init)
        return target

    async def commit(self) -> TreeRef:
        """The tree as it is now, for good."""
        await self._unmount()
        await self._refs.snapshots.seal(self.key, self.key)
        self._prepared = False
        return self._refs.add(self.id, self.key, self.parent, self._kind, self._description)

    async def discard(self) -> None:
        """Throw it away."""
        await self._unmount()
        if self._prepared:
            self._prepared = False
            await self._refs.snapshots.remove(self.key)

    async def _unmount(self) -> None:
        if self._mounted:
            await self._refs.snapshots.unmount(self.place / "rootfs")
            self._mounted = False
        if self.place.exists():
            await aio.in_pool(_remove_empty, self.place)


def _remove_empty(place: Path) -> None:
    for one in (place / "rootfs", place):
        with contextlib.suppress(OSError):
            one.rmdir()


class Refs:
    """All trees of the build cache."""

    def __init__(self, root: Path, run: Path, db: Database, images: ImageService) -> None:
        self.run = run
        self.images = images
        self.snapshots = images.snapshots
        self.db = db
        self.table = Rows(db)
        self.digests = db.table("build_digests")
        self.disk = Disk(db, root)
        self.trees = root / "trees"
        self.trees.mkdir(parents=True, exist_ok=True)
        root.chmod(0o710)
        run.mkdir(parents=True, exist_ok=True)
        run.chmod(0o710)
        self._held: Counter[str] = Counter()
        self._views: dict[str, tuple[Path, int]] = {}
        self._locks = aio.KeyedLock()
        self._numbers = itertools.count(1 + max([0, *(int(doc.get("dir") or 0) for doc in self.table.all().values())]))
        self._behind = aio.Supervisor("build trees")
        self.on_remove: Callable[[str], None] = lambda id: None
        """Told when a row has gone (the cache index forgets its keys)."""

    # --- rows ---------------------------------------------------------------------------------------------------------------------

    def add(self, id: str, snapshot: str, parent: TreeRef | None, kind: str, description: str, directory: int = 0, **more: Any) -> TreeRef:
        """Write a row."""
        self.disk.written()
        now = time.time_ns()
        parents = [parent.id] if parent is not None and not parent.id.startswith(_LAYER) else []
        row = {"type": kind, "description": description, "parents": parents, "created": now, "used": now, "count": 1, "size": _UNKNOWN}
        self.table.put(id, {**row, "snapshot": snapshot, "dir": directory, **more})
        return TreeRef(id, self.directory(directory) if directory else None)

    def directory(self, number: int) -> Path:
        """Where a directory of the cache lies."""
        return self.trees / str(number) / "fs"

    def new_directory(self) -> int:
        """A number for a new directory, which is made."""
        number = next(self._numbers)
        self.directory(number).mkdir(parents=True)
        self.directory(number).chmod(0o755)
        return number

    def find(self, id: str) -> TreeRef | None:
        """The tree of an id, if it is (still) there."""
        if id.startswith(_LAYER):
            return TreeRef(id) if self.snapshots.layer(id.removeprefix(_LAYER)) is not None else None
        row = self.table.get(id)
        if row is None:
            return None
        if row["dir"]:
            return TreeRef(id, self.directory(int(row["dir"])))
        return TreeRef(id) if self.snapshots.exists(str(row["snapshot"])) else None

    def snapshot(self, ref: TreeRef) -> str:
        """The snapshot that a tree is. Raises NotFound."""
        if ref.id.startswith(_LAYER):
            return ref.id.removeprefix(_LAYER)
        row = self.table.get(ref.id)
        if row is None or not row["snapshot"]:
            raise NotFound(f"the build cache has no tree {ref.id}")
        return str(row["snapshot"])

    def touch(self, id: str) -> None:
        """It was used now."""
        row = self.table.get(id)
        if row is not None:
            now = time.time_ns()
            if now - int(row["used"]) > _TOUCH_NS:
                self.table.put(id, {**row, "used": now, "count": int(row["count"]) + 1})

    def hold(self, ref: TreeRef | None) -> None:
        """Keep a tree from being pruned until `release`; calls are counted."""
        if ref is not None:
            self._held[ref.id] += 1
            if ref.id.startswith(_LAYER):
                self.images.layers.pinned.add(ref.id.removeprefix(_LAYER))

    def release(self, ref: TreeRef | None) -> None:
        """One holder less."""
        if ref is None:
            return
        self._held[ref.id] -= 1
        if self._held[ref.id] <= 0:
            del self._held[ref.id]
            if ref.id.startswith(_LAYER):
                self._unpin(ref.id.removeprefix(_LAYER))

    def held(self, id: str) -> bool:
        """Whether a build uses the tree now."""
        return self._held[id] > 0

    def _unpin(self, layer: str) -> None:
        if not self.held(_LAYER + layer) and not self.table.by(rows.SNAPSHOT, layer):
            self.images.layers.pinned.discard(layer)

    # --- looking ------------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def view(self, result: Result) -> AsyncIterator[Path]:
        """A tree to read, as a directory. Several views of one tree share a mount."""
        ref = result if isinstance(result, TreeRef) else None
        if ref is None:
            empty = self.run / "empty"
            empty.mkdir(exist_ok=True)
            yield empty
            return
        if ref.directory is not None:
            yield ref.directory
            return
        trees = self.snapshots.trees(self.snapshot(ref))
        if len(trees) == 1:
            yield trees[0]
            return
        self.hold(ref)
        try:
            async with self._locks(ref.id):
                place, users = self._views.get(ref.id, (self.run / f"view-{new_id()}", 0))
                if not users:
                    await self.snapshots.mount_layers(self.snapshot(ref), place)  # it has another name since it became a layer
                self._views[ref.id] = (place, users + 1)
            try:
                yield place
            finally:
                self._leave(ref.id)
        finally:
            self.release(ref)

    def _leave(self, id: str) -> None:
        place, users = self._views[id]
        if users > 1:
            self._views[id] = (place, users - 1)
            return
        del self._views[id]
        self._behind.start(self._unmount_view(place), "unmount")

    async def _unmount_view(self, place: Path) -> None:
        await aio.behind(self.snapshots.unmount, place)
        with contextlib.suppress(OSError):
            place.rmdir()

    def remembered(self, ref: TreeRef, selector: str) -> str:
        """The digest of a part of a tree, when it is known."""
        row = self.digests.get(ref.id) or {}
        return str(row.get(selector, ""))

    def remember(self, ref: TreeRef, selector: str, digest: str) -> None:
        """Keep the digest of a part of an immutable tree (or of a context until it changes)."""
        row = self.digests.get(ref.id) or {}
        if len(row) < 1000:
            self.digests.put(ref.id, {**row, selector: digest})

    def forget_digests(self, id: str) -> None:
        """The tree has changed."""
        self.digests.delete(id)

    def lineage(self, ref: TreeRef) -> list[str]:
        """Snapshots that make up a tree, the lowest first."""
        found: list[str] = []
        name = self.snapshot(ref)
        while name:
            found.append(name)
            name = self.snapshots.parent(name)
        return found[::-1]

    # --- making -------------------------------------------------------------------------------------------------------------------

    def draft(self, parent: TreeRef | None, kind: str = REGULAR, description: str = "") -> Draft:
        """Begin a tree on top of `parent` (None = nothing)."""
        return Draft(self, parent, kind, description)

    async def freeze(self, ref: TreeRef, copy: Callable[[Path, Path], Any], description: str = "") -> TreeRef:
        """A snapshot with the files of a directory; `await copy(source, destination)` copies them."""
        if ref.directory is None:
            return ref
        draft = self.draft(None, description=description)
        try:
            await copy(ref.directory, await draft.tree())
            return await draft.commit()
        except BaseException:
            await draft.discard()
            raise

    def adopt(self, name: str, layer: Committed) -> None:
        """The snapshot `name` is the committed layer from now on; the cache keeps it whatever becomes of images."""
        with self.db.update():
            self.snapshots.adopt(name, layer)
            for id, row in self.table.by(rows.SNAPSHOT, name).items():
                self.table.put(id, {**row, "snapshot": layer.name})
        self.images.layers.pinned.add(layer.name)

    def layer_of(self, name: str) -> str:
        """The layer that a snapshot is known to be the same as, "" when none is."""
        row = next(iter(self.table.by(rows.SNAPSHOT, name).values()), None)
        return str(row.get("layer", "")) if row is not None else ""

    def made_ns(self, ref: TreeRef | None) -> list[int]:
        """When each layer of a tree was made, the lowest first; 0 for one that came with an image. It is the time of the step that made
        this tree: a step that was made anew is new, even if an older one gave the same files."""
        if ref is None:
            return []
        own: list[int] = []
        row = self.table.get(ref.id)
        while row is not None:
            own.append(int(row["created"]))
            row = self.table.get(row["parents"][0]) if row["parents"] else None
        names = self.lineage(ref)
        below = [self._oldest(name) for name in names[: len(names) - len(own)]]
        return below + own[::-1]

    def _oldest(self, name: str) -> int:
        made = {**self.table.by(rows.SNAPSHOT, name), **self.table.by(rows.LAYER, name)}
        return min((int(row["created"]) for row in made.values() if not row.get("came")), default=0)

    def made_here(self, name: str) -> bool:
        """Whether a build of this engine made the snapshot; others came with an image."""
        return any(not row.get("came") for row in self.table.by(rows.SNAPSHOT, name).values())

    def remember_layer(self, name: str, layer: str) -> None:
        """A snapshot has the content of a layer that is there already."""
        for id, row in self.table.by(rows.SNAPSHOT, name).items():
            self.table.put(id, {**row, "layer": layer})

    def keeps_layer(self, name: str) -> bool:
        """Whether a layer that a registry had is (still) a tree of the cache."""
        return self.snapshots.layer(name) is not None and any(row.get("came") for row in self.table.by(rows.SNAPSHOT, name).values())

    def keep_layers(self, names: Sequence[str], description: str) -> None:
        """Layers that a registry had, the lowest first, become trees of the cache: they stay until they are pruned."""
        below: TreeRef | None = None
        with self.db.update():
            for name in names:
                known = next((id for id, row in self.table.by(rows.SNAPSHOT, name).items() if row.get("came")), None)
                if known is not None:
                    self.touch(known)
                below = TreeRef(known) if known is not None else self.add(new_id(), name, below, REGULAR, description, came="registry")
                self.images.layers.pinned.add(name)

    # --- directories ----------------------------------------------------------------------------------------------------------------

    def take_source(self, shared_key: str, description: str) -> TreeRef:
        """The directory kept for contexts of this key, or a new one when another build has it; it is held until `release_source`."""
        known = [id for id, row in self.table.by(rows.KEY, shared_key).items() if row["type"] == SOURCE] if shared_key else []
        for id in known:
            if not self.held(id):
                ref = self.find(id)
                if ref is not None and ref.directory is not None and ref.directory.is_dir():
                    self.touch(id)
                    self.hold(ref)
                    return ref
        kept = not known and bool(shared_key)
        number = self.new_directory()
        ref = self.add(new_id(), "", None, SOURCE, description, number, key=shared_key if kept else "")
        self.hold(ref)
        return ref

    async def release_source(self, ref: TreeRef) -> None:
        """A build does not need its context any more."""
        self.release(ref)
        row = self.table.get(ref.id)
        if row is not None and not row.get("key") and not self.held(ref.id):
            await self.remove(ref.id)

    # --- removing -------------------------------------------------------------------------------------------------------------------

    def carries(self, id: str) -> bool:
        """Whether another tree stands on it."""
        return bool(self.table.by(rows.PARENT, id))

    async def remove(self, id: str) -> None:
        """Remove a tree that nothing stands on and nobody holds; absent is fine."""
        row = self.table.get(id)
        if row is None:
            return
        name = str(row["snapshot"])
        below = self.snapshots.parent(name) if name and self.snapshots.exists(name) else ""
        with self.db.update():
            self.table.delete(id)
            self.digests.delete(id)
        self.on_remove(id)
        if row["dir"]:
            await self.images.workers.run({"job": "remove", "paths": [str(self.directory(int(row["dir"])).parent)]})
            return
        if not name or self.table.by(rows.SNAPSHOT, name):
            return
        if self.snapshots.layer(name) is not None:
            self._unpin(name)
            await self.images.drop_unused(name)
        elif self.snapshots.exists(name):
            with contextlib.suppress(Internal):
                await self.snapshots.remove(name)
            if below and self.snapshots.layer(below) is not None:
                await self.images.drop_unused(below)

    async def sizes(self, ids: Iterable[str]) -> None:
        """Find the sizes that are not known yet."""
        wanted: list[tuple[str, Path]] = []
        for id in ids:
            row = self.table.get(id)
            if row is None or (int(row["size"]) >= 0 and not (row["dir"] and not self.held(id) and row["type"] == CACHE_MOUNT)):
                continue
            with contextlib.suppress(NotFound):
                wanted.append((id, self.directory(int(row["dir"])) if row["dir"] else self.snapshots.path(str(row["snapshot"]))))
        if not wanted:
            return
        report = await self.images.workers.run({"job": "usage", "paths": [str(path) for _, path in wanted]})
        with self.db.update():
            for (id, _), size in zip(wanted, report["usage"], strict=True):
                row = self.table.get(id)
                if row is not None:
                    self.table.put(id, {**row, "size": int(size)})

    def forget_size(self, id: str) -> None:
        """The directory has changed."""
        row = self.table.get(id)
        if row is not None and int(row["size"]) >= 0:
            self.table.put(id, {**row, "size": _UNKNOWN})

    # --- life -----------------------------------------------------------------------------------------------------------------------

    def pin(self) -> None:
        """Before images are recovered: the layers that the cache keeps."""
        self.images.layers.pinned |= {str(row["snapshot"]) for row in self.table.all().values() if row["snapshot"]}

    def clear_later(self, paths: list[str]) -> None:
        """Remove directories of the cache behind the answer."""
        self._behind.start(self._clear(paths), "clear")

    async def _clear(self, paths: list[str]) -> None:
        await self.images.workers.run({"job": "remove", "paths": paths})

    async def close(self) -> None:
        """Let unmounting finish, and have what was made on the disk."""
        await self._behind.drain(5)
        await self.disk.close()
        await self._behind.close()
