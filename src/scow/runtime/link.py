"""The daemon's connection to its keeper: starts one or finds the living, matches replies to requests, reports its end.

Stored: run/keeper.sock, run/keeper.pid, run/keeper.log. Used by `runtime.task` only.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scow import keeper
from scow.errors import Internal, InvalidArgument, Unavailable
from scow.keeper import protocol
from scow.kernel import spawn

_HELLO = 20.0
Reply = tuple[dict[str, Any], dict[str, int]]


class KeeperGone(Unavailable):
    """The keeper ended before it answered."""


class Link:
    """One connection. `on_event(message, fds)` gets events, the descriptors pass to it; `on_lost()` once, unless closed."""

    def __init__(self, run_dir: Path, on_event: Callable[[dict[str, Any], dict[str, int]], None], on_lost: Callable[[], None]) -> None:
        self._run = run_dir
        self._on_event, self._on_lost = on_event, on_lost
        self._sock: socket.socket | None = None
        self._pid = 0
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._queue: deque[tuple[bytes, list[int]]] = deque()

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._sock is not None

    async def open(self) -> bool:
        """Connect to the living keeper, else start one; True if it was living. Its processes come first."""
        path = str(self._run / "keeper.sock")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        found = True
        try:
            sock.connect(path)
        except OSError:
            found = False
            self._start(path)
            sock.connect(path)
        sock.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)
        async with asyncio.timeout(_HELLO):
            hello, _ = await self.request({"op": "hello", "version": protocol.VERSION})
        if hello["version"] != protocol.VERSION:
            raise Internal(f"the running keeper speaks version {hello['version']}, not {protocol.VERSION}: stop its containers first")
        self._pid = int(hello["pid"])
        return found

    def _start(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as listener:
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(8)
            errors = os.open(self._run / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                program = str(Path(keeper.__file__).with_name("__main__.py"))
                argv = [sys.executable, "-IS", program, str(self._run)]
                self._pid = spawn.spawn(argv, {1: errors, 2: errors, 3: listener.fileno()}, new_session=True)
            finally:
                os.close(errors)
        (self._run / "keeper.pid").write_text(f"{self._pid}\n")

    def send(self, message: dict[str, Any], fds: dict[str, int] | None = None) -> None:
        """Send without awaiting an answer; the descriptors stay the caller's. KeeperGone."""
        if self._sock is None:
            raise KeeperGone("the keeper is not there")
        found = fds or {}
        try:
            data = protocol.pack({**message, "fds": list(found)})
        except ValueError:
            raise InvalidArgument("the container's log options (or the labels and variables they name) are too long") from None
        if not self._queue:
            try:
                socket.send_fds(self._sock, [data], list(found.values()))
                return
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._sock.fileno(), self._writable)
            except OSError as error:
                raise KeeperGone("the keeper is not there") from error
        self._queue.append((data, [os.dup(fd) for fd in found.values()]))

    def begin(self, message: dict[str, Any], fds: dict[str, int] | None = None) -> "asyncio.Future[Reply]":
        """Send a request now; the future is its reply with descriptors that pass to the caller (see `request`). KeeperGone."""
        self._next += 1
        number = self._next
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.send({**message, "n": number}, fds)
        self._waiting[number] = future
        future.add_done_callback(lambda _future: self._waiting.pop(number, None))
        return future

    async def request(self, message: dict[str, Any], fds: dict[str, int] | None = None) -> Reply:
        """Ask and await the reply. KeeperGone; Internal when the keeper refuses."""
        return await self.begin(message, fds)

    def _writable(self) -> None:
        while self._queue and self._sock is not None:
            data, fds = self._queue[0]
            try:
                socket.send_fds(self._sock, [data], fds)
            except BlockingIOError:
                return
            except OSError:
                break
            self._queue.popleft()
            for fd in fds:
                os.close(fd)
        if self._sock is not None:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(64):
            if self._sock is None:
                return
            try:
                received = protocol.receive(self._sock)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended with requests unread; what it had said before is still to be read
            except (OSError, ValueError):
                received = None
            if received is None:
                self._lost()
                return
            message, fds = received
            named = dict(zip(message.get("fds", ()), fds, strict=False))
            if "re" in message:
                future = self._waiting.get(message["re"])
                if future is not None and not future.done() and "error" in message:
                    future.set_exception(Internal(f"keeper: {message['error']}"))
                elif future is not None and not future.done():
                    future.set_result((message, named))
                else:
                    for fd in fds:
                        os.close(fd)
            else:
                self._on_event(message, named)

    def _lost(self) -> None:
        self.close()
        self._on_lost()

    def reap(self) -> None:
        """Collect an ended keeper, if it was our child."""
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, os.WNOHANG)

    def close(self) -> None:
        """Give the connection up; requests under way end with KeeperGone."""
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._sock = None
        for _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._queue.clear()
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(KeeperGone("the keeper ended"))
