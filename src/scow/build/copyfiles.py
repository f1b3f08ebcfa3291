"""Single files of the copy engine: finding them in a tree that is read, moving their content, telling archives. Used by `copywork.py`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from scow.archive import streams, tar
from scow.archive.streams import Source, write_all
from scow.archive.tar import Malformed
from scow.build import gomatch
from scow.kernel import paths, xattr

_SMALL = 128 << 10
_MATCHES = 100_000


class Refused(Exception):
    """An action cannot be done; the text is for the user."""


def reopen(fd: int, flags: int) -> int:
    """Another descriptor of what `open_source` answered, for reading (there is no /proc to open it by where this runs)."""
    info = os.fstat(fd)
    if stat.S_ISDIR(info.st_mode):
        return os.open(".", flags & ~os.O_NOFOLLOW, dir_fd=fd)
    copy = os.dup(fd)
    os.lseek(copy, 0, os.SEEK_SET)
    return copy


def open_source(top: int, path: str, follow: bool) -> int:
    """A descriptor of `path` in the tree `top`: readable for regular files, O_PATH for the rest; links on the way stay inside, the last one
    is followed if asked. Raises OSError."""
    flags = os.O_PATH | (0 if follow else os.O_NOFOLLOW)
    place = path.lstrip("/") or "."
    fd = paths.open_in_root(top, place, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    fd = paths.open_in_root(top, place, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ESTALE, "it changes while it is read", path)
    return fd


def expand(top: int, pattern: str) -> list[str]:
    """The paths of the tree `top` that a pattern of Go's filepath.Match names, sorted. Directories that are links are not searched.

    Raises Refused for a malformed pattern."""
    found = ["/"]
    for part in [one for one in pattern.split("/") if one]:
        step: list[str] = []
        wild = gomatch.has_meta(part)
        if wild:
            try:
                rule = gomatch.compile(part)
            except ValueError:
                raise Refused(f"syntax error in pattern: {pattern}") from None
        for base in found:
            if not wild:
                step.append(os.path.join(base, part))
                continue
            try:
                fd = paths.open_in_root(top, base.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            try:
                names = os.listdir(fd)
            finally:
                os.close(fd)
            step += [os.path.join(base, name) for name in sorted(names) if rule.match(name)]
            if len(step) > _MATCHES:
                raise Refused(f"{pattern}: more than {_MATCHES} files match")
        found = step
    kept: list[str] = []
    for path in found:
        with contextlib.suppress(OSError):
            os.close(paths.open_in_root(top, path.lstrip("/") or ".", os.O_PATH | os.O_NOFOLLOW))
            kept.append(path)
    return kept


def is_archive(fd: int) -> bool:
    """Whether a file begins as a tar, plain or compressed; its position moves."""
    try:
        source = bounded(fd, 64 << 20)
        return tar.read_entry(source.take) is not None
    except (Malformed, OSError, ValueError):
        return False


def bounded(fd: int, limit: int) -> Source:
    """The plain bytes of a file, plain or compressed; more than `limit` of them raise Malformed."""
    read = streams.chunks(fd)
    first = next(read, b"")

    def pieces() -> Iterator[bytes]:
        if first:
            yield first
        yield from read

    seen = 0

    def watch(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)
        if seen > limit:
            raise Malformed(f"the archive is far larger unpacked than packed (more than {limit >> 20} MB): it is refused")

    return Source(streams.decompress(pieces(), streams.detect(first)), watch)


def transfer(source: int, out: int, size: int) -> int:
    """The content of a file into another; the bytes."""
    if size <= _SMALL:
        data = os.read(source, size + 1)  # one byte more tells whether that was all; a larger buffer costs more than the reading
        total = 0
        while data:
            write_all(out, data)
            total += len(data)
            if total == size:
                break
            data = os.read(source, _SMALL)
        return total
    done = 0
    try:
        while sent := os.copy_file_range(source, out, 1 << 30):
            done += sent
        return done
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    while sent := os.sendfile(out, source, done, 1 << 30):
        done += sent
    return done


def copy_attributes(source: int, out: int) -> None:
    """The extended attributes that travel; what the target cannot hold is left out."""
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        if xattr.archived(name):
            try:
                os.setxattr(out, name, os.getxattr(source, name))
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
                    raise


def clear(into: int, name: str, shown: str) -> None:
    """Remove what is in a new file's place. Raises Refused for a directory."""
    if stat.S_ISDIR(os.stat(name, dir_fd=into, follow_symlinks=False).st_mode):
        raise Refused(f"cannot replace to directory {shown} with file")
    os.unlink(name, dir_fd=into)


def replacing(into: int, name: str, shown: str, make: Callable[[], object]) -> None:
    """`make()`, once more after `clear` when something is in its place."""
    try:
        make()
    except FileExistsError:
        clear(into, name, shown)
        make()
