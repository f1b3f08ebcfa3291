"""Opening paths below a root that somebody else may change meanwhile: openat2(2)."""

import ctypes
import errno
import os
import struct

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 1, 2, 4, 8, 16
_SYS_OPENAT2 = 437
_TRIES = 64
_libc = ctypes.CDLL(None, use_errno=True)


def openat2(dir_fd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) -> int:
    """Open `path` below the directory `dir_fd` as if that were the root. The descriptor is the caller's. Raises OSError."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve)
    name = os.fsencode(path)
    for _ in range(_TRIES):
        fd = int(_libc.syscall(_SYS_OPENAT2, ctypes.c_int(dir_fd), ctypes.c_char_p(name), ctypes.c_char_p(how), ctypes.c_size_t(len(how))))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code != errno.EAGAIN:  # a rename during the walk: the kernel asks to try again
            raise OSError(code, os.strerror(code), path)
    raise OSError(errno.EAGAIN, "the path keeps changing", path)


def open_in_root(root: str | os.PathLike[str] | int, path: str | bytes, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` inside `root` (a path, or a descriptor that stays the caller's); links never lead out. Raises OSError."""
    if isinstance(root, int):
        return openat2(root, path, flags, mode)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return openat2(top, path, flags, mode)
    finally:
        os.close(top)


def resolve_in_root(root: str | os.PathLike[str], path: str) -> str:
    """The path inside `root` (absolute, as seen from it) that `path` leads to now. Raises OSError. A hint for messages, not a guard."""
    top = os.path.realpath(root)
    fd = open_in_root(root, path)
    try:
        real = os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return "/" + os.path.relpath(real, top) if real != top else "/"
