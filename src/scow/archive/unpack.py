"""Unpack a tar stream below the root of this process, which is the tree's own (the worker has called chroot).

Nothing can leave the root: it is "/" here. Names with `..` are refused, absolute ones taken from the root, members replace what is in
their place and never write through it (files are made with O_EXCL). As a layer, whiteouts become the overlay's own marks.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from scow.archive import tar
from scow.archive.streams import Source, write_all
from scow.archive.tar import Entry, Malformed
from scow.kernel import xattr

_MAX_ENTRIES = 20_000_000
_IMPLICIT_MAX = 50_000
_TIME_END = 1 << 63
_WH = b".wh."
_OPAQUE = b".wh..wh..opq"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Options:
    """How to unpack.

    layer: whiteouts mean something; base: nothing lies below, so they mean nothing again; strict_kind: a directory never replaces
    anything else, nor the other way round; owner: of everything, instead of what the archive says.
    """

    layer: bool = False
    base: bool = False
    strict_kind: bool = False
    owner: tuple[int, int] | None = None


@dataclass(slots=True)
class Report:
    """What was unpacked: members, and the bytes of their files."""

    members: int = 0
    content: int = 0
    implicit: list[bytes] = field(default_factory=list)  # directories made that the archive does not list, at most _IMPLICIT_MAX
    marks: int = 0  # whiteouts and the like that mean something above another layer


def clean(name: bytes) -> bytes:
    """A member's path below the root, b"" for the root itself. Raises Malformed for one that leads out."""
    if name.startswith(b"./") or b"//" in name or b"/." in name or name[:1] in (b"/", b".") or name.endswith(b"/"):
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        depth = 0
        for part in parts:
            depth += -1 if part == b".." else 1
            if depth < 0:
                raise Malformed(f"the archive holds a name that leads out of its root: {os.fsdecode(name)[:200]!r}")
        while b".." in parts:
            at = parts.index(b"..")
            del parts[at - 1 : at + 1]
        return b"/".join(parts)
    return name


_DEPTH = 100


def remove_tree(path: bytes) -> None:
    """Remove whatever is at `path`, links never followed; absent is fine. A deep tree takes neither descriptors nor long paths."""
    try:
        os.unlink(path)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
    top = os.open(path, _DIRECTORY)
    try:
        _empty(top, top, 0)
        while left := [name for name in os.listdir(top) if name.startswith(".scow-deep-")]:
            for name in left:
                _remove_at(top, os.fsencode(name), top, 0)
    finally:
        os.close(top)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def _remove_at(parent: int, name: bytes, top: int, depth: int) -> None:
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        _empty(fd, top, depth)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)


def _empty(fd: int, top: int, depth: int) -> None:
    """Empty a directory; what lies too deep is moved up to `top`, to be removed from there."""
    with os.scandir(fd) as found:
        children = [(os.fsencode(child.name), child.is_dir(follow_symlinks=False), child.inode()) for child in found]
    for name, is_dir, inode in children:
        with contextlib.suppress(FileNotFoundError):
            if not is_dir:
                os.unlink(name, dir_fd=fd)
            elif depth < _DEPTH:
                if fd == top and name.startswith(b".scow-deep-"):
                    continue
                _remove_at(fd, name, top, depth + 1)
            else:
                os.rename(name, b".scow-deep-%d" % inode, src_dir_fd=fd, dst_dir_fd=top)


