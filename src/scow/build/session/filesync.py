"""Receiving a tree of files from a client: BuildKit's DiffCopy (fsutil's protocol), the daemon's half. Nothing is stored here.

The client sends a stat of everything, in order; what differs from the tree of last time is asked for and written below a directory
that holds that tree. A stream of stats that is byte for byte the one of last time needs no parsing at all. Modes are Go's FileMode.
Whatever the client says, nothing is written outside the directory: a name's parent must be a directory announced before it.
"""

import os
import shutil
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow import aio
from scow.build.session import messages, rpc
from scow.errors import InvalidArgument, ScowError

_STAT, _REQ, _DATA, _FIN, _ERR = range(5)
_DIR, _SYMLINK, _DEVICE, _FIFO, _SOCKET, _SETUID, _SETGID, _CHAR, _STICKY, _IRREGULAR = (
    1 << bit for bit in (31, 27, 26, 25, 24, 23, 22, 21, 20, 19)
)
_TYPE = _DIR | _SYMLINK | _DEVICE | _FIFO | _SOCKET | _CHAR | _IRREGULAR
MAX_ENTRIES = 4_000_000
MAX_STAT_BYTES = 1 << 30
_MAX_REQUESTS = 2000
"""Requests that wait for data. They fit into the smallest window (64 KiB), so that asking never waits for somebody who waits for us."""
_MAX_OPEN = 1000
_MAX_NAME = 4096
_LAST_STAT = b""  # a packet of type PACKET_STAT without a stat has no bytes at all


class BrokenStream(InvalidArgument):
    """The client's stream is not what the protocol allows."""


class ClientFailed(ScowError):
    """The client reported an error of its own while sending."""

    foreign = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a tree, as the client described it. Owners on the client's machine mean nothing here: all belongs to root."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    link: str
    xattrs: tuple[tuple[str, bytes], ...] = ()
    device: int = 0
    """The number of a device."""

    @property
    def kind(self) -> int:
        """Go's type bits, 0 = a regular file."""
        return self.mode & _TYPE

    @property
    def permissions(self) -> int:
        """Unix permission bits."""
        special = (
            (stat.S_ISUID if self.mode & _SETUID else 0)
            | (stat.S_ISGID if self.mode & _SETGID else 0)
            | (stat.S_ISVTX if self.mode & _STICKY else 0)
        )
        return self.mode & 0o777 | special

    def same(self, other: "Entry | None") -> bool:
        """Whether nothing that matters differs; of directories the time does not."""
        if other is None or self.kind == _DIR:
            return other is not None and (self.mode, self.xattrs) == (other.mode, other.xattrs)
        return self == other


@dataclass(slots=True)
class Tree:
    """What was received: the stats as they came."""

    stream: list[bytes] = field(default_factory=list)

    def entries(self) -> dict[str, Entry]:
        """The entries by path, checked."""
        return _checked(self.stream)

    def dump(self) -> bytes:
        """For a file: the number of stats, then each behind its size."""
        parts = [len(self.stream).to_bytes(4, "big")]
        for message in self.stream:
            parts += (len(message).to_bytes(4, "big"), message)
        return b"".join(parts)

    @classmethod
    def load(cls, data: bytes) -> "Tree":
        """What `dump` wrote; ValueError when it is damaged."""
        at, tree = 4, cls()
        for _ in range(int.from_bytes(data[:4], "big")):
            size = int.from_bytes(data[at : at + 4], "big")
            if at + 4 + size > len(data):
                break
            tree.stream.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        if at != len(data) or len(data) < 4 or len(tree.stream) != int.from_bytes(data[:4], "big"):
            raise ValueError("a damaged record of a tree")
        return tree


Progress = Callable[[int, bool], None]


async def receive(call: rpc.Call, previous: Tree | None, root: Callable[[], Awaitable[Path]], progress: Progress) -> tuple[Tree, bool]:
    """Receive a tree over `call`. `root()` gives the directory that holds `previous` (or nothing) and is asked for only when something
    has to
    be written. Answers the new tree and whether it differs. `progress(bytes so far, finished)`.

    The names of `call`'s metadata (what to include…) are the caller's business.
    """
    tree = Tree()
    total = await _stats(call, tree, progress)
    changed = previous is None or previous.stream != tree.stream
    if changed:
        writer = await aio.in_pool(_Writer, tree, previous)
        changed = writer.changed
        if changed:
            await _data(call, writer, await root(), total, progress)
    await call.send(messages.FSUTIL.Packet(type=_FIN))
    while batch := await call.batch():
        for message in batch:
            if messages.FSUTIL.Packet.FromString(message).type == _ERR:
                raise ClientFailed("the client could not send its files")
            await call.finish()
    call.check()
    return tree, changed


