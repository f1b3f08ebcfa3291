"""Joins a raw connection (attach, exec, run) with the program's own streams, in one loop with bounded buffers; proxies signals."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself imports enum
import posix
import select

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.client.transport import Connection

from scow.cli.terminal import Escape, RawMode, is_terminal
from scow.errors import ScowError

CHUNK = 64 * 1024
PROXIED = {1: "HUP", 2: "INT", 3: "QUIT", 10: "USR1", 12: "USR2", 14: "ALRM", 15: "TERM", 20: "TSTP"}


_PLACES = {1: "/dev/stdout", 2: "/dev/stderr"}


class OutputGone(BrokenPipeError):
    """Nobody reads our standard output any more: no error to tell of, see `main`."""


def write_all(fd: int, data: bytes) -> None:
    """Writes everything to a descriptor. Raises OutputGone."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(fd, view) :]
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()
        except BrokenPipeError:
            raise OutputGone from None
        except OSError as exc:
            raise ScowError(f"write {_PLACES.get(fd, fd)}: {(exc.strerror or str(exc)).lower()}") from None


class _Demux:
    """Writes a multiplexed stream to descriptors 1 and 2."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._channel = 0
        self.error = b""

    def feed(self, data: bytes) -> None:
        at, size = 0, len(data)
        while at < size:
            if not self._left:
                need = 8 - len(self._header)
                self._header += data[at : at + need]
                at += need
                if len(self._header) == 8:
                    self._channel = self._header[0]
                    self._left = int.from_bytes(self._header[4:], "big")
                    self._header = b""
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._channel == 3:
                self.error += part[:4096]
            else:
                write_all(2 if self._channel == 2 else 1, part)


def relay(conn: Connection, tty: bool, stdin: bool, detach_keys: bytes = b"") -> bool:
    """Runs until the daemon ends the stream; True when the user detached. Raises ScowError for an error inside the stream."""
    if tty and stdin and is_terminal(0):
        with RawMode(0):
            detached = _loop(conn, None, stdin, Escape(detach_keys))
        if detached:
            write_all(2, b"read escape sequence\n")
        return detached
    demux = None if tty else _Demux()
    detached = _loop(conn, demux, stdin, Escape(detach_keys) if tty else None)
    if demux is not None and demux.error:
        raise ScowError(demux.error.decode("utf-8", "replace").strip())
    return detached


def _loop(conn: Connection, demux: _Demux | None, stdin: bool, escape: Escape | None) -> bool:
    poller = select.poll()
    fd = conn.fileno()
    poller.register(fd, select.POLLIN)
    waiting = b""
    listening = stdin
    if listening:
        try:
            poller.register(0, select.POLLIN)
        except (OSError, ValueError):
            listening = False
            conn.eof_write()
    ready: list[tuple[int, int]]
    while True:
        ready = [(fd, select.POLLIN)] if conn.buffered() else poller.poll()
        for source, events in ready:
            if source == fd and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                data = conn.recv(CHUNK)
                if not data:
                    return False
                if demux is None:
                    write_all(1, data)
                else:
                    demux.feed(data)
            if source == fd and events & select.POLLOUT and waiting:
                waiting = _push(conn, waiting)
                if not waiting:
                    poller.modify(fd, select.POLLIN)
                    if listening:
                        poller.register(0, select.POLLIN)
                    else:
                        conn.eof_write()
            if source == 0 and fd != 0:
                typed = _typed()
                ended = not typed
                if escape is not None and typed:
                    typed, detached = escape.feed(typed)
                    if detached:
                        return True
                if typed:
                    waiting = _push(conn, typed)
                if ended or waiting:
                    poller.unregister(0)
                    listening = listening and not ended
                if waiting:
                    poller.modify(fd, select.POLLIN | select.POLLOUT)
                elif ended:
                    conn.eof_write()


def _typed() -> bytes:
    try:
        return posix.read(0, CHUNK)
    except OSError:
        return b""


def _push(conn: Connection, data: bytes) -> bytes:
    try:
        return data[conn.try_send(data) :]
    except OSError:
        return b""  # the peer takes no more input; its output still comes


class Signals:
    """Hands the signals of PROXIED to `send(name)` while the context lasts, and SIGWINCH to `resized`."""

    def __init__(self, send: Callable[[str], None] | None, resized: Callable[[], None] | None = None) -> None:
        self._send = send
        self._resized = resized
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if self._send is not None:
            for number in PROXIED:
                self._old[number] = _signal.signal(number, self._handle)
        if self._resized is not None:
            self._old[28] = _signal.signal(28, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            _signal.signal(number, old if old is not None else _signal.SIG_DFL)

    def _handle(self, number: int, _frame: object) -> None:
        try:
            if number == 28:
                if self._resized is not None:
                    self._resized()
            elif self._send is not None:
                self._send(PROXIED[number])
        except (ScowError, OSError):
            pass  # the container may be gone already
