"""The daemon's door to the archive helpers: short-lived processes that pack and unpack below a chroot.

A tree is named by a root: `Root("/path")` (chroot there), `Root(rootfs, pid=…)` (the mounts of a running
container, as it sees them; the process must have `rootfs` as its root, so a pid that is another's by now is refused) or
`Root("/mounted rootfs", binds=((host path, path inside, read-only), …), read_only=…)` (a container that is not running: its volumes are
put in place in a mount namespace of the helper). Jobs:

    await workers.stat(root, path) -> {"name", "size", "mode" (Go's bits), "mtime" (ns), "linkTarget"}
    await workers.unpack(root, chunks, path="/", strict_kind=False, owner=None)  # an async stream of tar, plain or compressed, → tree
    workers.pack(root, path, rebase=None, follow=False) -> AsyncIterator[bytes]  # rebase: the top member's name, "" = children
    await workers.run(job, fds) -> report                                        # any job of jobs.py; run_from, run_to: with a stream

The first item of a packed stream raises what is wrong with the path. Errors: `ArchiveError` (InvalidArgument) for a bad archive;
`PathNotFound`, `NotADirectory`, `ReadOnly`, `NoSpace`, else Internal. A cancelled call kills its helper. One helper is kept warm, a few
after much work.
"""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scow
from scow import log
from scow.aio import Supervisor, readable
from scow.errors import Forbidden, Internal, InvalidArgument, NotFound

logger = log.get(__name__)

Report = dict[str, Any]
_PIPE = 1 << 20
_READ = 128 << 10  # larger buffers leave malloc's heap, and fresh pages cost more than the reading
_LIMIT = 64
_IDLE_MAX = 4  # a new one costs 100 ms of processor time, and the layers of an image come several at a time
_IDLE_SECONDS = 15.0
_SO_SNDBUFFORCE = 32
_ANSWER_MAX = 256 << 20


class ArchiveError(InvalidArgument):
    """The archive is damaged, or does what is not allowed."""


class PathNotFound(NotFound):
    """No such path in the tree."""


class NotADirectory(InvalidArgument):
    """The path leads to something that is no directory."""


class ReadOnly(Forbidden):
    """The tree is mounted read-only."""


class NoSpace(Internal):
    """The disk (or the quota) is full."""


@dataclass(frozen=True, slots=True)
class Root:
    """Which tree a job works in."""

    path: str | Path = ""
    pid: int = 0
    binds: tuple[tuple[str, str, bool], ...] = ()
    read_only: bool = False

    def spec(self) -> Report:
        """The job's part that names the tree."""
        if self.pid:
            return {"pid": self.pid, "root": str(self.path) if self.path else ""}
        found: Report = {"root": str(self.path)}
        if self.binds or self.read_only:
            found |= {"private": True, "binds": [list(bind) for bind in self.binds], "read_only": self.read_only}
        return found


# what the archive asks for cannot be made where it is unpacked: over a mount (EBUSY), a link across mounts (EXDEV), in /sys (EACCES) …
_OF_THE_ARCHIVE = frozenset({
    errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.EPERM, errno.EINVAL, errno.EMLINK, errno.EBUSY,
    errno.EXDEV, errno.EACCES, errno.EOPNOTSUPP, errno.ENXIO, errno.ENODEV, errno.ETXTBSY, errno.ENOSYS, errno.ERANGE, errno.E2BIG,
    errno.EFBIG,
})  # fmt: skip


def _raise(answer: Report) -> None:
    message = str(answer.get("message", "the archive helper failed"))
    if answer["error"] == "malformed":
        raise ArchiveError(message)
    match answer.get("errno"):
        case errno.ENOENT:
            raise PathNotFound(message)
        case errno.ENOTDIR:
            raise NotADirectory(message)
        case errno.EROFS:
            raise ReadOnly(message)
        case errno.ENOSPC | errno.EDQUOT:
            raise NoSpace(message)
        case number if number in _OF_THE_ARCHIVE:
            raise ArchiveError(message)
        case errno.EPIPE:
            raise Internal("the reader of the archive has gone")
        case _:
            raise Internal(message)


