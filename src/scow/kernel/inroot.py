"""Reading files and making directories below an untrusted root, whoever changes its tree meanwhile (see `paths.openat2`)."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from scow.kernel.paths import open_in_root as open_fd

__all__ = ["make_dirs", "open_fd", "read_bytes", "read_text", "root_fd"]


@contextmanager
def root_fd(root: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor of a trusted root directory."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def read_text(root: str | os.PathLike[str], path: str, limit: int) -> str | None:
    """As read_bytes, decoded."""
    data = read_bytes(root, path, limit)
    return None if data is None else data.decode("utf-8", "replace")


def read_bytes(root: str | os.PathLike[str], path: str, limit: int) -> bytes | None:
    """At most `limit` bytes of the regular file `path`, or None when there is none. Nothing else is opened: a device may act on that."""
    try:
        with root_fd(root) as base:
            place = open_fd(base, path, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                return None
            fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)
        with os.fdopen(fd, "rb") as file:
            return file.read(limit)
    except OSError:
        return None


def make_dirs(root: int, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> int:
    """Make the directories of `path` that are missing; a descriptor (O_PATH) of the last one.

    Raises NotADirectoryError and other OSErrors.
    """
    parts = [part for part in path.split("/") if part and part != "."]
    if len(parts) > 512:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    # O_PATH of each prefix is resolved from the root again, so a link half-way stays inside.
    done = ""
    current = open_fd(root, ".", os.O_PATH | os.O_DIRECTORY)
    for part in parts:
        done += "/" + part
        try:
            following = open_fd(root, done, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            try:
                if part == "..":
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
                try:
                    os.mkdir(part, mode, dir_fd=current)
                    if uid or gid:
                        os.chown(part, uid, gid, dir_fd=current, follow_symlinks=False)
                except FileExistsError:
                    pass
                following = open_fd(root, done, os.O_PATH | os.O_DIRECTORY)
            except OSError:
                os.close(current)
                raise
        except OSError:
            os.close(current)
            raise
        os.close(current)
        current = following
    return current


_MAX_LINKS = 255


def landing(root: str | os.PathLike[str], path: str) -> str:
    """Where the absolute `path` leads in the tree `root` when what is missing there is made: links followed as if `root` were "/".

    Only names the place (a runtime refuses a link that leads to nothing); who mounts there guards against changes. Raises OSError (ELOOP).
    """
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    links = 0
    with root_fd(root) as top:
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
                continue
            try:
                parent = open_fd(top, "/" + "/".join(done), os.O_PATH | os.O_DIRECTORY)
                try:
                    target = os.readlink(part, dir_fd=parent)
                finally:
                    os.close(parent)
            except OSError:  # no link, or nothing there
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done = []
            waiting += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
    return "/" + "/".join(done)
