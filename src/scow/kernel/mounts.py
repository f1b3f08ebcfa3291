"""Mounts: mount(2), umount2(2), overlays of many layers, the mount table. Called by snapshots, volumes, containers and runtime.

ctypes releases the GIL, yet a mount may wait for the kernel: call these from a thread. Paths are host paths that the caller trusts.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 32, 4096, 8192, 16384
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_FORCE, MNT_DETACH, UMOUNT_NOFOLLOW = 1, 2, 8
CLONE_FS = 0x200
_PAGE = 4000
_PROPAGATION = {"private": MS_PRIVATE, "slave": MS_SLAVE, "shared": MS_SHARED, "unbindable": MS_UNBINDABLE}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


def _fail(path: str | Path) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), str(path))


def mount(source: str | Path, target: str | Path, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    if _libc.mount(os.fsencode(source), os.fsencode(target), fstype.encode() or None, flags, os.fsencode(data) or None):
        raise _fail(target)


def umount(target: str | Path, flags: int = UMOUNT_NOFOLLOW) -> None:
    """umount2(2). Raises OSError."""
    if _libc.umount2(os.fsencode(target), flags):
        raise _fail(target)


def unmount_any(target: str | Path, detach: bool = True) -> bool:
    """Unmount what is at `target`: none is fine, a busy one is detached (its last user ends it). True if something was mounted."""
    try:
        umount(target)
    except OSError as error:
        if error.errno in (22, 2):  # EINVAL: no mount point
            return False
        if error.errno == 16 and detach:
            with contextlib.suppress(FileNotFoundError):
                umount(target, UMOUNT_NOFOLLOW | MNT_DETACH)
            return True
        raise
    return True


def bind(source: str | Path, target: str | Path, recursive: bool = False, read_only: bool = False) -> None:
    """Bind `source` to `target`, read-only if asked (the top mount only)."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))
    if read_only:
        try:
            mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
        except OSError:
            umount(target, UMOUNT_NOFOLLOW | MNT_DETACH)
            raise


def set_propagation(target: str | Path, kind: str) -> None:
    """Set how mounts spread: private, slave, shared, unbindable; with an `r` in front for the whole tree."""
    recursive = kind.startswith("r")
    mount("", target, flags=_PROPAGATION[kind.removeprefix("r")] | (MS_REC if recursive else 0))


def _special(text: str) -> bool:
    return any(letter in text for letter in ':,\\"')


def overlay(base: Path, lowers: Sequence[str], upper: str | None, work: str | None, target: Path, options: Sequence[str] = ()) -> None:
    """Mount an overlay of `lowers` (top first), `upper` and `work`, all named relative to `base`.

    Names relative to the working directory keep a hundred layers within the one page that mount(2) takes, on every kernel. The working
    directory belongs to a process, so a thread of its own gives up sharing it first.
    """

    def data(prefix: str) -> str:
        parts = [f"lowerdir={':'.join(prefix + name for name in lowers)}"]
        if upper is not None:
            parts += [f"upperdir={prefix}{upper}", f"workdir={prefix}{work}"]
        return ",".join([*parts, *options])

    absolute = data(f"{base}/")
    if len(absolute) < _PAGE and not _special(str(base)):
        mount("overlay", target, "overlay", 0, absolute)
        return
    failure: list[BaseException] = []

    def run() -> None:
        try:
            if _libc.unshare(CLONE_FS):
                raise _fail(base)
            os.chdir(base)
            mount("overlay", target, "overlay", 0, data(""))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="overlay-mount")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


@dataclass(frozen=True, slots=True)
class MountInfo:
    """A row of the mount table."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: frozenset[str]
    propagation: str
    fstype: str
    source: str
    super_options: str


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text


def parse_mountinfo(text: str) -> list[MountInfo]:
    """Rows of a mountinfo file, in its order; a line that makes no sense is left out."""
    rows: list[MountInfo] = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        one, two = left.split(" "), right.split(" ")
        if not dash or len(one) < 6 or len(two) < 3:
            continue
        spread = next((f for f in one[6:] if f.startswith(("shared:", "master:", "unbindable"))), "")
        kind = {"shared": "shared", "master": "slave", "unbindable": "unbindable"}.get(spread.partition(":")[0], "private")
        root, target, options = _unescape(one[3]), _unescape(one[4]), frozenset(one[5].split(","))
        rows.append(MountInfo(int(one[0]), int(one[1]), one[2], root, target, options, kind, two[0], _unescape(two[1]), two[2]))
    return rows


def mountinfo(pid: int | str = "self") -> list[MountInfo]:
    """The mount table of a process."""
    with open(f"/proc/{pid}/mountinfo", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def below(path: str | Path) -> list[str]:
    """Mount points at or below `path`, deepest (newest) first."""
    top = str(path).rstrip("/")
    return [row.target for row in reversed(mountinfo()) if row.target == top or row.target.startswith(top + "/")]
