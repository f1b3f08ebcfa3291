"""What a storage for blobs must do; `tests/contract/test_registry_storage.py` is the suite that every one passes.

Methods block and are called from pool threads, several at a time; one upload has one writer at a time. Digests and upload ids are checked
by the caller. What a storage can't do it says with OSError.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob in a listing; `modified_ns` since the epoch."""

    digest: str
    size: int
    modified_ns: int


class Blob(Protocol):
    """An opened blob (or upload): stays readable when it is deleted meanwhile. `fd` is a file with just these bytes, else -1."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def fd(self) -> int:
        """See the class."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on, b"" at the end."""
        ...

    def take(self) -> int:
        """`fd`, which is the caller's to close from now on."""
        ...

    def close(self) -> None:
        """Done; twice is fine."""
        ...


class Writer(Protocol):
    """The open end of an upload."""

    def write(self, data: memoryview) -> None:
        """Append all of `data`."""
        ...

    def close(self) -> None:
        """Done for now; twice is fine."""
        ...


class Driver(Protocol):
    """One storage."""

    def size(self, digest: str) -> int | None:
        """Bytes of a blob, None where it is absent."""
        ...

    def open(self, digest: str) -> Blob | None:
        """A blob to read, None where it is absent."""
        ...

    def delete(self, digest: str) -> None:
        """Remove a blob; absent is fine."""
        ...

    def blobs(self) -> Iterator[Stored]:
        """Every blob, in no order; those that come or go meanwhile may be missed."""
        ...

    def append(self, upload: str, offset: int) -> Writer:
        """Go on with an upload (begin it: offset 0) at `offset`; bytes behind that are dropped. Raises OSError where there are fewer."""
        ...

    def uploaded(self, upload: str) -> int | None:
        """Bytes of an upload, None where it is absent."""
        ...

    def peek(self, upload: str) -> Blob | None:
        """An upload to read while it grows (its `size` is that of this moment), None where it is absent."""
        ...

    def settle(self, upload: str) -> None:
        """Make the bytes of an upload survive a power cut. May take long."""
        ...

    def commit(self, upload: str, digest: str) -> None:
        """Make a settled upload the blob `digest`, in place of one that is there. Quick and atomic. Raises OSError where it is absent."""
        ...

    def abandon(self, upload: str) -> None:
        """Forget an upload; absent is fine."""
        ...

    def uploads(self) -> Iterator[tuple[str, int]]:
        """Every upload, with the ns of its last write."""
        ...