class _Helper:
    """One helper process and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            search = [str(Path(scow.__file__).parent.parent), *(p for p in sys.path if p.endswith("-packages"))]
            code = f"import sys; sys.path[:0] = {search!r}; from scow.archive.worker import main; main()"
            command = [sys.executable, "-IS", "-c", code]
            self.pid = os.posix_spawn(
                sys.executable,
                command,
                {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGTERM],
            )
        self._sock = ours

    async def run(self, job: Report, fds: Sequence[int]) -> Report | None:
        """Do a job; None when the helper died."""
        loop = asyncio.get_running_loop()
        data = json.dumps(job).encode()
        try:
            socket.send_fds(self._sock, [struct.pack("=I", len(data))], list(fds))
            await loop.sock_sendall(self._sock, data)
            head = await self._read(4)
            size = struct.unpack("=I", head)[0]
            if size > _ANSWER_MAX:
                return None
            return dict(json.loads(await self._read(size)))
        except (ConnectionError, EOFError):
            return None

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            more = await loop.sock_recv(self._sock, min(size - len(data), 1 << 20))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def alive(self) -> bool:
        """Whether the process still listens."""
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def end(self) -> None:
        """Kill and reap it."""
        self._sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # with the copy that may be at work
        with contextlib.suppress(ChildProcessError):
            while True:  # its copy has become our child
                os.waitpid(-self.pid, 0)


class Workers:
    """Runs jobs in helpers; `close` ends the one kept warm. Called on the loop."""

    def __init__(self) -> None:
        self._idle: list[_Helper] = []
        self._trimming: asyncio.TimerHandle | None = None
        self._limit = asyncio.Semaphore(_LIMIT)
        self._tasks = Supervisor("archive")
        self._warm = False

    def warm(self) -> None:
        """From now on a helper is ready for the next job, however the one before ends."""
        self._warm = True
        if not self._idle:
            self._idle.append(_Helper())

    def close(self) -> None:
        """End the idle helpers."""
        self._warm = False
        if self._trimming is not None:
            self._trimming.cancel()
        while self._idle:
            self._idle.pop().end()

    def _trim(self) -> None:
        self._trimming = None
        while len(self._idle) > 1:
            self._idle.pop().end()

    def _take(self) -> _Helper:
        while self._idle:
            helper = self._idle.pop()
            if helper.alive():
                return helper
            helper.end()
        return _Helper()

    async def run(self, job: Report, fds: Sequence[int] = ()) -> Report:
        """Do a job of jobs.py. The descriptors stay the caller's. Raises as the module says; a cancelled call kills the helper."""
        async with self._limit:
            helper = self._take()
            keep = False
            try:
                answer = await helper.run(job, fds)
                if answer is None:
                    raise Internal(f"the archive helper died while it did {job['job']}")
                keep = not answer.pop("once", False) and len(self._idle) < _IDLE_MAX
            finally:
                if keep:
                    self._idle.append(helper)
                else:
                    helper.end()
                if self._warm:
                    with contextlib.suppress(OSError):
                        self.warm()
        if len(self._idle) > 1 and self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._trim)
        if "error" in answer:
            _raise(answer)
        return answer

    async def run_from(self, job: Report, chunks: AsyncIterable[bytes], fds: Sequence[int] = ()) -> Report:
        """Do a job that reads `chunks` as its first descriptor. A stream that fails fails the job, whatever it made of the beginning."""
        ours, theirs = channel()
        feeder = self._tasks.start(_quiet(feed(chunks, ours)), "feed")
        try:
            report = await self.run(job, [theirs.fileno(), *fds])
            if feeder.done() and (error := feeder.result()) is not None:
                raise error
            return report
        except ArchiveError:
            if feeder.done() and (error := feeder.result()) is not None:
                raise error from None
            raise
        finally:
            theirs.close()
            feeder.cancel()
            await asyncio.wait([feeder])

    async def run_to(self, job: Report, fds: Sequence[int] = ()) -> AsyncGenerator[bytes, None]:
        """Do a job that writes to its first descriptor: what it writes. Closing the iterator kills the helper."""
        read, write = pipe()

        async def do() -> Report:
            try:
                return await self.run(job, [write, *fds])
            finally:
                os.close(write)

        task = self._tasks.start(_outcome(do()), "pack")
        try:
            async for data in drain(read):
                yield data
            if (error := (await task)[1]) is not None:
                raise error
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def unpack(
        self, root: Root, chunks: AsyncIterable[bytes], path: str = "/", strict_kind: bool = False, owner: tuple[int, int] | None = None
    ) -> Report:
        """Unpack a tar stream into the directory `path` of a tree; `owner` takes the place of every owner in it."""
        job = {"job": "unpack", **root.spec(), "path": path, "strict_kind": strict_kind, "owner": owner}
        return await self.run_from(job, chunks)

    def pack(self, root: Root, path: str, rebase: str | None = None, follow: bool = False) -> AsyncGenerator[bytes, None]:
        """A path of a tree as a tar stream."""
        return self.run_to({"job": "pack", **root.spec(), "path": path, "rebase": rebase, "follow": follow})

    async def stat(self, root: Root, path: str) -> Report:
        """Describe a path of a tree, the last link not followed unless the path ends in a slash."""
        return dict((await self.run({"job": "stat", **root.spec(), "path": path}))["stat"])


async def _quiet(feeding: Awaitable[int]) -> Exception | None:
    try:
        await feeding
    except Exception as error:
        return error
    return None


async def _outcome(doing: Awaitable[Report]) -> tuple[Report, Exception | None]:
    try:
        return await doing, None
    except Exception as error:
        return {}, error


def pipe() -> tuple[int, int]:
    """A roomy pipe: (read end, write end)."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
    return read, write


async def feed(chunks: AsyncIterable[bytes], sock: socket.socket) -> int:
    """Write an async byte stream to a socket, then close it. Returns the bytes taken; stops quietly when the reader goes."""
    loop = asyncio.get_running_loop()
    total = 0
    with sock:
        sock.setblocking(False)
        async for chunk in chunks:
            total += len(chunk)
            try:
                await loop.sock_sendall(sock, chunk)
            except (BrokenPipeError, ConnectionResetError):
                break
    return total


def channel() -> tuple[socket.socket, socket.socket]:
    """A roomy stream socket pair. Unlike a pipe it does not call the writer for every page that is free again."""
    one, two = socket.socketpair()
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _PIPE)
    return one, two


async def drain(fd: int) -> AsyncIterator[bytes]:
    """What comes out of the read end of a pipe; closes it at the end."""
    try:
        os.set_blocking(fd, False)
        while True:
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                await readable(fd)
                continue
            if not data:
                return
            yield data
    finally:
        os.close(fd)
