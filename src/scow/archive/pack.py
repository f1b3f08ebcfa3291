"""Write a tree as a tar stream, describe a path, compare a layer with what lies below. The root of this process is the tree's own.

A tree that changes meanwhile is packed as it is found: a file that vanished is left out, one that shrank is filled with zeros. FIFOs and
devices are described, never opened; sockets are left out, and so is what lies deeper than a path can say (4 KB), as in Docker.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from scow.archive import tar
from scow.archive.tar import Entry
from scow.archive.unpack import remove_tree
from scow.kernel import xattr

__all__ = ["Packer", "changes", "go_mode", "remove_tree", "stat_path", "usage"]

_BUFFER = 1 << 20
_SMALL = 64 << 10
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})  # vanished meanwhile, or deeper than a path can say
_KINDS = {
    stat.S_IFREG: tar.FILE,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHAR,
    stat.S_IFBLK: tar.BLOCKDEV,
    stat.S_IFIFO: tar.FIFO,
}


class _Vanishing:
    """Passes over what is not there any more."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, OSError) and error.errno in _GONE


class Packer:
    """One run. `sink(bytes)` gets the stream in pieces of up to a megabyte; `layer`: overlay marks become whiteouts."""

    def __init__(self, sink: Callable[[bytes], None], layer: bool = False, latest_ns: int | None = None) -> None:
        """`latest_ns`: no time in the archive is later."""
        self._latest = latest_ns
        self._sink = sink
        self._layer = layer
        self._links: dict[tuple[int, int], bytes] = {}
        self._pending: list[bytes] = []
        self._held = 0

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._held += len(data)
        if self._held >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._sink(b"".join(self._pending))
            self._pending.clear()
            self._held = 0

    def add(self, path: bytes, name: bytes) -> None:
        """Add `path` (relative to the working directory) as `name`, and what is below it. Raises OSError for the first path alone."""
        self._one(path, name, os.lstat(path))

    def children(self, path: bytes, prefix: bytes) -> None:
        """Add what is in the directory `path`, names below `prefix` ("" or ending in "/")."""
        stack: list[Iterator[tuple[bytes, bytes, os.stat_result]]] = [self._list(path, prefix)]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                continue
            child, name, info = found
            try:
                if self._one(child, name, info, False):
                    stack.append(self._list(child, name + b"/"))
            except OSError as error:
                if error.errno not in _GONE:
                    raise

    def _list(self, path: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return
        for entry in entries:
            with _Vanishing():
                yield entry.path, prefix + entry.name, entry.stat(follow_symlinks=False)

    def end(self) -> None:
        """Write the end of the archive."""
        self._put(tar.END)
        self._flush()

    def _one(self, path: bytes, name: bytes, info: os.stat_result, deep: bool = True) -> bool:
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is None:
            return False
        mtime = info.st_mtime_ns if self._latest is None else min(info.st_mtime_ns, self._latest)
        if self._layer and kind == tar.CHAR and info.st_rdev == 0:
            parent, slash, base = name.rpartition(b"/")
            self._put(tar.header(Entry(parent + slash + b".wh." + base, mode=0o600, mtime_ns=mtime)))
            return False
        entry = Entry(name, kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, 0, mtime)
        if kind == tar.FILE:
            if info.st_nlink > 1:
                first = self._links.setdefault((info.st_dev, info.st_ino), name)
                if first is not name:
                    entry.type, entry.link = tar.HARDLINK, first
                    self._put(tar.header(entry))
                    return False
            self._file(path, entry)
            return False
        if kind == tar.DIRECTORY:
            entry.name = name + b"/"
            self._xattrs(path, entry)
            self._put(tar.header(entry))
            if self._layer and xattr.is_opaque(path):
                self._put(tar.header(Entry(name + b"/.wh..wh..opq", mode=0o600, mtime_ns=mtime)))
            if deep:
                self.children(path, name + b"/")
            return True
        if kind == tar.SYMLINK:
            entry.link = os.readlink(path)
            entry.mode = 0o777
        elif kind in (tar.CHAR, tar.BLOCKDEV):
            entry.major, entry.minor = os.major(info.st_rdev), os.minor(info.st_rdev)
        self._put(tar.header(entry))
        return False

    @staticmethod
    def _xattrs(where: bytes | int, entry: Entry) -> None:
        try:
            names = os.listxattr(where) if isinstance(where, int) else os.listxattr(where, follow_symlinks=False)
            for name in names:
                if xattr.archived(name):
                    entry.xattrs[os.fsencode(name)] = os.getxattr(where, name)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENODATA):
                raise

    def _file(self, path: bytes, entry: Entry) -> None:
        try:
            fd = os.open(path, _READ)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO) or (error.errno == errno.EACCES and not stat.S_ISREG(os.lstat(path).st_mode)):
                return  # replaced by something else meanwhile
            raise
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                return
            entry.size = size = info.st_size
            self._xattrs(fd, entry)
            self._put(tar.header(entry))
            if size <= _SMALL:
                data = os.read(fd, size) if size else b""
                self._put(data + bytes(size - len(data)) + tar.padding(size))
                return
            self._flush()
            left = size
            while left:
                data = os.read(fd, min(left, _BUFFER))
                if not data:
                    break
                self._sink(data)
                left -= len(data)
            while left:
                gap = min(left, _BUFFER)
                self._sink(bytes(gap))
                left -= gap
            self._put(tar.padding(size))
        finally:
            os.close(fd)


