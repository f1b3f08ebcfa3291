"""Blobs in a directory: `blobs/<algorithm>/<2 hex>/<hex>`, uploads in `uploads/<id>`. A blob appears by rename: whole or absent."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from scow.registryd.storage.driver import Stored

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class File:
    """An opened file as a Blob."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    @property
    def size(self) -> int:
        return self._size

    @property
    def fd(self) -> int:
        return self._fd

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, count, offset)

    def take(self) -> int:
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        fd = self.take()
        if fd >= 0:
            os.close(fd)


class _Appender:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Directory:
    """A storage below `root`."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._uploads = root / "uploads"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)

    def _path(self, digest: str) -> str:
        algorithm, _, value = digest.partition(":")
        return f"{self._blobs}/{algorithm}/{value[:2]}/{value}"

    def size(self, digest: str) -> int | None:
        try:
            return os.stat(self._path(digest), follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def open(self, digest: str) -> File | None:
        return _opened(self._path(digest))

    def delete(self, digest: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(digest))

    def blobs(self) -> Iterator[Stored]:
        for algorithm in _names(self._blobs):
            for folder in _names(self._blobs / algorithm):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._blobs / algorithm / folder) as entries:
                    for entry in entries:
                        with contextlib.suppress(FileNotFoundError):
                            info = entry.stat(follow_symlinks=False)
                            yield Stored(f"{algorithm}:{entry.name}", info.st_size, info.st_mtime_ns)

    def append(self, upload: str, offset: int) -> _Appender:
        new = os.O_CREAT | os.O_EXCL if offset == 0 and not os.path.exists(self._uploads / upload) else 0
        fd = os.open(self._uploads / upload, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | new, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size < offset:
                raise OSError(f"the upload has {size} bytes instead of {offset}")
            if size > offset:
                os.ftruncate(fd, offset)
        except BaseException:
            os.close(fd)
            raise
        return _Appender(fd)

    def uploaded(self, upload: str) -> int | None:
        try:
            return os.stat(self._uploads / upload, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def peek(self, upload: str) -> File | None:
        return _opened(str(self._uploads / upload))

    def settle(self, upload: str) -> None:
        fd = os.open(self._uploads / upload, _READ)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def commit(self, upload: str, digest: str) -> None:
        target = self._path(digest)
        try:
            os.rename(self._uploads / upload, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(self._uploads / upload, target)

    def abandon(self, upload: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._uploads / upload)

    def uploads(self) -> Iterator[tuple[str, int]]:
        with os.scandir(self._uploads) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False).st_mtime_ns


def _opened(path: str) -> File | None:
    try:
        fd = os.open(path, _READ)
    except FileNotFoundError:
        return None
    return File(fd)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
