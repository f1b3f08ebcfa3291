"""Read a container's log back: all or the last records, a span of time, following it through rotation. Called by `containers.logs`.

Reads the keeper's files (see `keeper.logfile`); stores nothing. A follower finds its next file by the times of the records, so neither
rotation nor compression nor a new keeper makes a gap or a double.
"""

import asyncio
import contextlib
import gzip
import os
import re
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from scow.errors import Unsupported
from scow.logdrivers.plan import LogPlan
from scow.logdrivers.records import Batch, batches, fixed, to_ns

_CHUNK = 128 * 1024  # larger ones leave malloc's heap: fresh pages for each buffer double the time of a read
_POLL = 0.02
_MAX_LINE = 8 << 20


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to read. Times in ns, 0 = no bound; `tail` -1 = all; `tty`: raw output without frames."""

    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since_ns: int = 0
    until_ns: int = 0
    timestamps: bool = False
    details: bool = False
    tail: int = -1
    tty: bool = False


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


def _gunzip(file: BinaryIO) -> _Input:
    try:
        from isal import igzip
    except ImportError:  # 2 times slower, and everywhere
        return gzip.GzipFile(fileobj=file)
    opener: Callable[..., _Input] = igzip.IGzipFile
    return opener(fileobj=file)


class _File:
    """One log file being read, plain or compressed, in whole lines."""

    def __init__(self, path: str) -> None:
        plain = open(path, "rb", buffering=0)  # noqa: SIM115  closed by `close`
        self.inode = os.fstat(plain.fileno()).st_ino
        self.path = path
        self.compressed = path.endswith(".gz")
        self.fd = plain.fileno()
        self._raw = plain
        self._input: _Input = _gunzip(plain) if self.compressed else plain
        self._rest = b""

    def seek(self, offset: int) -> None:
        """Go to a line's beginning (plain files)."""
        self._raw.seek(offset)

    def lines(self) -> bytes:
        """The next whole lines; b"" when there are none (yet)."""
        while True:
            try:
                data = self._input.read(_CHUNK)
            except (EOFError, OSError):
                data = b""  # a damaged or half-written .gz: what could be read was read
            if not data:
                return b""
            cut = data.rfind(b"\n") + 1
            if cut:
                found, self._rest = self._rest + data[:cut], data[cut:]
                return found
            self._rest = b"" if len(self._rest) > _MAX_LINE else self._rest + data

    def close(self) -> None:
        self._raw.close()


def files(path: Path) -> list[str]:
    """The files of a log, oldest first. While one is being compressed its plain form counts."""
    pattern = re.compile(re.escape(path.name) + r"\.(\d+)(\.gz)?$")
    numbered: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for entry in os.listdir(path.parent):
            match = pattern.match(entry)
            if match and not (match[2] and int(match[1]) in numbered and not numbered[int(match[1])].endswith(".gz")):
                numbered[int(match[1])] = str(path.parent / entry)
    found = [numbered[number] for number in sorted(numbered, reverse=True)]
    return [*found, str(path)] if path.exists() else found


def _open(path: str) -> _File | None:
    try:
        return _File(path)
    except FileNotFoundError:
        # renamed or compressed between listing and opening
        with contextlib.suppress(FileNotFoundError):
            return _File(path + ".gz")
        return None


def _first_ns(path: str) -> int:
    file = _open(path)
    if file is None:
        return 0
    try:
        for batch in batches(file.lines()):
            return to_ns(batch.time)
        return 0
    finally:
        file.close()


def _tail_offset(fd: int, count: int) -> tuple[int, int]:
    """(offset where the last `count` lines of a plain file begin, how many lines these are)."""
    position = end = os.fstat(fd).st_size
    found = 0
    while position > 0:
        size = min(_CHUNK, position)
        block = os.pread(fd, size, position - size)
        if position == end:
            # an unfinished line at the end is not counted
            end = position - size + block.rfind(b"\n") + 1 if b"\n" in block else end
        newlines = block.count(b"\n")
        if found + newlines > count:
            # the line wanted begins after the newline number (found + newlines - count) of this block
            index = -1
            for _ in range(found + newlines - count):
                index = block.find(b"\n", index + 1)
            return position - size + index + 1, count
        found += newlines
        position -= size
    return 0, found