async def _stats(call: rpc.Call, tree: Tree, progress: Progress) -> int:
    """Read stats to the last one; the number of bytes that came."""
    total = 0
    while True:
        batch = await call.batch()
        if not batch:
            call.check()
            raise BrokenStream("the client ended the transfer of its files before the end")
        for at, message in enumerate(batch):
            if message == _LAST_STAT:
                if at != len(batch) - 1:
                    _refuse(batch[at + 1])
                progress(total, False)
                return total
            if message[0] == 0x08:  # a packet with a type: not a stat
                _refuse(message)
            total += len(message)
            tree.stream.append(message)
        if len(tree.stream) > MAX_ENTRIES or total > MAX_STAT_BYTES:
            raise BrokenStream(f"the context has more than {MAX_ENTRIES} files: leave some out with .dockerignore")
        progress(total, False)


def _refuse(message: bytes) -> None:
    packet = _packet(message)
    if packet.type == _ERR:
        raise ClientFailed(f"error from sender: {packet.data.decode(errors='replace')[:1000]}")
    if packet.type != _STAT:
        raise BrokenStream("the client sends data that nobody asked for")


def _packet(message: bytes) -> Any:
    try:
        return messages.FSUTIL.Packet.FromString(message)
    except Exception as error:
        raise BrokenStream("the client sends packets that cannot be read") from error


def _checked(stream: list[bytes]) -> dict[str, Entry]:
    """The entries of a stream of stats; `BrokenStream` for names and links that could lead out of the tree."""
    entries: dict[str, Entry] = {}
    for message in stream:
        one = _packet(message).stat
        path = one.path
        if not path or len(path) > _MAX_NAME or path[0] == "/" or "\0" in path:
            raise BrokenStream(f"a file name that is not allowed: {path[:100]!r}")
        parent, slash, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise BrokenStream(f"a file name that is not allowed: {path[:100]!r}")
        if slash and ((above := entries.get(parent)) is None or above.mode & _DIR == 0):
            raise BrokenStream(f"{path[:100]!r} comes before its directory, or below something that is none")
        if path in entries:
            raise BrokenStream(f"{path[:100]!r} comes twice")
        if one.size < 0:
            raise BrokenStream(f"{path[:100]!r} has a size below zero")
        xattrs = tuple(sorted(one.xattrs.items())) if one.xattrs else ()
        entry = Entry(path, one.mode, one.size, one.modTime, one.linkname, xattrs, _number(one) if one.mode & _DEVICE else 0)
        if entry.kind == 0 and entry.link:
            target = entries.get(entry.link)
            if target is None or target.kind:
                raise BrokenStream(f"{path[:100]!r} is a hard link to something that is not a file of the context: {entry.link[:100]!r}")
        entries[path] = entry
    return entries


def _number(one: Any) -> int:
    if not (0 <= one.devmajor < 1 << 12 and 0 <= one.devminor < 1 << 20):
        raise BrokenStream(f"{one.path[:100]!r} is a device with an impossible number")
    return os.makedev(one.devmajor, one.devminor)