class Unpacker:
    """One run over one stream; relative names start at the working directory."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source = source
        self._options = options
        self._dirs: dict[bytes, int] = {}  # times of directories, set at the end
        self._made: dict[bytes, set[bytes]] = {}
        self._implicit: dict[bytes, None] = {}
        self._plain = options.layer  # the tree is new, and ours
        self.report = Report()

    def run(self) -> Report:
        """Unpack everything. Raises Malformed, OSError."""
        take = self._source.take
        while (entry := tar.read_entry(take, sparse=True)) is not None:
            self.report.members += 1
            if not 0 <= entry.mtime_ns < _TIME_END:
                entry.mtime_ns = 0  # as Docker does
            if self.report.members > _MAX_ENTRIES:
                raise Malformed("the archive has too many members")
            self._one(entry)
        self._source.drain()
        self.report.implicit = list(self._implicit)
        for path, mtime in reversed(self._dirs.items()):
            with contextlib.suppress(OSError):
                os.utime(path or b".", ns=(mtime, mtime), follow_symlinks=False)
        return self.report

    def _one(self, e: Entry) -> None:
        padded = -(-e.size // tar.BLOCK) * tar.BLOCK
        path = clean(e.name)
        if e.type not in (tar.FILE, tar.DIRECTORY) and not path:
            raise Malformed("the archive replaces its own root")
        if self._options.layer:
            parent, _, base = path.rpartition(b"/")
            if base.startswith(_WH):
                self._whiteout(parent, base)
                self._source.skip(padded)
                return
            made = self._made.get(parent)
            if made is None:
                made = self._made[parent] = set()
            made.add(base)
        try:
            if e.type == tar.FILE:
                self._file(e, path)
                return
            self._make(e, path)
        except FileNotFoundError:
            try:
                self._parents(path)
                self._make(e, path)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise self._unmakable(path, error) from None
        except NotADirectoryError as error:
            raise self._unmakable(path, error) from None
        if padded and e.type != tar.FILE:
            self._source.skip(padded)

    @staticmethod
    def _unmakable(path: bytes, error: OSError) -> Malformed:
        return Malformed(f"cannot unpack {os.fsdecode(path)[:200]!r}: {(error.strerror or str(error)).lower()}")

    def _make(self, e: Entry, path: bytes) -> None:
        match e.type:
            case tar.FILE:
                self._file(e, path)
                return
            case tar.DIRECTORY:
                self._directory(e, path)
                return
            case tar.SYMLINK:
                self._replacing(path, lambda: os.symlink(e.link, path))
            case tar.HARDLINK:
                target = clean(e.link)
                if target == path:
                    raise Malformed(f"the archive holds a hard link to itself: {os.fsdecode(path)[:200]!r}")
                found = os.lstat(target)
                self._replacing(path, lambda: os.link(target, path, follow_symlinks=False))
                self._same(e, path, found)
                return
            case tar.FIFO:
                self._replacing(path, lambda: os.mkfifo(path, 0o600))
            case tar.CHAR | tar.BLOCKDEV:
                if not (0 <= e.major < 1 << 12 and 0 <= e.minor < 1 << 20):
                    raise Malformed("the archive holds a device number out of range")
                kind = stat.S_IFCHR if e.type == tar.CHAR else stat.S_IFBLK
                self._replacing(path, lambda: os.mknod(path, 0o600 | kind, os.makedev(e.major, e.minor)))
            case b"g":
                return
            case _:
                raise Malformed(f"the archive holds a member of unknown type {e.type!r}")
        uid, gid = self._options.owner or (e.uid, e.gid)
        os.chown(path, uid, gid, follow_symlinks=False)
        if e.type != tar.SYMLINK:
            os.chmod(path, e.mode & 0o7777)
        self._attributes(path, e)
        os.utime(path, ns=(e.mtime_ns, e.mtime_ns), follow_symlinks=False)

    def _same(self, e: Entry, path: bytes, found: os.stat_result) -> None:
        """A hard link's own owner, mode and time count, as in Docker; where they are those of the file, nothing is touched."""
        uid, gid = self._options.owner or (e.uid, e.gid)
        if (uid, gid) != (found.st_uid, found.st_gid):
            os.chown(path, uid, gid, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            if e.mode & 0o7777 != stat.S_IMODE(found.st_mode) or (uid, gid) != (found.st_uid, found.st_gid):
                os.chmod(path, e.mode & 0o7777)
            self._attributes(path, e)
            if e.mtime_ns != found.st_mtime_ns:
                os.utime(path, ns=(e.mtime_ns, e.mtime_ns), follow_symlinks=False)

    def _file(self, e: Entry, path: bytes) -> None:
        if not path:
            raise Malformed("the archive replaces its own root")
        uid, gid = self._options.owner or (e.uid, e.gid)
        ours = self._plain and uid == 0 and gid == 0  # a new file has this owner and mode already
        mode = e.mode & 0o777 if ours else 0o600
        try:
            fd = os.open(path, _CREATE, mode)
        except FileExistsError:
            self._clear(path, False)
            fd = os.open(path, _CREATE, mode)
        try:
            if e.pieces is not None:
                self._sparse(e, fd)
            elif e.size:
                self._source.write(e.size, -e.size % tar.BLOCK, fd)
                self.report.content += e.size
            if not ours:
                os.fchown(fd, uid, gid)
            if not ours or e.mode & 0o7000:
                os.fchmod(fd, e.mode & 0o7777)
            if e.xattrs:
                self._attributes(fd, e)
            os.utime(fd, ns=(e.mtime_ns, e.mtime_ns))
        finally:
            os.close(fd)

    def _sparse(self, e: Entry, fd: int) -> None:
        """Write the pieces of a sparse file; what lies between stays a hole."""
        for offset, size in e.pieces or ():
            os.lseek(fd, offset, os.SEEK_SET)
            self._source.copy(size, lambda piece: write_all(fd, piece))
        os.ftruncate(fd, e.length)
        self._source.pad(-e.size % tar.BLOCK)
        self.report.content += e.length

    def _directory(self, e: Entry, path: bytes) -> None:
        where = path or b"."
        self._implicit.pop(path, None)
        try:
            if path:
                os.mkdir(path, 0o755)
        except FileExistsError:
            if not stat.S_ISDIR((found := os.lstat(path)).st_mode):
                self._clear(path, True)
                os.mkdir(path, 0o755)
                if self._options.layer and stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                    xattr.set_opaque(path)  # it was removed and made anew
        uid, gid = self._options.owner or (e.uid, e.gid)
        os.chown(where, uid, gid, follow_symlinks=False)
        os.chmod(where, e.mode & 0o7777)
        self._attributes(where, e)
        if e.mode & stat.S_ISGID or e.xattrs:
            self._plain = False  # it gives what is made in it another group, or another mode
        self._dirs[path] = e.mtime_ns

    def _attributes(self, where: bytes | int, e: Entry) -> None:
        for key, value in e.xattrs.items():
            name = os.fsdecode(key)
            if not xattr.archived(name):
                continue
            try:
                if isinstance(where, int):
                    os.setxattr(where, name, value)
                else:
                    os.setxattr(where, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise

    def _replacing(self, path: bytes, make: Callable[[], None]) -> None:
        try:
            make()
        except FileExistsError:
            self._clear(path, False)
            make()

    def _clear(self, path: bytes, for_directory: bool) -> None:
        is_dir = stat.S_ISDIR(os.lstat(path).st_mode)
        if self._options.strict_kind and is_dir != for_directory:
            old, new = ("directory", "non-directory") if is_dir else ("non-directory", "directory")
            shown = os.fsdecode(path)
            raise Malformed(f'cannot overwrite {old} "{shown}" with {new} "{shown}"')
        remove_tree(path)
        if is_dir:
            for known in [d for d in self._dirs if d == path or d.startswith(path + b"/")]:
                del self._dirs[known]
            for known in [d for d in self._implicit if d == path or d.startswith(path + b"/")]:
                del self._implicit[known]

    def _parents(self, path: bytes) -> None:
        """Make the directories above `path` that are missing, 0755 root:root."""
        at = path.find(b"/")
        while at > 0:
            parent = path[:at]
            try:
                os.mkdir(parent, 0o755)
            except FileExistsError:
                pass
            else:
                if len(self._implicit) < _IMPLICIT_MAX:
                    self._implicit[parent] = None
                if self._options.layer:
                    above, _, base = parent.rpartition(b"/")
                    self._made.setdefault(above, set()).add(base)
            at = path.find(b"/", at + 1)

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        self.report.marks += 1
        if base == _OPAQUE:
            self._parents(parent + b"/x")
            where = parent or b"."
            if not self._options.base:
                xattr.set_opaque(where)
            return
        if base.startswith(b".wh..wh."):
            return  # aufs bookkeeping
        name = base[len(_WH) :]
        if name in (b"", b".", b".."):
            raise Malformed("the archive holds a whiteout of nothing")
        path = parent + b"/" + name if parent else name
        if name in self._made.get(parent, ()):
            return  # this layer brings the name itself: the mark is about the layers below
        if self._options.base:
            return
        self._parents(path)
        self._replacing(path, lambda: os.mknod(path, stat.S_IFCHR, 0))