def _render(batch: Batch, query: LogQuery) -> bytes:
    text = batch.text
    if query.timestamps or query.details:
        prefix = f"{fixed(batch.time)} ".encode() if query.timestamps else b""
        if query.details:
            prefix += ",".join(f"{key}={value}" for key, value in sorted(batch.attrs.items())).encode() + b" "
        body = text[:-1] if text.endswith(b"\n") else text
        text = prefix + body.replace(b"\n", b"\n" + prefix) + text[len(body) :]
    if query.tty:
        return text
    return struct.pack(">BxxxI", 2 if batch.stream == "stderr" else 1, len(text)) + text


class _Reading:
    """One answer to a query: where it is, and what it has given."""

    def __init__(self, path: Path, query: LogQuery) -> None:
        self._path, self._query = path, query
        self._last = time.time_ns() if query.tail == 0 else 0
        self.over = False
        self.file: _File | None = None
        self._skip = 0
        self._end: tuple[int, int] | None = None
        self._begin()

    def _begin(self) -> None:
        """Open the first file to read; the newest file's size is the end unless following."""
        listed = files(self._path)
        if not listed:
            return
        if not self._query.follow:
            with contextlib.suppress(FileNotFoundError):
                state = os.stat(listed[-1])
                self._end = (state.st_ino, state.st_size)
        tail = self._query.tail
        if tail < 0:
            self.file = next((file for name in listed if (file := _open(name)) is not None), None)
            return
        missing = tail
        for name in reversed(listed):
            file = _open(name)
            if file is None:
                continue
            if self.file is not None:
                self.file.close()
            self.file = file
            if file.compressed:
                lines = 0
                while data := file.lines():
                    lines += data.count(b"\n")
                file.close()
                self.file = _open(name)
                self._skip = max(0, lines - missing)
                taken = min(lines, missing)
            else:
                offset, taken = _tail_offset(file.fd, missing)
                file.seek(offset)
            missing -= taken
            if missing <= 0:
                return

    def chunk(self) -> bytes | None:
        """The next frames (b"": none wanted among those read), None when nothing is there now."""
        if self.file is None:
            self._begin()
            if self.file is None:
                return None
        data = self.file.lines()
        if not data and self._advance():
            data = self.file.lines() if self.file is not None else b""
            if not data:
                return b""
        if not data:
            return None
        if self._skip:
            position = 0
            while self._skip and position < len(data):
                position = data.find(b"\n", position) + 1
                self._skip -= 1
            data = data[position:]
        return self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        query = self._query
        out: list[bytes] = []
        clock = ""
        for batch in batches(data):
            clock = batch.time
            if query.since_ns and to_ns(clock) < query.since_ns:
                continue
            if query.until_ns and to_ns(clock) > query.until_ns:
                self.over = True
                break
            if (batch.stream == "stdout" and not query.stdout) or (batch.stream == "stderr" and not query.stderr):
                continue
            out.append(_render(batch, query))
        if clock:
            self._last = to_ns(clock)
        return b"".join(out)

    def _advance(self) -> bool:
        """At a file's end: go to the next one, if there is one."""
        current = self.file
        assert current is not None
        if self._end is not None and current.inode == self._end[0]:
            return False
        with contextlib.suppress(FileNotFoundError):
            if not current.compressed and os.stat(self._path).st_ino == current.inode:
                return False
        rest = current.lines()  # written between our last read and the rotation
        if rest:
            current.seek(os.lseek(current.fd, 0, os.SEEK_CUR) - len(rest) - len(current._rest))
            current._rest = b""
            return True
        for name in files(self._path):
            first = _first_ns(name)
            if first > self._last:
                following = _open(name)
                if following is None or following.inode == current.inode:
                    continue
                current.close()
                self.file = following
                return True
        return False

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


async def read(plan: LogPlan, query: LogQuery, ended: Callable[[], bool] | None = None) -> AsyncIterator[bytes]:
    """Frames of the log, ready for the wire. A follower ends once `ended()` is true and all has been read. Unsupported for driver none."""
    if plan.path is None:
        raise Unsupported("configured logging driver does not support reading")
    reading = _Reading(plan.path, query)
    try:
        while not reading.over:
            was_ended = ended is not None and ended()
            data = reading.chunk()
            if data is None:
                if not query.follow or was_ended or (query.until_ns and time.time_ns() > query.until_ns):
                    return
                await asyncio.sleep(_POLL)
            elif data:
                yield data
            else:
                await asyncio.sleep(0)
    finally:
        reading.close()
