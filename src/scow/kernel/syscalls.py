"""The one handle on libc that the kernel package's ctypes calls go through. Nothing is stored."""

import contextlib
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, *paths: str) -> int:
    """Pass a libc result through, raising `OSError` from errno when it is -1."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), *paths)
    return result


def set_child_subreaper() -> None:
    """Orphaned descendants become children of this process (PR_SET_CHILD_SUBREAPER)."""
    checked(libc.prctl(36, 1, 0, 0, 0))


def set_name(name: str) -> None:
    """Name the calling thread as ps shows it (15 bytes)."""
    libc.prctl(15, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def sync_filesystem(path: str) -> None:
    """Wait until everything written to the file system of `path` is on its disk (syncfs). Blocking, maybe for seconds."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        checked(libc.syncfs(fd), path)
    finally:
        os.close(fd)


def share_arenas(most: int) -> None:
    """Let threads share at most `most` of malloc's arenas.

    Left alone, glibc gives each thread of a pool one of its own, up to eight a processor, and each keeps what its thread once needed.
    """
    with contextlib.suppress(AttributeError):  # not glibc
        libc.mallopt(-8, most)  # M_ARENA_MAX


def keep_heap(largest: int, kept: int) -> None:
    """Let malloc take buffers of up to `largest` bytes from the heap, and give memory back only when `kept` bytes at its end are free.

    Left alone, glibc returns and faults in again the pages of each buffer of a stream: half the processor time of a large upload.
    """
    with contextlib.suppress(AttributeError):  # not glibc
        libc.mallopt(-3, largest)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, kept)  # M_TRIM_THRESHOLD
