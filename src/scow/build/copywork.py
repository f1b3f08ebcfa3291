"""The copy engine at work: file actions on a tree, inside an archive worker whose root is that tree. `copying.py` is the door,
`copyjob.py` the job.

The tree that is written to is "/" here, so nothing leads out of it; the trees that are read are descriptors, looked into with openat2
(RESOLVE_IN_ROOT), their links never followed below the path that was asked for. Imports only what a worker may (no daemon code).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import Any

from scow.archive.streams import write_all
from scow.archive.unpack import Options, Unpacker, remove_tree
from scow.build import gomatch, treemode
from scow.build.copyfiles import Refused, bounded, clear, copy_attributes, expand, is_archive, open_source, reopen, replacing, transfer
from scow.opts.ignore import Ignore

Job = dict[str, Any]
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH = 400
_BOMB_FLOOR, _BOMB_RATIO = 1 << 30, 250


@dataclass(slots=True)
class Style:
    """What becomes of a copied entry: owner (None = as it was), mode, time (None = as it was)."""

    owner: tuple[int, int] | None
    mode: treemode.Change | None
    mtime_ns: int | None


@dataclass(slots=True)
class _Report:
    files: int = 0
    size: int = 0


def _clean(path: str) -> str:
    return os.path.normpath("/" + path).replace("//", "/")


class Engine:
    """Does actions. The root of the process is the tree that is written to."""

    def __init__(self, sources: list[int]) -> None:
        self.sources = sources
        self.owner: tuple[int, int] | None = None  # of the action that is done
        self.report = _Report()
        self._links: dict[tuple[int, int], str] = {}

    def do(self, action: Job) -> None:
        """One action. Raises Refused, OSError, Malformed."""
        match action["do"]:
            case "Copy":
                self._copy(action)
            case "Mkfile":
                self._mkfile(action)
            case "Mkdir":
                self._mkdir(action)
            case "Rm":
                self._rm(action)
            case "Symlink":
                self._symlink(action)
            case other:
                raise Refused(f"unknown file action {other}")

    # ---- copy --------------------------------------------------------------------------------------------------------------------

    def _copy(self, action: Job) -> None:
        top = self.sources[action["source"]]
        owner = self.owner
        mode = treemode.parse(action.get("mode", -1), action.get("mode_str", ""))
        timestamp = action.get("timestamp", -1)
        style = Style(owner, mode, timestamp if timestamp >= 0 else None)
        src, dest = _clean(action["src"]), action["dest"]
        follow = bool(action.get("follow_symlink"))
        if not action.get("create_dest_path"):
            parent = os.path.dirname(_clean(dest))
            if not os.path.isdir(os.path.realpath(parent)):
                raise Refused(f"cannot copy to {dest}: the directory {parent} does not exist")
        if action.get("allow_wildcard") and gomatch.has_meta(src):
            found = expand(top, src)
            if not found and not action.get("allow_empty_wildcard"):
                raise Refused(f'"{src}": not found')
        else:
            found = [src]
        for wanted in action.get("required_paths", ()):
            if not expand(top, _clean(wanted)):
                raise Refused(f'"{wanted}": not found')
        for one in found:
            self._copy_one(top, one, dest, style, action, follow)

    def _copy_one(self, top: int, src: str, dest: str, style: Style, action: Job, follow: bool) -> None:
        self._links.clear()
        try:
            at = open_source(top, src, follow)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise Refused(f'"{src}": not found') from None
            raise Refused(f'"{src}": {(error.strerror or str(error)).lower()}') from None
        try:
            info = os.fstat(at)
            is_dir = stat.S_ISDIR(info.st_mode)
            if action.get("attempt_unpack") and stat.S_ISREG(info.st_mode) and self._unpacked(at, dest, style):
                return
            base = os.path.basename(src)
            include = Ignore(action.get("include_patterns", ())) if action.get("include_patterns") else None
            exclude = Ignore(action.get("exclude_patterns", ())) if action.get("exclude_patterns") else None
            if not is_dir and ((exclude and exclude.excludes(base)) or (include and not include.excludes(base))):
                return
            target = self._target(dest, base, is_dir, bool(action.get("dir_copy_contents")), style)
            if is_dir:
                fd = reopen(at, _DIR)
                walker = _Walker(self, style, include, exclude, bool(action.get("always_replace")))
                walker.top(fd, target)
            else:
                parent, name = os.path.split(target)
                into = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    self.entry(at, None, info, into, name, target, style, bool(action.get("always_replace")))
                finally:
                    os.close(into)
        finally:
            os.close(at)

    def _target(self, dest: str, base: str, is_dir: bool, contents: bool, style: Style) -> str:
        """Where the source goes; directories that are missing on the way are made."""
        ensure = os.path.split(dest)[0] if os.path.split(dest)[1] not in ("", ".") else dest
        self._make_dirs(_clean(ensure), style)
        place = os.path.realpath(_clean(dest))
        try:
            there: os.stat_result | None = os.stat(place)
        except FileNotFoundError:
            there = None
        except NotADirectoryError:
            raise Refused(f"cannot copy to {dest}: part of the path is not a directory") from None
        existing_dir = there is not None and stat.S_ISDIR(there.st_mode)
        if (is_dir and not contents and there is not None) or (not is_dir and existing_dir):
            place = os.path.join(place, base)
        if is_dir and contents and there is None:
            self._make_dirs(place, style)
        elif is_dir and contents and not existing_dir:
            raise Refused(f"cannot copy to non-directory: {dest}")
        else:
            self._make_dirs(os.path.dirname(place), style)
        return place

    def _make_dirs(self, path: str, style: Style, mode: int = 0o755) -> None:
        """mkdir -p of a clean absolute path; the new ones get the style's owner and time."""
        real = os.path.realpath(path)
        missing: list[str] = []
        at = real
        while True:
            try:
                info = os.stat(at)
            except FileNotFoundError:
                missing.append(at)
                at = os.path.dirname(at)
                continue
            except NotADirectoryError:
                raise Refused(f"mkdir {path}: not a directory") from None
            if not stat.S_ISDIR(info.st_mode):
                raise Refused(f"mkdir {at}: not a directory")
            break
        for one in reversed(missing):
            os.mkdir(one, mode)
            if style.owner and style.owner != (0, 0):
                os.chown(one, *style.owner, follow_symlinks=False)
        if style.mtime_ns is not None:
            for one in missing:
                os.utime(one, ns=(style.mtime_ns, style.mtime_ns))

    def _unpacked(self, at: int, dest: str, style: Style) -> bool:
        """Unpack a file that is an archive, whatever its name; False when it is none."""
        fd = reopen(at, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not is_archive(fd):
                return False
            os.lseek(fd, 0, os.SEEK_SET)
            self._make_dirs(_clean(dest), style)
            size = os.fstat(fd).st_size
            back = os.getcwd()
            os.chdir(os.path.realpath(_clean(dest)))
            try:
                source = bounded(fd, max(_BOMB_FLOOR, size * _BOMB_RATIO))
                report = Unpacker(source, Options(owner=style.owner)).run()
            finally:
                os.chdir(back)
            self.report.files += report.members
            self.report.size += report.content
            return True
        finally:
            os.close(fd)

    def entry(
        self, fd: int, src_dir: int | None, info: os.stat_result, into: int, name: str, shown: str, style: Style, replace: bool
    ) -> None:
        """Copy what is no directory as `name` into the directory `into`. `fd`: the entry itself (O_PATH) when `src_dir` is None, else it is
        `name` in `src_dir`."""
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFREG:
            self._regular(fd, src_dir, info, into, name, shown, style)
            return
        if kind == stat.S_IFSOCK:
            return
        if kind == stat.S_IFLNK:
            link = os.readlink(name, dir_fd=src_dir) if src_dir is not None else os.readlink("", dir_fd=fd)
            replacing(into, name, shown, lambda: os.symlink(link, name, dir_fd=into))
        elif kind == stat.S_IFIFO:
            replacing(into, name, shown, lambda: os.mkfifo(name, 0o600, dir_fd=into))
        else:
            if info.st_rdev == 0:
                raise Refused(f"{shown}: a device with the number 0:0 cannot be copied")
            replacing(into, name, shown, lambda: os.mknod(name, kind | 0o600, info.st_rdev, dir_fd=into))
        owner = style.owner or (info.st_uid, info.st_gid)
        if owner != (0, 0):
            os.chown(name, *owner, dir_fd=into, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            os.chmod(name, self.mode(style, info), dir_fd=into)
        mtime = info.st_mtime_ns if style.mtime_ns is None else style.mtime_ns
        os.utime(name, ns=(mtime, mtime), dir_fd=into, follow_symlinks=False)
        self.report.files += 1

    @staticmethod
    def mode(style: Style, info: os.stat_result) -> int:
        """The mode of the copy."""
        mode = stat.S_IMODE(info.st_mode)
        return style.mode.apply(mode, stat.S_ISDIR(info.st_mode)) if style.mode else mode

    def _regular(self, fd: int, src_dir: int | None, info: os.stat_result, into: int, name: str, shown: str, style: Style) -> None:
        if info.st_nlink > 1:
            key = (info.st_dev, info.st_ino)
            known = self._links.get(key)
            if known is not None:
                with contextlib.suppress(FileNotFoundError):  # overwritten meanwhile: copied again
                    replacing(into, name, shown, lambda: os.link(known, name, dst_dir_fd=into, follow_symlinks=False))
                    self.report.files += 1
                    return
            self._links[key] = shown
        source = os.open(name, _READ, dir_fd=src_dir) if src_dir is not None else reopen(fd, _READ & ~os.O_NOFOLLOW)
        try:
            mode = self.mode(style, info)
            try:
                out = os.open(name, _NEW, mode & 0o777, dir_fd=into)
            except FileExistsError:
                clear(into, name, shown)
                out = os.open(name, _NEW, mode & 0o777, dir_fd=into)
            try:
                self.report.size += transfer(source, out, info.st_size)
                owner = style.owner or (info.st_uid, info.st_gid)
                if owner != (0, 0):
                    os.fchown(out, *owner)
                if mode & 0o7000:
                    os.fchmod(out, mode)
                copy_attributes(source, out)
                mtime = info.st_mtime_ns if style.mtime_ns is None else style.mtime_ns
                os.utime(out, ns=(mtime, mtime))
            finally:
                os.close(out)
        finally:
            os.close(source)
        self.report.files += 1

    # ---- the smaller actions -------------------------------------------------------------------------------------------------------

    def _finish(self, path: str, action: Job, owner: tuple[int, int] | None) -> None:
        if owner:
            os.chown(path, *owner, follow_symlinks=False)
        timestamp = action.get("timestamp", -1)
        if timestamp >= 0:
            os.utime(path, ns=(timestamp, timestamp), follow_symlinks=False)

    def _mkfile(self, action: Job) -> None:
        owner = self.owner
        path = os.path.realpath(_clean(action["path"]))
        mode = action.get("mode", -1)
        mode = 0o644 if mode < 0 else mode
        if not os.path.isdir(os.path.dirname(path)):
            raise Refused(f"cannot write {action['path']}: its directory does not exist")
        if os.path.isdir(path):
            raise Refused(f"cannot write {action['path']}: it is a directory")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        fd = os.open(path, _NEW, mode & 0o777)
        try:
            write_all(fd, base64.b64decode(action["data"]))
            os.fchown(fd, *(owner or (0, 0)))
            os.fchmod(fd, mode)  # after the owner: changing that takes set-user-id away
        finally:
            os.close(fd)
        self._finish(path, action, None)

    def _mkdir(self, action: Job) -> None:
        owner = self.owner
        timestamp = action.get("timestamp", -1)
        style = Style(owner, None, timestamp if timestamp >= 0 else None)
        path, mode = _clean(action["path"]), action.get("mode", -1)
        mode = 0o755 if mode < 0 else mode
        if action.get("make_parents"):
            self._make_dirs(path, style, mode)
            return
        real = os.path.realpath(path)
        try:
            os.mkdir(real, mode)
        except FileExistsError:
            if os.path.isdir(real):
                return
            raise Refused(f"mkdir {path}: not a directory") from None
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(f"mkdir {path}: its parent is no directory") from None
        self._finish(real, action, owner)

    def _rm(self, action: Job) -> None:
        path = _clean(action["path"])
        if action.get("allow_wildcard") and gomatch.has_meta(path):
            top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                found = expand(top, path)
            finally:
                os.close(top)
        else:
            found = [path]
        for one in found:
            parent = os.path.realpath(os.path.dirname(one))
            place = os.path.join(parent, os.path.basename(one))
            if place == "/" or one == "/":
                raise Refused("rm /: the root of a tree cannot be removed")
            if not os.path.lexists(place):
                if action.get("allow_not_found"):
                    continue
                raise Refused(f"rm {one}: no such file or directory")
            remove_tree(os.fsencode(place))

    def _symlink(self, action: Job) -> None:
        owner = self.owner
        new = _clean(action["new_path"])
        parent = os.path.realpath(os.path.dirname(new))
        place = os.path.join(parent, os.path.basename(new))
        try:
            os.symlink(action["old_path"], place)
        except FileExistsError:
            raise Refused(f"symlink {new}: file exists") from None
        self._finish(place, action, owner)


class _Walker:
    """Copies what a directory holds. Descriptors of both sides go down with it."""

    def __init__(self, engine: Engine, style: Style, include: Ignore | None, exclude: Ignore | None, replace: bool) -> None:
        self._engine = engine
        self._style = style
        self._include = include
        self._exclude = exclude
        self._replace = replace

    def top(self, source: int, target: str) -> None:
        """`source` (closed here) into the directory `target`, which is made when it is missing."""
        try:
            made = False
            try:
                os.mkdir(target, 0o755)
                made = True
            except FileExistsError:
                if not os.path.isdir(target):
                    if not self._replace:
                        raise Refused(f"cannot copy to non-directory: {target}") from None
                    os.unlink(target)
                    os.mkdir(target, 0o755)
                    made = True
            into = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._children(source, lambda: into, "", target.rstrip("/"), 0, self._include is None)
                if made:
                    self._directory(source, into)
            finally:
                os.close(into)
        finally:
            os.close(source)

    def _directory(self, source: int, into: int) -> None:
        info = os.fstat(source)
        style = self._style
        os.fchown(into, *(style.owner or (info.st_uid, info.st_gid)))
        os.fchmod(into, self._engine.mode(style, info))
        copy_attributes(source, into)
        mtime = info.st_mtime_ns if style.mtime_ns is None else style.mtime_ns
        os.utime(into, ns=(mtime, mtime))

    def _children(self, source: int, into: Any, rel: str, shown: str, depth: int, included: bool) -> None:
        """`into()` gives the descriptor of the directory that is written to, made at the first need."""
        if depth > _DEPTH:
            raise Refused(f"{shown[:200]}…: directories are nested deeper than {_DEPTH}")
        with os.scandir(source) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        include, exclude = self._include, self._exclude
        for entry in entries:
            name = entry.name
            info = entry.stat(follow_symlinks=False)
            path = f"{rel}/{name}" if rel else name
            is_dir = stat.S_ISDIR(info.st_mode)
            wanted = included or (include is not None and include.excludes(path))
            if exclude is not None and exclude.excludes(path) and not (is_dir and not exclude.prunes(path)):
                continue
            if is_dir:
                left_out = exclude is not None and exclude.excludes(path)
                self._subdirectory(source, into, name, path, f"{shown}/{name}", depth, wanted, wanted and not left_out)
            elif wanted:
                self._engine.entry(-1, source, info, into(), name, f"{shown}/{name}", self._style, self._replace)

    def _subdirectory(self, source: int, into: Any, name: str, rel: str, shown: str, depth: int, wanted: bool, make: bool) -> None:
        fd = os.open(name, _DIR, dir_fd=source)
        held: list[int] = []

        def below() -> int:
            if not held:
                held.append(self._into(into(), name, shown))
            return held[0]

        try:
            if make:
                below()
            self._children(fd, below, rel, shown, depth + 1, wanted)
            if held:
                self._directory(fd, held[0])
        finally:
            os.close(fd)
            for one in held:
                os.close(one)

    def _into(self, parent: int, name: str, shown: str) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                if not self._replace:
                    raise Refused(f"cannot copy to non-directory: {shown}") from None
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o755, dir_fd=parent)
        return os.open(name, _DIR, dir_fd=parent)
