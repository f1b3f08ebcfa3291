"""Files of a container from outside: describe, copy out, copy in (`docker cp`), export, changes.

The work is done by archive helpers: below the container's own mounts while it runs, else on a mount made for the purpose with its volumes
in place. No program of the container's is ever run, and no name is resolved outside its root.
"""

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import ids, log
from scow.aio import Unwind, in_pool
from scow.archive import workers
from scow.archive.workers import Root, Workers
from scow.containers.container import Container
from scow.errors import Forbidden, InvalidArgument, NotFound
from scow.kernel import mounts
from scow.runtime.users import resolve_user
from scow.units import rfc3339nano

if TYPE_CHECKING:
    from scow.containers.parts import Parts

logger = log.get(__name__)

_MAX_PATH = 4096
_KINDS = {"C": 0, "A": 1, "D": 2}
# made by the engine in every container, and so no change of the user's
_OWN_FILES = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv", "/dev/console"})
_OWN_TREES = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class PutOptions:
    """`no_overwrite`: a directory never replaces something else, nor the other way round; `copy_owner`: the container's user owns all."""

    no_overwrite: bool = False
    copy_owner: bool = False


def clean_path(path: str) -> str:
    """An absolute path from what a client sent; a trailing `/` or `/.` stays. Raises InvalidArgument."""
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    if "\0" in path or len(path) > _MAX_PATH:
        raise InvalidArgument("invalid path")
    return "/" + path.lstrip("/")


def base_name(path: str) -> str:
    """The name of the top entry of an archive of `path`: `.` for `/dir/.`, `/` for the root."""
    if path.endswith("/.") or path == ".":
        return "." if path.strip("/.") else "/"
    return os.path.basename(path.rstrip("/")) or "/"


def visible_changes(found: Iterable[tuple[str, str]], mounted: Iterable[str]) -> list[dict[str, Any]]:
    """Docker's reply to `changes` from ("A" | "C" | "D", path): without what the engine itself made, and what is below mounts."""
    below = [place.rstrip("/") + "/" for place in mounted]
    kept: list[tuple[str, str]] = []
    hidden: list[str] = []
    for kind, path in found:
        own = path in _OWN_FILES or any(path == tree or path.startswith(tree + "/") for tree in _OWN_TREES)
        if own or any(path.startswith(place) for place in below):
            hidden.append(path)
        else:
            kept.append((kind, path))
    ours = {parent for path in hidden for parent in _parents(path)}
    theirs = {parent for _, path in kept for parent in _parents(path)}
    kept = [(kind, path) for kind, path in kept if kind != "C" or path not in ours or path in theirs]
    return [{"Kind": _KINDS[kind], "Path": path} for kind, path in sorted(kept, key=lambda item: item[1])]


def _parents(path: str) -> list[str]:
    """The directories above a path, the root left out."""
    out = []
    while path := path.rpartition("/")[0]:
        out.append(path)
    return out


