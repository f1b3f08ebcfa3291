"""Snapshots as overlayfs layers: `<root>/<n>/fs` holds a layer's own files, `<root>/<n>/work` the overlay's scratch space.

Below every container lies `<root>/init/fs`: the mount points that the engine itself puts into a container, so that they never count as a
change of the container. Rows are written before the kernel or the disk is touched; removal drops the row first and the tree later.
"""

import asyncio
import contextlib
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

from scow import aio, log
from scow.archive.workers import Workers
from scow.errors import Conflict, Internal, NotFound, ScowError
from scow.kernel import mounts
from scow.metadata import Database
from scow.snapshots.snapshotter import Change, Committed

logger = log.get(__name__)

_PARAMETERS = Path("/sys/module/overlay/parameters")
_INIT_DIRS = ("dev", "dev/pts", "dev/shm", "proc", "sys", "etc")
_INIT_FILES = ("dev/console", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf")
_OFF = ("index", "metacopy", "redirect_dir")
_VOLATILE = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 10)


def options() -> list[str]:
    """Mount options that keep a layer's directory complete in itself, as far as this kernel knows them."""
    return [f"{name}=off" for name in _OFF if (_PARAMETERS / name).exists()]


def _row(number: int, layer: Committed) -> dict[str, Any]:
    return {
        "n": number,
        "kind": "committed",
        "parent": layer.parent,
        "diff_id": layer.diff_id,
        "size": layer.size,
        "tar_size": layer.tar_size,
        "blob": layer.blob,
        "compression": layer.compression,
    }


