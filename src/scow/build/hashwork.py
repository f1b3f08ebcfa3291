"""Digests of trees inside an archive worker; `contenthash.py` is the door. The tree is a descriptor, links never lead out of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import Any

from scow.build import gomatch
from scow.build.copyfiles import Refused, expand, open_source, reopen
from scow.errors import ScowError
from scow.kernel import xattr
from scow.opts.ignore import Ignore

Job = dict[str, Any]
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20
_DEPTH = 400


def do_hash(job: Job, fds: list[int]) -> Job:
    """Digest what `selectors` name in the tree fds[0]; the answer has [selector, path, kind, digest] rows, or says what is refused."""
    found: list[list[Any]] = []
    try:
        for number, selector in enumerate(job["selectors"]):
            path = os.path.normpath("/" + selector["path"]).replace("//", "/")
            wild = selector["wildcard"] and gomatch.has_meta(path)
            for one in expand(fds[0], path) if wild else [path]:
                row = _one(fds[0], one, selector)
                if row is not None:
                    found.append([number, one, *row])
    except (Refused, ScowError) as error:
        return {"refused": str(error)}
    return {"found": found}


def _one(top: int, path: str, selector: Job) -> tuple[str, str] | None:
    include = Ignore(selector["include"]) if selector["include"] else None
    exclude = Ignore(selector["exclude"]) if selector["exclude"] else None
    try:
        at = open_source(top, path, selector["follow"])
    except OSError:
        return None
    try:
        info = os.fstat(at)
        hasher = hashlib.sha256()
        if stat.S_ISDIR(info.st_mode):
            fd = reopen(at, _DIR)
            try:
                _head(hasher, b"", info, fd)
                _walk(hasher, fd, "", include, exclude, 0)
            finally:
                os.close(fd)
            return "dir", hasher.hexdigest()
        if stat.S_ISREG(info.st_mode):
            fd = reopen(at, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _head(hasher, b"", info, fd)
                _content(hasher, fd)
            finally:
                os.close(fd)
            return "file", hasher.hexdigest()
        _head(hasher, b"", info, -1)
        if stat.S_ISLNK(info.st_mode):
            hasher.update(os.readlink(b"", dir_fd=at))
        return "other", hasher.hexdigest()
    finally:
        os.close(at)


def _head(hasher: Any, name: bytes, info: os.stat_result, fd: int) -> None:
    """What counts of an entry besides its content: everything but its times, its number and how many names it has."""
    device = info.st_rdev if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode) else 0
    hasher.update(b"%d:%s\0%o %d %d %x\n" % (len(name), name, info.st_mode, info.st_uid, info.st_gid, device))
    if fd < 0:
        return
    with contextlib.suppress(OSError):
        for key in sorted(os.listxattr(fd)):
            if xattr.archived(key):
                value = os.getxattr(fd, key)
                hasher.update(b"%s\0%d:%s\n" % (os.fsencode(key), len(value), value))


def _content(hasher: Any, fd: int) -> None:
    while data := os.read(fd, _CHUNK):
        hasher.update(data)


def _walk(hasher: Any, fd: int, base: str, include: Ignore | None, exclude: Ignore | None, depth: int) -> None:
    if depth > _DEPTH:
        raise Refused(f"{base[:300]}: directories are nested too deeply")
    for name in sorted(os.listdir(fd)):
        path = f"{base}/{name}" if base else name
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        is_dir = stat.S_ISDIR(info.st_mode)
        left_out = bool(exclude and exclude.excludes(path)) or bool(include and not include.excludes(path))
        if left_out and (not is_dir or (exclude and exclude.excludes(path) and exclude.prunes(path))):
            continue
        if is_dir:
            inner = os.open(name, _DIR, dir_fd=fd)
            try:
                if not left_out:
                    _head(hasher, os.fsencode(path), info, inner)
                _walk(hasher, inner, path, include, exclude, depth + 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(info.st_mode):
            inner = os.open(name, _READ, dir_fd=fd)
            try:
                _head(hasher, os.fsencode(path), info, inner)
                hasher.update(b"%d\n" % info.st_size)
                _content(hasher, inner)
            finally:
                os.close(inner)
        elif not stat.S_ISSOCK(info.st_mode):
            _head(hasher, os.fsencode(path), info, -1)
            if stat.S_ISLNK(info.st_mode):
                hasher.update(os.readlink(os.fsencode(name), dir_fd=fd) + b"\n")