class TarStream:
    """A packed stream, iterated once. Whoever has it must call `aclose`, read or not: that ends the helper and takes the mounts away."""

    def __init__(self, first: bytes, chunks: AsyncGenerator[bytes, None], stack: contextlib.AsyncExitStack) -> None:
        self._first = first
        self._chunks = chunks
        self._stack = stack

    @classmethod
    async def begin(cls, chunks: AsyncGenerator[bytes, None], stack: contextlib.AsyncExitStack) -> "TarStream":
        """Read the first piece; what is wrong with the path is raised here, with everything tidied up."""
        try:
            return cls(await anext(chunks, b""), chunks, stack)
        except BaseException:
            await chunks.aclose()
            await stack.aclose()
            raise

    def __aiter__(self) -> "TarStream":
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await anext(self._chunks)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End it, wherever it is; more than once is fine."""
        await self._chunks.aclose()
        await self._stack.aclose()


class ArchiveService:
    """Reads and writes the files of containers."""

    def __init__(self, parts: "Parts", helpers: Workers, views: Path) -> None:
        """`views` is a directory below run where stopped containers are mounted for the time of a copy."""
        self._parts = parts
        self._workers = helpers
        self._views = views

    # --- which tree

    @contextlib.asynccontextmanager
    async def _tree(self, container: Container, volumes: bool = True) -> AsyncIterator[Root]:
        """The container's files: as its processes see them, or (not running) its layers with the volumes in place."""
        if container.state.alive:
            yield Root(container.rootfs, pid=container.state.pid) if volumes else Root(container.rootfs)
            return
        name = ids.new_id()
        target = self._views / name
        undo = Unwind()
        try:
            await in_pool(lambda: target.mkdir(mode=0o700, parents=True))
            undo.push(in_pool, _remove_dir, target)
            await self._parts.images.mount_rootfs(container.id, target)
            undo.push(self._parts.images.unmount_rootfs, container.id, target)
            binds = await self._binds(container, name, undo) if volumes else ()
            yield Root(target, binds=binds, read_only=volumes and container.host.readonly_rootfs)
        finally:
            await undo.undo()

    async def _binds(self, container: Container, user: str, undo: Unwind) -> tuple[tuple[str, str, bool], ...]:
        binds: list[tuple[str, str, bool]] = []
        for mount in container.mounts:
            if mount.type == "volume" and mount.name:
                source = await self._parts.volumes.mount(mount.name, user, mount.destination, mount.rw)
                undo.push(self._parts.volumes.unmount, mount.name, user)
            elif mount.type == "bind":
                source = Path(mount.source)
            else:
                continue
            if mount.subpath:
                inside = await in_pool(_inside, source, mount.subpath)
                if inside is None:
                    continue
                source = inside
            if source.exists():
                binds.append((str(source), mount.destination, not mount.rw))
        return tuple(binds)

    # --- cp

    async def stat(self, container: Container, path: str) -> dict[str, Any]:
        """What X-Docker-Container-Path-Stat says. Raises NotFound, InvalidArgument."""
        path = clean_path(path)
        async with self._tree(container) as root:
            return await self._stat(container, root, path)

    async def _stat(self, container: Container, root: Root, path: str) -> dict[str, Any]:
        try:
            found = await self._workers.stat(root, path)
        except workers.PathNotFound:
            raise self._missing(container, path) from None
        return {**found, "name": base_name(path), "mtime": rfc3339nano(found["mtime"])}

    @staticmethod
    def _missing(container: Container, path: str) -> NotFound:
        return NotFound(f"Could not find the file {path} in container {container.name}")

    async def get(self, container: Container, path: str) -> tuple[dict[str, Any], "TarStream"]:
        """(path stat, tar stream). Raises NotFound, InvalidArgument before the first byte; close the iterator to break off."""
        path = clean_path(path)
        stack = contextlib.AsyncExitStack()
        try:
            root = await stack.enter_async_context(self._tree(container))
            found = await self._stat(container, root, path)
            container.announce("archive-path", {"path": path})
        except BaseException:
            await stack.aclose()
            raise
        plain = path.rstrip("/") or "/"
        if plain.endswith("/."):
            source = plain
        else:
            source = path if path.endswith("/") else plain
        chunks = self._workers.pack(root, source, rebase=base_name(path))
        return found, await TarStream.begin(chunks, stack)

    async def put(self, container: Container, path: str, body: AsyncIterable[bytes], options: PutOptions = PutOptions()) -> None:
        """Unpack a tar stream (plain or compressed) into the directory `path`.

        Raises NotFound, Forbidden (read-only), InvalidArgument (no directory, bad archive); a body that breaks off raises its own error.
        """
        path = clean_path(path)
        async with self._tree(container) as root:
            try:
                await self._workers.stat(root, path.rstrip("/") + "/.")
            except workers.PathNotFound:
                raise self._missing(container, path) from None
            except workers.NotADirectory:
                raise InvalidArgument("extraction point is not a directory") from None
            owner = None
            if options.copy_owner and container.config.user:
                rootfs = container.rootfs if container.state.alive else Path(root.path)
                user = await in_pool(resolve_user, rootfs, container.config.user, ())
                owner = (user.uid, user.gid)
            try:
                await self._workers.unpack(root, body, path=path, strict_kind=options.no_overwrite, owner=owner)
            except workers.ReadOnly:
                raise Forbidden(self._read_only(container, path)) from None
        container.announce("extract-to-dir", {"path": path})

    @staticmethod
    def _read_only(container: Container, path: str) -> str:
        inside = [m for m in container.mounts if (path.rstrip("/") + "/").startswith(m.destination.rstrip("/") + "/")]
        if inside and not max(inside, key=lambda m: len(m.destination)).rw:
            return "mounted volume is marked read-only"
        return "container rootfs is marked read-only"

    # --- the whole tree

    async def export(self, container: Container) -> "TarStream":
        """The root file system as a tar stream, without volumes. Errors before the first byte are raised here."""
        stack = contextlib.AsyncExitStack()
        try:
            root = await stack.enter_async_context(self._tree(container, volumes=False))
        except BaseException:
            await stack.aclose()
            raise
        container.announce("export")
        chunks = self._workers.pack(root, "/", rebase="")
        return await TarStream.begin(chunks, stack)

    async def changes(self, container: Container) -> list[dict[str, Any]]:
        """Docker's `changes`: Kind 0 changed, 1 added, 2 deleted, sorted by path."""
        found = await self._parts.images.rootfs_changes(container.id)
        pairs = [(one.kind, one.path) for one in found]
        return visible_changes(pairs, [*(mount.destination for mount in container.mounts), *container.host.tmpfs])


def clear_views(views: Path) -> None:
    """At boot: what copies of a daemon that was killed had mounted."""
    for view in views.iterdir():
        try:
            mounts.unmount_any(view)
            _remove_dir(view)
        except OSError as error:
            logger.warning("%s is left of a copy: %s", view, error.strerror)


def _remove_dir(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.rmdir()  # never a tree: what is still mounted there stays whole


def _inside(root: Path, subpath: str) -> Path | None:
    """A place below a volume; None when it doesn't exist. Links that lead out are followed within the volume."""
    from scow.kernel.paths import resolve_in_root

    try:
        return root / resolve_in_root(root, subpath).lstrip("/")
    except OSError:
        return None
