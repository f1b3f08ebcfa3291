"""The kernel's news about folders (inotify), for `watching.py`: which folders something happened in, without looking at them.

Written on ctypes and not on a library of the registries: the client starts without site-packages, what is needed are three calls, and the
libraries either bring a thread pool and a compiled part (watchfiles) or an event loop (asyncinotify).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct

IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
# modify, attrib, close_write, moved from and to, create, delete, the folder itself moved or deleted; only folders
_MASK = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x01000000
_Q_OVERFLOW = 0x4000
_IGNORED = 0x8000
_HEAD = struct.Struct("iIII")


class Inotify:
    """Watches of folders. Raises OSError (ENOSPC: no more watches, EMFILE: no more instances)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC))
        self._folders: dict[int, str] = {}
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def _checked(self, value: int) -> int:
        if value < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return value

    def add(self, folder: str) -> bool:
        """Watches a folder from now on; whether it was not watched before. One that has gone, or may not be read, is passed over."""
        try:
            watch = self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        new = self._folders.get(watch) != folder
        self._folders[watch] = folder
        return new

    def wait(self, seconds: float | None) -> set[str] | None:
        """The folders of which there is news, at most after that time (None: without end); none where it ran out, None where news got
        lost: then everything may have changed."""
        if not self._poll.poll(None if seconds is None else max(0, int(seconds * 1000))):
            return set()
        found: set[str] = set()
        lost = False
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return None if lost else found
            at = 0
            while at + _HEAD.size <= len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                lost = lost or bool(mask & _Q_OVERFLOW)
                if folder := self._folders.get(watch):
                    found.add(folder)
                if mask & _IGNORED:
                    self._folders.pop(watch, None)

    def close(self) -> None:
        """Ends it."""
        os.close(self._fd)