class _Writer:
    """Brings a directory from one tree to the next. Files are replaced, never changed: others may have hard links to them. Runs in pool
    threads."""

    def __init__(self, tree: Tree, previous: Tree | None) -> None:
        self.new = tree.entries()
        self.old = previous.entries() if previous is not None else {}
        self.wanted: list[tuple[int, Entry]] = []
        self.updates: list[Entry] = []
        for number, (path, entry) in enumerate(self.new.items()):
            before = self.old.get(path)
            if entry.kind == 0 and not entry.link:
                if entry != before:
                    self.wanted.append((number, entry))
            elif not entry.same(before):
                self.updates.append(entry)
        self.gone = [path for path in self.old if path not in self.new]
        self.changed = bool(self.wanted or self.updates or self.gone)
        self._asked: dict[int, Entry] = {}
        self._open: dict[int, int] = {}
        self._root = ""

    def prepare(self, root: Path) -> None:
        """Remove what is gone, make what has no content."""
        self._root = str(root)
        for path in self.gone:
            self._remove(path)
        for entry in self.updates:
            before = self.old.get(entry.path)
            if before is not None and before.kind != entry.kind:
                self._remove(entry.path)
                before = None
            if entry.kind == _DIR:
                if before is None:
                    os.mkdir(self._at(entry.path), 0o700)
                self._attributes(entry)
            elif entry.kind == 0:
                continue  # a hard link, whose file may have to be fetched first
            else:
                if before is not None:
                    self._remove(entry.path)
                self._make(entry)
        for _, entry in self.wanted:
            if entry.path in self.old:
                self._remove(entry.path)

    def ask(self, number: int, entry: Entry) -> None:
        """The content of this file was asked for."""
        self._asked[number] = entry

    def write(self, batch: list[bytes]) -> tuple[int, int]:
        """Take packets with data: how many bytes they were, and how many files have ended."""
        size = ended = 0
        for message in batch:
            packet = _packet(message)
            if packet.type != _DATA:
                _refuse(message)
                raise BrokenStream("the client sends something else than the data it was asked for")
            number, data = packet.ID, packet.data
            if number not in self._asked:
                raise BrokenStream("the client sends data that nobody asked for")
            fd = self._open.get(number)
            if fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = self._open[number] = os.open(self._at(self._asked[number].path), flags, 0o600)
                if len(self._open) > _MAX_OPEN:
                    raise BrokenStream("the client sends too many files at once")
            if data:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                size += len(data)
            else:
                entry = self._asked.pop(number)
                os.fchmod(fd, entry.permissions)
                _set_xattrs(fd, entry)
                os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
                os.close(self._open.pop(number))
                ended += 1
        return size, ended

    def finish(self) -> None:
        """Hard links, and the times of directories."""
        for entry in self.new.values():
            if entry.kind == 0 and entry.link:
                if entry.path in self.old and os.path.lexists(self._at(entry.path)):
                    self._remove(entry.path)
                os.link(self._at(entry.link), self._at(entry.path), follow_symlinks=False)
        for entry in self.new.values():
            if entry.kind == _DIR:
                os.utime(self._at(entry.path), ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def close(self) -> None:
        """Close what is open still."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _remove(self, path: str) -> None:
        where = self._at(path)
        try:
            os.unlink(where)
        except IsADirectoryError:
            shutil.rmtree(where)
        except (FileNotFoundError, NotADirectoryError):
            pass  # it went with its directory

    def _make(self, entry: Entry) -> None:
        where = self._at(entry.path)
        if entry.kind == _SYMLINK:
            os.symlink(entry.link, where)
        elif entry.kind == _FIFO:
            os.mkfifo(where, 0o600)
        elif entry.kind == _SOCKET:
            return  # means nothing without its server
        elif entry.kind in (_DEVICE, _DEVICE | _CHAR) and entry.device:  # as BuildKit; nobody but root reaches contexts
            os.mknod(where, 0o600 | (stat.S_IFCHR if entry.kind & _CHAR else stat.S_IFBLK), entry.device)
        else:
            raise BrokenStream(f"{entry.path!r} is no file that a build context can hold (leave it out with .dockerignore)")
        self._attributes(entry)

    def _attributes(self, entry: Entry) -> None:
        where = self._at(entry.path)
        if entry.kind != _SYMLINK:
            os.chmod(where, entry.permissions)
            _set_xattrs(where, entry)
        if entry.kind != _DIR:
            os.utime(where, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _set_xattrs(where: int | str, entry: Entry) -> None:
    for name, value in entry.xattrs:
        if name.startswith("user.") or name == "security.capability":
            os.setxattr(where, name, value)


async def _data(call: rpc.Call, writer: _Writer, root: Path, total: int, progress: Progress) -> None:
    """Ask for what is wanted, a bounded number of files at a time, and write it."""
    await aio.in_pool(writer.prepare, root)
    waiting, left = 0, len(writer.wanted)
    wanted = iter(writer.wanted)
    try:
        while True:
            requests: list[bytes] = []
            while left and (waiting < _MAX_REQUESTS // 2 or (requests and waiting < _MAX_REQUESTS)):
                number, entry = next(wanted)
                left -= 1
                waiting += 1
                writer.ask(number, entry)
                requests.append(messages.FSUTIL.Packet(type=_REQ, ID=number).SerializeToString())
            if requests:
                await call.send_many(requests)
            if not waiting:
                break
            batch = await call.batch()
            if not batch:
                call.check()
                raise BrokenStream("the client ended the transfer of its files before the end")
            size, ended = await aio.in_pool(writer.write, batch)
            waiting -= ended
            total += size
            progress(total, False)
        await aio.in_pool(writer.finish)
    finally:
        writer.close()
