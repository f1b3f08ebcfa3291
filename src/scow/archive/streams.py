"""Bytes of archives: chunks from a descriptor, compression found by its magic, hashing beside the reading, exact reads.

Used inside worker processes. Memory stays within a few chunks whatever the archive claims.
"""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from scow.archive.tar import Malformed

CHUNK = 1 << 20
_SLICE = 64 << 10
MAGICS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))


class Hasher:
    """sha256 of chunks on a thread of its own, so that reading, hashing and writing overlap (hashing releases the GIL)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[bytes | None] = queue.Queue(8)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.size = 0

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            self._hash.update(chunk)

    def update(self, chunk: bytes) -> None:
        """Add a chunk."""
        self.size += len(chunk)
        self._queue.put(chunk)

    def digest(self) -> str:
        """`sha256:…` of everything; ends the thread."""
        self._queue.put(None)
        self._thread.join()
        return "sha256:" + self._hash.hexdigest()


def ahead(source: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks of `source`, which a thread of its own brings, a few in advance: decompression beside the making of files.

    A consumer that stops early leaves the thread waiting; its process ends then."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(4)

    def bring() -> None:
        try:
            for chunk in source:
                ready.put(chunk)
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    threading.Thread(target=bring, daemon=True).start()
    while (found := ready.get()) is not None:
        if isinstance(found, BaseException):
            raise found
        yield found


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def detect(head: bytes) -> str:
    """The compression a stream starts with: gzip, bzip2, xz, zstd, or "" for none known."""
    for magic, name in MAGICS:
        if head.startswith(magic):
            return name
    return ""


def chunks(fd: int) -> Iterator[bytes]:
    """What can be read from a descriptor, until its end. The first chunk has at least six bytes if the stream has."""
    head = b""
    while len(head) < 6 and (more := os.read(fd, CHUNK)):
        head += more
    if head:
        yield head
    while data := os.read(fd, CHUNK):
        yield data


def _members(source: Iterator[bytes], make: Callable[[], Any], limited: bool) -> Iterator[bytes]:
    """Decompress members one after the other; `limited`: the zlib way to bound output (unconsumed_tail), else that of bz2 and lzma."""
    engine = make()
    fresh = True
    for whole in source:
        for at in range(0, len(whole), _SLICE):
            data = whole[at : at + _SLICE]
            while data or (not limited and not fresh and not engine.eof and not engine.needs_input):
                if engine.eof:
                    data = data.lstrip(b"\0") if fresh else data
                    if not data:
                        break
                    engine = make()
                fresh = False
                out = engine.decompress(data, CHUNK)
                if out:
                    yield out
                if engine.eof:
                    data = engine.unused_data
                    fresh = True
                elif limited:
                    data = engine.unconsumed_tail
                else:
                    data = b""
    if limited and not engine.eof:
        while out := engine.decompress(engine.unconsumed_tail, CHUNK):
            yield out
    if not engine.eof:
        raise Malformed("unexpected end of the compressed data")


class _Pull:
    """A file-like face for zstandard's reader."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._source, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _zstd(source: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(cast(IO[bytes], _Pull(source)), read_across_frames=True)
    while data := reader.read(CHUNK):
        yield data


def load(compression: str) -> None:
    """Import what a compression needs (before the root of the process changes)."""
    # once inside, an import would read the container's files
    if compression == "gzip":
        from isal import isal_zlib  # noqa: F401
    elif compression == "bzip2":
        import bz2  # noqa: F401
    elif compression == "xz":
        import lzma  # noqa: F401
    elif compression == "zstd":
        import zstandard  # noqa: F401


def decompress(source: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """The plain bytes of a stream. Damaged data raises Malformed."""
    try:
        if compression == "gzip":
            from isal import isal_zlib

            yield from _members(source, lambda: isal_zlib.decompressobj(wbits=31), True)
        elif compression == "bzip2":
            import bz2

            yield from _members(source, bz2.BZ2Decompressor, False)
        elif compression == "xz":
            import lzma

            yield from _members(source, lambda: lzma.LZMADecompressor(memlimit=256 << 20), False)
        elif compression == "zstd":
            yield from _zstd(source)
        else:
            yield from source
    except (Malformed, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Malformed(str(error) or "the compressed data is damaged") from None
    except (EOFError, ValueError, MemoryError) as error:
        raise Malformed(f"the compressed data is damaged: {error}") from None
    except Exception as error:  # each library has an error class of its own
        if type(error).__module__.partition(".")[0] in ("isal", "igzip_lib", "zlib", "lzma", "_lzma", "zstandard", "zstd"):
            raise Malformed(f"the compressed data is damaged: {error}") from None
        raise


class Source:
    """Exact reads over chunks."""

    def __init__(self, stream: Iterator[bytes], watch: Callable[[bytes], None] | None = None) -> None:
        self._stream = stream
        self.watch = watch
        self._data = b""
        self._at = 0

    def _more(self) -> bool:
        self._data = next(self._stream, b"")
        self._at = 0
        if self._data and self.watch:
            self.watch(self._data)
        return bool(self._data)

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes; b"" at the very end. Raises Malformed when the stream ends in between."""
        end = self._at + size
        if end <= len(self._data):
            part = self._data[self._at : end]
            self._at = end
            return part
        parts = [self._data[self._at :]]
        need = size - len(parts[0])
        while need and self._more():
            parts.append(self._data[:need])
            self._at = len(parts[-1])
            need -= self._at
        if not need:
            return b"".join(parts)
        if need == size:
            return b""
        raise Malformed("unexpected EOF in the tar archive")

    def copy(self, size: int, sink: Callable[[memoryview], object]) -> None:
        """Hand `size` bytes to `sink` in pieces. Raises Malformed when the stream ends before."""
        while size:
            if self._at == len(self._data) and not self._more():
                raise Malformed("unexpected EOF in the tar archive")
            piece = memoryview(self._data)[self._at : self._at + size]
            sink(piece)
            self._at += len(piece)
            size -= len(piece)

    def write(self, size: int, padding: int, fd: int) -> None:
        """Write `size` bytes to a descriptor and pass over `padding`. Raises Malformed when the stream ends before."""
        at, end = self._at, self._at + size
        if end + padding <= len(self._data):  # most files lie within one chunk
            done = os.write(fd, self._data[at:end] if size <= _SLICE else memoryview(self._data)[at:end])
            if done < size:
                write_all(fd, memoryview(self._data)[at + done : end])
            self._at = end + padding
            return
        self.copy(size, lambda piece: write_all(fd, piece))
        self.pad(padding)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; a stream that ends within is Malformed."""
        self.copy(size, len)

    def pad(self, size: int) -> None:
        """Pass over the padding behind a file. The stream may end here: Go's tar writers leave the last one off when not closed."""
        while size and (self._at < len(self._data) or self._more()):
            passed = min(size, len(self._data) - self._at)
            self._at += passed
            size -= passed

    def drain(self) -> None:
        """Read to the end, so that a hash covers everything and the writer of a pipe can finish."""
        while self._more():
            pass
