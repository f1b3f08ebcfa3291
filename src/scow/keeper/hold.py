"""Output between pipe and log, in memory shared with the daemon: what a dead keeper had read but not written is not lost.

Layout of a region: `start`, `end` (unlogged bytes), `size` (log size before a write in progress, else -1), `pending` (bytes a read in
progress will bring) as 64-bit numbers, then the buffer at 64. A read asks for no more than waits, so it brings all or nothing; which of
the two, a mark put where its last bytes go tells the next keeper.
Stored: one memfd per process, two regions; the daemon holds a duplicate and hands it to the next keeper.
"""

import fcntl
import mmap
import os
import struct
import sys
import termios

CAPACITY = 128 * 1024
_BASE = 64
_REGION = _BASE + CAPACITY
_HEADER = struct.Struct("qqqq")
_MARK = b"\xff\xfe\xc0\xf5\xff\xc1\xfe\xff"  # nothing that UTF-8 text could hold

_waiting = bytearray(4)


def create() -> int:
    """A new descriptor for the regions of one process."""
    fd = os.memfd_create("scow-hold", os.MFD_CLOEXEC)
    os.ftruncate(fd, 2 * _REGION)
    empty = _HEADER.pack(0, 0, -1, 0)
    os.pwrite(fd, empty, 0)
    os.pwrite(fd, empty, _REGION)
    return fd


class Region:
    """The buffer of one stream."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self._memory = memory
        self._at = index * _REGION
        start, end, size, pending = _HEADER.unpack_from(memory, self._at)
        if not 0 <= start <= end <= end + pending <= CAPACITY:
            start = end = pending = 0
        last = self._at + _BASE + end + pending
        marked = min(pending, len(_MARK))
        if pending and memory[last - marked : last] != _MARK[:marked]:
            end += pending
        self.start, self.end, self.torn = start, end, size
        self._note(size)

    def _note(self, size: int = -1, pending: int = 0) -> None:
        _HEADER.pack_into(self._memory, self._at, self.start, self.end, size, pending)

    def read_from(self, fd: int) -> int:
        """Read what fits: how much, 0 at the end of the stream; BlockingIOError when nothing waits."""
        base = self._at + _BASE
        room = CAPACITY - self.end
        fcntl.ioctl(fd, termios.FIONREAD, _waiting)
        waits = min(int.from_bytes(_waiting, sys.byteorder), room)
        if waits:
            marked = min(waits, len(_MARK))
            last = base + self.end + waits
            self._memory[last - marked : last] = _MARK[:marked]
            self._note(pending=waits)
        with memoryview(self._memory) as view, view[base + self.end : base + self.end + (waits or room)] as target:
            count = os.readv(fd, [target])
        self.end += count
        self._note()
        return count

    def newest(self, count: int) -> bytes:
        """The last `count` bytes read."""
        end = self._at + _BASE + self.end
        return self._memory[end - count : end]

    def data(self, limit: int = CAPACITY) -> bytes:
        """The unlogged bytes, the first `limit` of them."""
        base = self._at + _BASE
        return self._memory[base + self.start : base + min(self.end, self.start + limit)]

    def writing(self, size: int) -> None:
        """A write to the log, now `size` long, begins."""
        self._note(size)

    def taken(self, count: int) -> None:
        """`count` bytes are in the log."""
        self.start += count
        if self.start == self.end:
            self.start = self.end = 0
        elif self.start >= self.end - self.start and self.start > CAPACITY // 2:
            base = self._at + _BASE
            length = self.end - self.start
            self._memory[base : base + length] = self.data()
            self.start, self.end = 0, length
        self._note()


def regions(fd: int) -> tuple[Region, Region]:
    """Map the regions of `fd`, as they are."""
    memory = mmap.mmap(fd, 2 * _REGION)
    return Region(memory, 0), Region(memory, 1)
