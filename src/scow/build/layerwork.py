"""Inside an archive worker: a layer laid over the tree that is the root here, or the layer that makes one tree of another.

Trees are walked by descriptors, no link is followed on either side.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any

from scow.archive.chroot import Root
from scow.archive.unpack import remove_tree
from scow.build.copyfiles import Refused, copy_attributes
from scow.build.copywork import Engine, Style
from scow.kernel import xattr

Job = dict[str, Any]
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH = 400
_AS_IT_IS = Style(None, None, None)


def _top(fd: int) -> int:
    return os.open(".", _DIR, dir_fd=fd)


def do_apply(job: Job, fds: list[int]) -> Job:
    """Lay the layer fds[0] over `root`; `marks` keeps its marks of deletion."""
    source = _top(fds[0])
    try:
        with Root(job):
            into = os.open("/", _DIR)
            try:
                _Layer(bool(job.get("marks"))).directory(source, into, "", 0)
            finally:
                os.close(into)
    except Refused as error:
        return {"refused": str(error)}
    finally:
        os.close(source)
    return {}


def _is_mark(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, xattr.OPAQUE) == b"y"
    except OSError:
        return False


def _meta(source: int, into: int) -> None:
    info = os.fstat(source)
    os.fchown(into, info.st_uid, info.st_gid)
    os.fchmod(into, stat.S_IMODE(info.st_mode))
    copy_attributes(source, into)
    os.utime(into, ns=(info.st_mtime_ns, info.st_mtime_ns))


class _Layer:
    def __init__(self, marks: bool) -> None:
        self._marks = marks
        self.engine = Engine([])

    def directory(self, source: int, into: int, shown: str, depth: int) -> None:
        if depth > _DEPTH:
            raise Refused(f"{shown[:200]}…: directories are nested deeper than {_DEPTH}")
        with os.scandir(source) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            name, path = entry.name, f"{shown}/{entry.name}"
            if _is_mark(info):
                self._gone(into, name, path)
            elif stat.S_ISDIR(info.st_mode):
                self._below(source, into, name, path, depth)
            else:
                _clear_directory(into, name, path)
                self.engine.entry(-1, source, info, into, name, path, _AS_IT_IS, True)
        _meta(source, into)

    def _gone(self, into: int, name: str, path: str) -> None:
        remove_tree(os.fsencode(path))
        if self._marks:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=into)

    def _below(self, source: int, into: int, name: str, path: str, depth: int) -> None:
        below = os.open(name, _DIR, dir_fd=source)
        try:
            opaque = _opaque(below)
            there = _stat(into, name)
            if there is not None and (opaque or not stat.S_ISDIR(there.st_mode)):
                remove_tree(os.fsencode(path))
                there = None
            if there is None:
                os.mkdir(name, 0o755, dir_fd=into)
            target = os.open(name, _DIR, dir_fd=into)
            try:
                if opaque and self._marks:
                    os.setxattr(target, xattr.OPAQUE, b"y")
                self.directory(below, target, path, depth + 1)
            finally:
                os.close(target)
        finally:
            os.close(below)


def _stat(parent: int, name: str) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    return None


def _clear_directory(into: int, name: str, path: str) -> None:
    there = _stat(into, name)
    if there is not None and stat.S_ISDIR(there.st_mode):
        remove_tree(os.fsencode(path))


def do_compare(job: Job, fds: list[int]) -> Job:
    """Make `root` the layer that turns the tree fds[0] into fds[1]."""
    lower, upper = _top(fds[0]), _top(fds[1])
    try:
        with Root(job):
            into = os.open("/", _DIR)
            try:
                _Compare().directory(lower, upper, into, "", 0)
            finally:
                os.close(into)
    except Refused as error:
        return {"refused": str(error)}
    finally:
        os.close(lower)
        os.close(upper)
    return {}


class _Compare:
    def __init__(self) -> None:
        self._layer = _Layer(True)

    def directory(self, lower: int, upper: int, into: int, shown: str, depth: int) -> bool:
        """Whether anything below differs."""
        if depth > _DEPTH:
            raise Refused(f"{shown[:200]}…: directories are nested deeper than {_DEPTH}")
        before, after = set(os.listdir(lower)), set(os.listdir(upper))
        changed = False
        for name in sorted(before - after):
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=into)
            changed = True
        for name in sorted(after):
            info = os.stat(name, dir_fd=upper, follow_symlinks=False)
            old = _stat(lower, name)
            path = f"{shown}/{name}"
            if stat.S_ISDIR(info.st_mode):
                changed |= self._both(lower, upper, into, name, path, old, info, depth)
            elif old is None or not _same(lower, upper, name, old, info):
                self._layer.engine.entry(-1, upper, info, into, name, path, _AS_IT_IS, True)
                changed = True
        if changed:
            _meta(upper, into)
        return changed

    def _both(
        self, lower: int, upper: int, into: int, name: str, path: str, old: os.stat_result | None, info: os.stat_result, depth: int
    ) -> bool:
        high = os.open(name, _DIR, dir_fd=upper)
        try:
            os.mkdir(name, 0o755, dir_fd=into)
            target = os.open(name, _DIR, dir_fd=into)
            try:
                if old is None or not stat.S_ISDIR(old.st_mode):
                    self._layer.directory(high, target, path, depth + 1)
                    return True
                low = os.open(name, _DIR, dir_fd=lower)
                try:
                    changed = self.directory(low, high, target, path, depth + 1)
                finally:
                    os.close(low)
                if not changed and (old.st_mode, old.st_uid, old.st_gid) != (info.st_mode, info.st_uid, info.st_gid):
                    _meta(high, target)
                    changed = True
            finally:
                os.close(target)
            if not changed:
                os.rmdir(name, dir_fd=into)
            return changed
        finally:
            os.close(high)


def _same(lower: int, upper: int, name: str, old: os.stat_result, new: os.stat_result) -> bool:
    facts = [(one.st_mode, one.st_uid, one.st_gid, one.st_size, one.st_mtime_ns, one.st_rdev) for one in (old, new)]
    if facts[0] != facts[1]:
        return False
    return not stat.S_ISLNK(new.st_mode) or os.readlink(name, dir_fd=lower) == os.readlink(name, dir_fd=upper)