class Overlay:
    """The overlayfs snapshotter (see the Snapshotter protocol)."""

    def __init__(self, root: Path, db: Database, workers: Workers) -> None:
        self._root = root
        self._table = db.table("snapshots")
        self._db = db
        self._workers = workers
        self._tasks = aio.Supervisor("snapshots")
        self._doomed: list[Path] = []
        self._clearing: asyncio.Task[None] | None = None
        self._options = options()
        self._locks = aio.KeyedLock()
        self._places: dict[str, set[Path]] = {}  # where each active snapshot is mounted, as far as this daemon did it
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o710)
        taken = [int(entry.name.partition(".")[0]) for entry in root.iterdir() if entry.name.partition(".")[0].isdigit()]
        self._next = 1 + max([0, *taken, *(doc["n"] for doc in self._table.all().values())])
        self._make_init()

    def _make_init(self) -> None:
        top = self._root / "init" / "fs"
        for name in _INIT_DIRS:
            (top / name).mkdir(parents=True, exist_ok=True)
        for name in _INIT_FILES:
            file = top / name
            if not file.exists():
                file.touch()
                file.chmod(0o755)
        mtab = top / "etc" / "mtab"
        if not mtab.is_symlink():
            mtab.symlink_to("/proc/mounts")

    def _committed(self, name: str, doc: dict[str, Any]) -> Committed:
        return Committed(
            name,
            str(doc["parent"]),
            str(doc["diff_id"]),
            int(str(doc["size"])),
            int(str(doc["tar_size"])),
            str(doc["blob"]),
            str(doc["compression"]),
        )

    def layer(self, name: str) -> Committed | None:
        """See Snapshotter."""
        doc = self._table.get(name)
        return self._committed(name, doc) if doc is not None and doc["kind"] == "committed" else None

    def layers(self) -> list[Committed]:
        """See Snapshotter."""
        return [self._committed(name, doc) for name, doc in self._table.all().items() if doc["kind"] == "committed"]

    def parents(self) -> set[str]:
        """Layers that another snapshot stands on."""
        return {str(doc["parent"]) for doc in self._table.all().values()} - {""}

    def exists(self, key: str) -> bool:
        """See Snapshotter."""
        return key in self._table

    def path(self, key: str) -> Path:
        """The directory of a snapshot's own files. Raises NotFound."""
        doc = self._table.get(key)
        if doc is None:
            raise NotFound(f"snapshot {key} not found")
        return self._root / str(doc["n"]) / "fs"

    async def prepare(self, key: str, parent: str, unpack: bool = False) -> Path:
        """See Snapshotter."""
        below = self._table.get(parent) if parent else None
        if parent and (below is None or below["kind"] not in ("committed", "built")):
            raise NotFound(f"snapshot {parent} not found")
        number = self._next
        self._next += 1
        self._table.put(key, {"n": number, "kind": "unpack" if unpack else "active", "parent": parent})
        top = self._root / str(number)
        try:
            top.mkdir(mode=0o710)
            (top / "fs").mkdir(mode=0o755)
            os.chmod(top / "fs", 0o755)
            if not unpack:
                (top / "work").mkdir(mode=0o700)
                if parent:  # the owner of the root directory is the image's; its mode is 0755 in every container, as in Docker
                    lower = self.path(parent).stat()
                    os.chown(top / "fs", lower.st_uid, lower.st_gid)
        except OSError as error:
            self._table.delete(key)
            shutil.rmtree(top, ignore_errors=True)
            raise Internal(f"cannot make a snapshot: {(error.strerror or str(error)).lower()}") from error
        return top / "fs"

    async def commit(self, key: str, layer: Committed) -> None:
        """See Snapshotter."""
        doc = self._table.get(key)
        if doc is None:
            raise NotFound(f"snapshot {key} not found")
        with self._db.update():
            self._table.delete(key)
            self._table.put(layer.name, _row(int(doc["n"]), layer))

    async def seal(self, key: str, name: str) -> None:
        """Make an active snapshot that nobody writes to any more the tree `name` of the build cache; it is no layer yet."""
        doc = self._table.get(key)
        if doc is None:
            raise NotFound(f"snapshot {key} not found")
        with self._db.update():
            self._table.delete(key)
            self._table.put(name, {"n": doc["n"], "kind": "built", "parent": doc["parent"]})
        self._clear_soon(self._root / str(doc["n"]) / "work")

    def adopt(self, name: str, layer: Committed) -> None:
        """The tree `name` of the build cache becomes the committed layer `layer.name`; what stands on it follows."""
        doc = self._table.get(name)
        if doc is None:
            raise NotFound(f"snapshot {name} not found")
        with self._db.update():
            self._table.delete(name)
            self._table.put(layer.name, _row(int(doc["n"]), layer))
            for key, other in self._table.all().items():
                if other["parent"] == name:
                    self._table.put(key, {**other, "parent": layer.name})

    def built(self) -> list[str]:
        """The trees of the build cache that are no layers."""
        return [name for name, doc in self._table.all().items() if doc["kind"] == "built"]

    def parent(self, name: str) -> str:
        """What a snapshot stands on, "" for nothing. Raises NotFound."""
        doc = self._table.get(name)
        if doc is None:
            raise NotFound(f"snapshot {name} not found")
        return str(doc["parent"])

    def replace_blob(self, names: list[str], blob: str, compression: str) -> None:
        """These layers' bytes are in another blob now."""
        with self._db.update():
            for name in names:
                doc = self._table.get(name)
                if doc is not None and doc["kind"] == "committed":
                    self._table.put(name, {**doc, "blob": blob, "compression": compression})

    async def remove(self, key: str) -> None:
        """See Snapshotter."""
        doc = self._table.get(key)
        if doc is None:
            return
        if doc["kind"] in ("committed", "built") and any(other["parent"] == key for other in self._table.all().values()):
            raise Conflict(f"snapshot {key} has dependents")
        tree = self._root / str(doc["n"])
        try:
            self._table.delete(key)
        except ScowError:
            if doc["kind"] in ("committed", "built"):
                raise
            await self._clear([tree])  # the disk is full: this may be what fills it
            self._table.delete(key)
            return
        self._clear_soon(tree)

    def _clear_soon(self, tree: Path) -> None:
        """Behind the caller, trees that come meanwhile together: a helper's start for each would cost more than the trees do."""
        self._doomed.append(tree)
        if self._clearing is None or self._clearing.done():
            self._clearing = self._tasks.start(self._clear_doomed(), "remove")

    async def _clear_doomed(self) -> None:
        while self._doomed:
            trees, self._doomed = self._doomed, []
            try:
                await self._clear(trees)
            except ScowError as error:
                logger.error("directories of removed snapshots are left, the next start removes them: %s", error.message)

    async def _clear(self, trees: list[Path], mounted: bool = False) -> None:
        for tree in trees if mounted else ():
            await aio.in_pool(self._unmount_below, tree)
        await self._workers.run({"job": "remove", "paths": [str(tree) for tree in trees]})

    @staticmethod
    def _unmount_below(tree: Path) -> None:
        for target in mounts.below(tree):
            mounts.unmount_any(target)

    def trees(self, key: str) -> list[Path]:
        """See Snapshotter."""
        found = [self.path(key)]
        doc = self._table.get(key)
        while doc is not None and doc["parent"]:
            parent = str(doc["parent"])
            found.append(self.path(parent))
            doc = self._table.get(parent)
        return found

    def stack(self, key: str) -> list[Committed]:
        """The committed layers below a snapshot, the top one first."""
        found: list[Committed] = []
        doc = self._table.get(key)
        while doc is not None and doc["parent"]:
            name = str(doc["parent"])
            doc = self._table.get(name)
            if doc is not None:
                found.append(self._committed(name, doc))
        return found

    def _lowers(self, key: str, init: bool = True) -> list[str]:
        return [*(str(tree.relative_to(self._root)) for tree in self.trees(key)[1:]), *(["init/fs"] if init else [])]

    async def mount(self, key: str, target: Path, volatile: bool = False, init: bool = True) -> None:
        """See Snapshotter. `volatile`: once only, and its end waits for no disk (a step of a build). `init`: with the engine's mount
        points."""
        upper = str(self.path(key).relative_to(self._root))
        lowers = self._lowers(key, init)
        async with self._locks(key):
            others = self._places.get(key, set()) - {target}
            extra = ["volatile"] if volatile and _VOLATILE else []
            await aio.in_pool(self._mount, lowers, upper, upper.removesuffix("fs") + "work", target, others, extra)
            self._places.setdefault(key, set()).add(target)

    def _mount(self, lowers: list[str], upper: str, work: str, target: Path, places: set[Path], extra: list[str]) -> None:
        target.mkdir(parents=True, exist_ok=True)
        if os.path.ismount(target):
            return
        # two overlays of one upper directory would each see half of what is written: a second place gets the same mount
        for place in places:
            with contextlib.suppress(OSError):
                if os.path.ismount(place):
                    mounts.bind(place, target)
                    return
        try:
            mounts.overlay(self._root, lowers, upper, work, target, self._options + extra)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ESTALE, errno.EIO):
                raise Internal(f"cannot mount the container's root: {(error.strerror or str(error)).lower()}") from error
            # scratch space of another kernel or of other options: it holds nothing, so make it anew
            shutil.rmtree(self._root / work, ignore_errors=True)
            (self._root / work).mkdir(mode=0o700, exist_ok=True)
            try:
                mounts.overlay(self._root, lowers, upper, work, target, self._options)
            except OSError as again:
                raise Internal(f"cannot mount the container's root: {(again.strerror or str(again)).lower()}") from again

    async def mount_layers(self, name: str, target: Path) -> None:
        """See Snapshotter."""
        trees = self.trees(name)
        await aio.in_pool(self._mount_layers, trees, target)

    def _mount_layers(self, trees: list[Path], target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        if os.path.ismount(target):
            return
        try:
            if len(trees) == 1:  # an overlay without an upper directory wants two
                mounts.bind(trees[0], target, read_only=True)
            else:
                mounts.overlay(self._root, [str(tree.relative_to(self._root)) for tree in trees], None, None, target, self._options)
        except OSError as error:
            raise Internal(f"cannot mount the image: {(error.strerror or str(error)).lower()}") from error

    async def unmount(self, target: Path) -> None:
        """See Snapshotter."""
        key = next((key for key, places in self._places.items() if target in places), "")
        try:
            async with self._locks(key or str(target)):
                await aio.in_pool(mounts.unmount_any, target)
                places = self._places.get(key, set())
                places.discard(target)
                if not places:
                    self._places.pop(key, None)
        except OSError as error:
            raise Internal(f"cannot unmount {target}: {(error.strerror or str(error)).lower()}") from error

    async def usage(self, key: str) -> int:
        """See Snapshotter."""
        report = await self._workers.run({"job": "usage", "paths": [str(self.path(key))]})
        return int(report["usage"][0])

    async def changes(self, key: str) -> list[Change]:
        """See Snapshotter."""
        lowers = [str(self._root / lower) for lower in self._lowers(key)]
        report = await self._workers.run({"job": "changes", "upper": str(self.path(key)), "lowers": lowers})
        return [Change(path, kind) for kind, path in report["changes"]]

    def pack(self, key: str) -> dict[str, Any]:
        """See Snapshotter."""
        return {"job": "pack", "root": str(self.path(key)), "path": ".", "rebase": "", "layer": True, "hash": True}

    async def recover(self, keep: set[str]) -> None:
        """See Snapshotter."""
        with self._db.update():
            for key, doc in self._table.all().items():
                if doc["kind"] == "unpack" or (doc["kind"] == "active" and key not in keep):
                    self._table.delete(key)
        known = {"init", *(str(doc["n"]) for doc in self._table.all().values())}
        left = [entry for entry in self._root.iterdir() if entry.name not in known]
        if left:
            logger.info("removing %d left-over snapshot directories", len(left))
            self._tasks.start(self._clear(left, mounted=True), "recover")
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Let removals finish, for a few seconds; the next start does what is left."""
        await self._tasks.drain(5)
        await self._tasks.close()
