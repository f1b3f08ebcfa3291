"""An attached client: its socket gets the process's output (framed or raw), its input goes to the process's stdin.

A slow client holds the process back once 1 MiB waits for it, as in Docker; one that takes nothing at all for ten minutes is dropped.
Half-close, detach keys and the lingering close are handled here. Nothing is stored.
"""

import contextlib
import socket
import struct
from collections.abc import Callable

from scow.keeper.loop import ERR, HUP, IN, OUT, Loop

LIMIT = 1 << 20
_STALLED = 600.0
_LINGER = 5.0
_CHUNK = 64 * 1024


class KeyFilter:
    """Finds the detach sequence in input; bytes that may begin it are held back until it is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(input to pass on, whether the sequence was completed); what follows the sequence is dropped."""
        keys = self._keys
        if not keys or (not self._matched and keys[0] not in data):
            return data, False
        out = bytearray()
        for byte in data:
            if byte != keys[self._matched]:
                out += keys[: self._matched]
                self._matched = 0
                if byte != keys[0]:
                    out.append(byte)
                    continue
            self._matched += 1
            if self._matched == len(keys):
                return bytes(out), True
        return bytes(out), False


class Client:
    """One attachment. `on_input(data, client) -> bool` says whether more may be read; the callbacks belong to the process."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        *,
        streams: tuple[bool, bool, bool],
        mux: bool,
        keys: bytes,
        on_input: Callable[["Client", bytes], bool],
        on_input_end: Callable[["Client"], None],
        on_room: Callable[[], None],
        on_gone: Callable[["Client", bool], None],
    ) -> None:
        self._loop, self._sock = loop, sock
        self.stdin, self.stdout, self.stderr = streams
        self._mux = mux
        self._keys = KeyFilter(keys)
        self._on_input, self._on_input_end, self._on_room, self._on_gone = on_input, on_input_end, on_room, on_gone
        self._pending = bytearray()
        self._reading = True
        self._paused = False
        self._ending = False
        self._closed = False
        self._moved = False
        sock.setblocking(False)
        self._fd = sock.fileno()
        self._watch()
        self._stall = loop.after(_STALLED, self._check_stall)

    @property
    def congested(self) -> bool:
        """Whether the process must wait for this client."""
        return len(self._pending) > LIMIT

    def _watch(self) -> None:
        if self._closed:
            return
        mask = (IN if self._reading and not self._paused else 0) | (OUT if self._pending else 0)
        self._loop.watch(self._fd, mask, self._ready)

    def feed(self, data: bytes, stream: int) -> None:
        """Output of stream 1 or 2, as far as the client wants it."""
        if self._closed or self._ending or not (self.stdout if stream == 1 else self.stderr):
            return
        parts = [struct.pack(">BxxxI", stream, len(data)), data] if self._mux else [data]
        if not self._pending:
            try:
                sent = self._sock.sendmsg(parts)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            self._moved = True
            total = sum(map(len, parts))
            if sent == total:
                return
            self._pending += b"".join(parts)[sent:]
            self._watch()
        else:
            for part in parts:
                self._pending += part

    def _ready(self, events: int) -> None:
        if events & OUT and self._pending:
            self._flush()
        if self._closed:
            return
        if events & IN:
            self._read()
        elif events & (HUP | ERR):
            if self._paused:
                self._loop.forget(self._fd)  # input still waits in the socket; `resume` comes back to it
            else:
                self.close()

    def _flush(self) -> None:
        was = self.congested
        try:
            while self._pending:
                with memoryview(self._pending) as view:
                    sent = self._sock.send(view[: 4 * _CHUNK])
                del self._pending[:sent]
                self._moved = True
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if was and not self.congested:
            self._on_room()
        if not self._pending and self._ending:
            self._shut()
        self._watch()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self._reading = False
            self._watch()
            if self._ending:
                if not self._pending:
                    self.close()
            elif self.stdin:
                self._on_input_end(self)
            return
        if self.stdin and not self._ending:
            self.take_input(data)

    def take_input(self, data: bytes) -> None:
        """Input that came with the request or from the socket."""
        data, detached = self._keys.feed(data)
        if data and not self._on_input(self, data):
            self._paused = True
            self._watch()
        if detached:
            self._on_gone(self, True)
            self.finish()

    def resume(self) -> None:
        """The process has taken the input: read on."""
        if self._paused:
            self._paused = False
            self._watch()

    def finish(self) -> None:
        """No more output will come: deliver what waits, then close."""
        if self._closed or self._ending:
            return
        self._ending = True
        self._paused = False
        if not self._pending:
            self._shut()
        self._watch()

    def _shut(self) -> None:
        # unread input would turn the close into a reset that loses output: read to the client's end first
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        if not self._reading:
            self.close()
        else:
            self._loop.after(_LINGER, self.close)

    def _check_stall(self) -> None:
        if self._closed:
            return
        if self._pending and not self._moved:
            self.close()
            return
        self._moved = False
        self._stall = self._loop.after(_STALLED, self._check_stall)

    def close(self) -> None:
        """Give the client up now."""
        if self._closed:
            return
        self._closed = True
        self._stall.cancel()
        self._loop.forget(self._fd)
        self._sock.close()
        self._pending.clear()
        self._on_gone(self, False)
        self._on_room()
