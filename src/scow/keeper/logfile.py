"""One container's log file: appended in whole records, rotated by size, old ones compressed beside the hot path.

Stored: `path` (current), `path.1` (newest old) … `path.<max_file-1>`, or these with `.gz`. The keeper's while the container lives.
"""

import contextlib
import os
import sys
from typing import Any

from scow.keeper import jsonlog
from scow.kernel import pidfd, spawn

_GZIP = next((path for path in ("/usr/bin/gzip", "/bin/gzip") if os.path.exists(path)), "")


class LogFile:
    """An append-only, rotated file. A full disk loses records (counted in `lost`), never the container."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._path: str = plan["path"]
        self._max_size = int(plan.get("max_size", -1))
        self._max_file = max(1, int(plan.get("max_file", 1)))
        self._compress = bool(plan.get("compress")) and bool(_GZIP)
        self._attrs: str = plan.get("attrs", "")
        self.lost = 0
        self._gzip = -1  # pidfd of a running compression
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o640)
        self.size = os.fstat(self._fd).st_size

    def repair(self, size: int) -> None:
        """Cut what a keeper that died while writing may have left behind `size`."""
        if 0 <= size < self.size:
            os.ftruncate(self._fd, size)
            self.size = size

    def encode(self, texts: list[bytes], stream: str, ns: int) -> list[bytes]:
        """The records of `texts`, in pieces for `write`."""
        return [piece for text in texts for piece in jsonlog.pieces(text, stream, ns, self._attrs)]

    def rotate_if_full(self) -> None:
        """Start a new file once the current one has reached its bound."""
        if self._max_size > 0 and self.size >= self._max_size:
            with contextlib.suppress(OSError):
                self._rotate()

    def room(self) -> int:
        """Bytes until the current file is full, at least 1; without a bound more than there will ever be."""
        return max(1, self._max_size - self.size) if self._max_size > 0 else sys.maxsize

    def write(self, pieces: list[bytes]) -> None:
        """Append whole records, given in pieces."""
        total = sum(map(len, pieces))
        with contextlib.suppress(OSError):
            count = os.writev(self._fd, pieces)
            self.size += count
            if count == total:
                return
            total -= count
        self._write_rest(b"".join(pieces), total)

    def _write_rest(self, records: bytes, left: int) -> None:
        view = memoryview(records)[len(records) - left :]
        try:
            while view:
                count = os.write(self._fd, view)
                self.size += count
                view = view[count:]
        except OSError:
            # whole records only: take back the torn one
            whole = len(records) - len(view)
            kept = records.rfind(b"\n", 0, whole) + 1
            self.lost += len(records) - kept
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size - (whole - kept))
                self.size -= whole - kept

    def _rotate(self) -> None:
        self._stop_gzip()
        if self._max_file == 1:
            os.close(self._fd)
            os.unlink(self._path)
            self._open()
            return
        last = self._max_file - 1
        for name in (f"{self._path}.{last}", f"{self._path}.{last}.gz"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        for number in range(last - 1, 0, -1):
            for suffix in ("", ".gz"):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self._path}.{number}{suffix}", f"{self._path}.{number + 1}{suffix}")
        os.rename(self._path, f"{self._path}.1")
        os.close(self._fd)
        self._open()
        if self._compress:
            plain = [name for number in range(1, self._max_file) if os.path.exists(name := f"{self._path}.{number}")]
            with contextlib.suppress(OSError):
                self._gzip = pidfd.open_pid(spawn.spawn(["/usr/bin/nice", "-n", "19", _GZIP, "-1", "-f", *plain], {}))

    def _stop_gzip(self) -> None:
        if self._gzip < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            pidfd.send_signal(self._gzip, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self._gzip, os.WEXITED)
        os.close(self._gzip)
        self._gzip = -1
        for number in range(1, self._max_file):
            # a plain file beside its .gz: the compression was cut short
            if os.path.exists(f"{self._path}.{number}"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self._path}.{number}.gz")

    def close(self) -> None:
        """Give the file up; a running compression ends by itself."""
        os.close(self._fd)
        if self._gzip >= 0:
            os.close(self._gzip)