_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def go_mode(mode: int) -> int:
    """Go's FileMode bits of a Unix mode, as `docker cp` reads them."""
    return mode & 0o777 | _GO_KINDS.get(stat.S_IFMT(mode), 0) | sum(bit for unix, bit in _GO_BITS if mode & unix)


def stat_path(path: str) -> dict[str, object]:
    """What the archive API says of an absolute path: name, size, mode (Go's bits), mtime in ns, linkTarget. Raises OSError."""
    bare = path.rstrip("/")
    follow = path.endswith(("/", "/.")) or not bare
    info = os.stat(path or "/") if follow else os.lstat(path)
    target = ""
    if stat.S_ISLNK(info.st_mode):
        target = os.path.realpath(path)
    if bare.endswith("/."):
        bare = bare[:-2].rstrip("/")
    name = os.path.basename(bare) or "/"
    return {"name": name, "size": info.st_size, "mode": go_mode(info.st_mode), "mtime": info.st_mtime_ns, "linkTarget": target}


def blocks(path: bytes, levels: int) -> dict[str, int]:
    """Bytes on disk below `path` on its file system, as `du -x` counts: "" for all, and by name down to so many levels."""
    found: dict[str, int] = {"": 0}
    seen: set[tuple[int, int]] = set()
    device = os.lstat(path).st_dev
    stack: list[tuple[bytes, list[str]]] = [(path, [""])]
    while stack:
        at, names = stack.pop()
        with _Vanishing():
            info = os.lstat(at)
            if info.st_dev != device or (info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode) and (info.st_dev, info.st_ino) in seen):
                continue
            seen.add((info.st_dev, info.st_ino)) if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode) else None
            for name in names:
                found[name] = found.get(name, 0) + info.st_blocks * 512
            if not stat.S_ISDIR(info.st_mode):
                continue
            for child in os.listdir(at):
                top = names[-1] + "/" + os.fsdecode(child) if names[-1] else os.fsdecode(child)
                stack.append((at + b"/" + child, [*names, top] if len(names) <= levels else names))
    return found


def usage(path: bytes) -> int:
    """Bytes of the files below `path`; each hard-linked file counts once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    stack = [path]
    while stack:
        try:
            with os.scandir(stack.pop()) as found:
                for child in found:
                    with _Vanishing():
                        info = child.stat(follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            stack.append(child.path)
                        elif stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
                            if info.st_nlink > 1:
                                key = (info.st_dev, info.st_ino)
                                if key in seen:
                                    continue
                                seen.add(key)
                            total += info.st_size
        except OSError as error:
            if error.errno not in _GONE:
                raise
    return total


def _below(lowers: list[bytes], rel: bytes) -> os.stat_result | None:
    """What the stack of layers shows at `rel`, or None."""
    parts = rel.split(b"/")
    for lower in lowers:
        at = lower
        hidden = False
        for index, part in enumerate(parts):
            at = at + b"/" + part
            try:
                info = os.lstat(at)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                break
            if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
                return None
            if index == len(parts) - 1:
                return info
            if not stat.S_ISDIR(info.st_mode):
                return None
            hidden = hidden or xattr.is_opaque(at)
        if hidden:
            return None
    return None


def _names(lowers: list[bytes], rel: bytes) -> set[bytes]:
    found: set[bytes] = set()
    for lower in lowers:
        with contextlib.suppress(OSError):
            found.update(os.listdir(lower + b"/" + rel))
    return {name for name in found if _below(lowers, rel + b"/" + name) is not None}


def changes(upper: bytes, lowers: list[bytes]) -> list[tuple[str, str]]:
    """What a container changed: ("A" | "C" | "D", path), sorted by path; directories above a change are "C" too."""
    kinds: dict[bytes, str] = {}
    stack = [b""]
    while stack:
        rel = stack.pop()
        with _Vanishing(), os.scandir(upper + b"/" + rel) as found:
            for child in found:
                path = rel + b"/" + child.name if rel else child.name
                info = child.stat(follow_symlinks=False)
                old = _below(lowers, path)
                if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
                    if old is not None:
                        kinds[path] = "D"
                    continue
                is_dir = stat.S_ISDIR(info.st_mode)
                if old is None:
                    kinds[path] = "A"
                elif not (is_dir and stat.S_ISDIR(old.st_mode)):
                    kinds[path] = "C"
                else:
                    if (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns) != (old.st_mode, old.st_uid, old.st_gid, old.st_mtime_ns):
                        kinds[path] = "C"
                    if xattr.is_opaque(child.path):
                        present = set(os.listdir(child.path))
                        kinds.update((path + b"/" + name, "D") for name in _names(lowers, path) - present)
                if is_dir:
                    stack.append(path)
    for path in list(kinds):
        parent = path.rpartition(b"/")[0]
        while parent and parent not in kinds:
            kinds[parent] = "C"
            parent = parent.rpartition(b"/")[0]
    return [(kind, "/" + os.fsdecode(path)) for path, kind in sorted(kinds.items())]
