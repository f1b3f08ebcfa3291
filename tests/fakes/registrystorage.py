"""A registry storage in memory: what a store without files (an object store) looks like to the server."""

import threading
import time
from collections.abc import Iterator

from scow.registryd.storage.driver import Stored


class Bytes:
    """A Blob without a descriptor."""

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self._size = len(data)

    @property
    def size(self) -> int:
        return self._size

    @property
    def fd(self) -> int:
        return -1

    def take(self) -> int:
        return -1

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._data[offset : offset + count])

    def close(self) -> None: ...


class _Appender:
    def __init__(self, data: bytearray) -> None:
        self._data = data

    def write(self, data: memoryview) -> None:
        self._data += data

    def close(self) -> None: ...


class Memory:
    """A Driver."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[bytearray, int]] = {}
        self._uploads: dict[str, tuple[bytearray, int]] = {}

    def size(self, digest: str) -> int | None:
        found = self._blobs.get(digest)
        return None if found is None else len(found[0])

    def open(self, digest: str) -> Bytes | None:
        found = self._blobs.get(digest)
        return None if found is None else Bytes(found[0])

    def delete(self, digest: str) -> None:
        self._blobs.pop(digest, None)

    def blobs(self) -> Iterator[Stored]:
        for digest, (data, at) in list(self._blobs.items()):
            yield Stored(digest, len(data), at)

    def append(self, upload: str, offset: int) -> _Appender:
        with self._lock:
            data = self._uploads.get(upload, (bytearray(), 0))[0]
            if len(data) < offset:
                raise OSError("the upload is shorter")
            fresh = bytearray(data[:offset])
            self._uploads[upload] = (fresh, time.time_ns())
        return _Appender(fresh)

    def uploaded(self, upload: str) -> int | None:
        found = self._uploads.get(upload)
        return None if found is None else len(found[0])

    def peek(self, upload: str) -> Bytes | None:
        found = self._uploads.get(upload)
        return None if found is None else Bytes(found[0])

    def settle(self, upload: str) -> None: ...

    def commit(self, upload: str, digest: str) -> None:
        with self._lock:
            if upload not in self._uploads:
                raise FileNotFoundError(upload)
            self._blobs[digest] = (self._uploads.pop(upload)[0], time.time_ns())

    def abandon(self, upload: str) -> None:
        self._uploads.pop(upload, None)

    def uploads(self) -> Iterator[tuple[str, int]]:
        for upload, (_, at) in list(self._uploads.items()):
            yield upload, at
