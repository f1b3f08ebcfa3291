"""A process the daemon knows to live: its descriptors, so that it outlives a keeper. Used by `runtime.task` only."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import Any

from scow.keeper import hold
from scow.runtime.types import Attachment, Exit, Stdio


class Live:
    """One container init or exec. `fds`: pidfd and duplicates of the keeper's stdio descriptors, closed by `close`."""

    def __init__(self, meta: dict[str, Any], fds: dict[str, int]) -> None:
        self.meta = meta
        self.fds = fds
        self.exit: Exit | None = None
        self.reaped: tuple[int, int] | None = None  # code and time, if this daemon was the parent
        self.deadline = 0.0

    @property
    def container_id(self) -> str:
        return str(self.meta["id"])

    @property
    def exec_id(self) -> str:
        return str(self.meta["exec"])

    @property
    def pid(self) -> int:
        return int(self.meta["pid"])

    def drop(self, name: str) -> None:
        """Close one descriptor."""
        fd = self.fds.pop(name, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Close all."""
        for name in list(self.fds):
            self.drop(name)


class Kit:
    """The descriptors of a process to be started: both ends of its stdio, console socket, hold, clients."""

    def __init__(self, stdio: Stdio, with_hold: bool, attachments: list[Attachment], console: Path) -> None:
        self.fds: dict[str, int] = {}
        self.console = console if stdio.tty else None
        self._listener: socket.socket | None = None
        self.attachments = attachments
        try:
            self._fill(stdio, with_hold)
        except BaseException:
            self.close()
            raise

    def _fill(self, stdio: Stdio, with_hold: bool) -> None:
        if with_hold:
            self.fds["hold"] = hold.create()
        if stdio.tty:
            assert self.console is not None
            with contextlib.suppress(FileNotFoundError):
                self.console.unlink()
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self._listener.bind(str(self.console))
            self._listener.listen(1)
            self.fds["console"] = self._listener.fileno()
        else:
            if stdio.stdin:
                self.fds["child_in"], self.fds["in"] = os.pipe2(os.O_CLOEXEC)
            for name in ("out", "err"):
                self.fds[name], self.fds[f"child_{name}"] = os.pipe2(os.O_CLOEXEC)
                grow(self.fds[name])
        for number, attachment in enumerate(self.attachments):
            self.fds[f"client{number}"] = attachment.sock.fileno()
            if attachment.early:
                self.fds[f"early{number}"] = early_file(attachment.early)

    def listener(self) -> socket.socket | None:
        """The console socket."""
        return self._listener

    def held(self) -> dict[str, int]:
        """The descriptors that stay ours once the process runs; they leave the kit."""
        return {name: self.fds.pop(name) for name in ("in", "out", "err", "hold") if name in self.fds}

    def close(self) -> None:
        """Close what is left, the clients' sockets and the console socket too."""
        for name, fd in self.fds.items():
            if name != "console" and not name.startswith("client"):
                os.close(fd)
        self.fds.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self.console is not None:
            with contextlib.suppress(FileNotFoundError):
                self.console.unlink()
        for attachment in self.attachments:
            attachment.sock.close()


def grow(fd: int) -> None:
    """A larger pipe: fewer turns at high rates; the default is fine where the kernel refuses."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 256 * 1024)


def early_file(data: bytes) -> int:
    """Bytes read past a request head, as a descriptor."""
    fd = os.memfd_create("early", os.MFD_CLOEXEC)
    os.write(fd, data)
    return fd


def options(attachment: Attachment) -> dict[str, Any]:
    """What the keeper needs to know of a client."""
    return {
        "stdin": attachment.stdin,
        "stdout": attachment.stdout,
        "stderr": attachment.stderr,
        "mux": attachment.mux,
        "keys": attachment.detach_keys.hex(),
    }
