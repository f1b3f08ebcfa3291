"""Places for mounts inside a step's root: made before it runs where they are missing, gone afterwards, so that no layer holds them.

The step may put anything in their place meanwhile (a link to the host, a directory of its own): what is removed afterwards is only what
was made here, recognised by inode, empty, and reached without following a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from scow.errors import InvalidArgument
from scow.kernel import inroot
from scow.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2

_STRICT = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
_DIR = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stub:
    """A file or directory that was made: where, which, and the times of the directory above before."""

    path: str
    inode: int
    directory: bool
    times: tuple[int, int]


def make(root: str, place: str, directory: bool) -> list[Stub]:
    """Make `place` (absolute in the tree, links resolved already) where it is missing; what was made, the outermost first.

    Raises InvalidArgument when something else is in its place."""
    made: list[Stub] = []
    parts = [part for part in place.split("/") if part]
    with inroot.root_fd(root) as top:
        for number, part in enumerate(parts, 1):
            above, path = "/".join(parts[: number - 1]) or ".", "/".join(parts[:number])
            try:
                parent = openat2(top, above, os.O_RDONLY | os.O_DIRECTORY, 0, _STRICT)
            except OSError as error:
                raise InvalidArgument(f"cannot mount at {place}: {above}: {(error.strerror or str(error)).lower()}") from None
            try:
                before = os.fstat(parent)
                last = number == len(parts)
                if directory or not last:
                    os.mkdir(part, 0o755, dir_fd=parent)
                else:
                    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent))
                inode = os.stat(part, dir_fd=parent, follow_symlinks=False).st_ino
                made.append(Stub(path, inode, directory or not last, (before.st_atime_ns, before.st_mtime_ns)))
            except FileExistsError:
                pass
            except OSError as error:
                raise InvalidArgument(f"cannot mount at {place}: {(error.strerror or str(error)).lower()}") from None
            finally:
                os.close(parent)
    return made


def remove(root: str, stubs: list[Stub]) -> None:
    """Remove what was made, the innermost first, where it still is what it was and holds nothing."""
    with inroot.root_fd(root) as top:
        for stub in reversed(stubs):
            above, _, name = stub.path.rpartition("/")
            try:
                parent = openat2(top, above or ".", os.O_RDONLY | os.O_DIRECTORY, 0, _STRICT)
            except OSError:
                continue
            try:
                info = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if info.st_ino != stub.inode:
                    continue
                if stub.directory and stat.S_ISDIR(info.st_mode):
                    os.rmdir(name, dir_fd=parent)
                elif not stub.directory and stat.S_ISREG(info.st_mode) and info.st_size == 0:
                    os.unlink(name, dir_fd=parent)
                else:
                    continue
                with contextlib.suppress(OSError):
                    os.utime(parent, ns=stub.times)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                    raise
            finally:
                os.close(parent)


def ensure_directory(root: str, path: str) -> None:
    """Make the working directory of a step where it is missing, links followed inside the root. Raises InvalidArgument."""
    with inroot.root_fd(root) as top:
        try:
            os.close(inroot.make_dirs(top, path))
        except OSError as error:
            raise InvalidArgument(f"cannot use the working directory {path}: {(error.strerror or str(error)).lower()}") from None
