"""The content store on a local disk.

A blob appears under its digest by rename, so it is whole or absent; what is left in `ingest/` after a crash is removed by `recover`.
`partial/` keeps the bytes of broken-off downloads for the next try, until `expire`.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from scow.errors import DataLoss, Internal, InvalidArgument, NotFound

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_SMALL_MAX = 32 << 20
KEPT_SECONDS = 24 * 3600.0


def check(digest: str) -> str:
    """The digest, if it is one. Raises InvalidArgument."""
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        raise InvalidArgument(f"invalid digest: {str(digest)[:100]!r}")
    return digest


def digest_of(data: bytes) -> str:
    """`sha256:…` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Ingest:
    """A directory of files that are being written; as a context manager it removes what was not committed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "Ingest":
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name: str = "data") -> int:
        """A new file to write; the descriptor is the caller's."""
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


class ContentStore:
    """Blobs below `root`."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        self._partial = root / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._ingest.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob is or would be. Raises InvalidArgument."""
        return self._blobs / check(digest).removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """Bytes of a blob. Raises NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"content {digest} not found") from None

    def open(self, digest: str) -> int:
        """A descriptor to read the blob; the caller's. Raises NotFound."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"content {digest} not found") from None

    def read(self, digest: str) -> bytes:
        """A small blob, verified. Raises NotFound, DataLoss."""
        if self.size(digest) > _SMALL_MAX:
            raise InvalidArgument(f"content {digest} is too large")
        data = self.path(digest).read_bytes()
        if digest_of(data) != digest:
            raise DataLoss(f"content {digest} is damaged on disk; load the image again")
        return data

    def ingest(self) -> Ingest:
        """A place for files that are not verified yet."""
        return Ingest(self._ingest / secrets.token_hex(8))

    def commit(self, file: Path, digest: str) -> None:
        """Make an ingested file the blob `digest`, which the caller has verified. There already: fine."""
        file.chmod(0o644)
        file.rename(self.path(digest))

    def put(self, data: bytes, durable: bool = True) -> str:
        """Store bytes; their digest. Raises Internal when the disk is full.

        `durable`: they survive a crash of the host when this returns."""
        digest = digest_of(data)
        if self.has(digest):
            return digest
        file = self._ingest / secrets.token_hex(8)
        try:
            with file.open("xb") as out:
                out.write(data)
                if durable:
                    out.flush()
                    os.fsync(out.fileno())
            self.commit(file, digest)
        except OSError as error:
            with contextlib.suppress(OSError):
                file.unlink()
            raise Internal(f"cannot store content: {(error.strerror or str(error)).lower()}") from error
        return digest

    def partial(self, digest: str) -> Path:
        """Where bytes of a download that is not whole are kept for the next try. Raises InvalidArgument."""
        return self._partial / check(digest).removeprefix("sha256:")

    def demote(self, digest: str) -> None:
        """Make a blob that nothing uses a finished download again, so that the next try finds it; absent is fine."""
        with contextlib.suppress(FileNotFoundError):
            path = self.path(digest)
            path.rename(self.partial(digest))
            os.utime(self.partial(digest))

    def expire(self, seconds: float, keep: "set[str] | frozenset[str]" = frozenset()) -> int:
        """Remove kept bytes of downloads (but those in `keep`) that nobody went on with for so long; how many bytes."""
        freed = 0
        before = time.time() - seconds
        for entry in os.scandir(self._partial):
            with contextlib.suppress(FileNotFoundError):
                info = entry.stat(follow_symlinks=False)
                if info.st_mtime <= before and "sha256:" + entry.name not in keep:
                    os.unlink(entry.path)
                    freed += info.st_size
        return freed

    def delete(self, digest: str) -> None:
        """Remove a blob; absent is fine."""
        with contextlib.suppress(FileNotFoundError):
            self.path(digest).unlink()

    def digests(self) -> list[str]:
        """Every blob."""
        return ["sha256:" + name for name in os.listdir(self._blobs) if len(name) == 64]

    def recover(self) -> None:
        """Remove what a crash left half-written, and downloads that nobody went on with."""
        self.expire(KEPT_SECONDS)
        for entry in self._ingest.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
