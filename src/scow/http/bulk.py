"""Large bodies without the event loop in between: files go out by sendfile, bodies come in through one big buffer in a pool thread.

`Connection.send_file` and `Connection.receive` use it for plain sockets; TLS needs its own bytes and takes the way over the loop. A pool
thread stays with a connection only while bytes move: where the peer is slow, the loop waits and the thread is free for others.
"""

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

from scow import aio
from scow.http.body import BodyBroken, BodyReader, ChunkFramer, LengthFramer
from scow.http.messages import ClientGone

Take = Callable[[memoryview], None]

CHUNK = 1 << 20
_SEND_MAX = 8 << 20  # so much in one system call
_VISIT_MAX = 64 << 20  # so much before the thread looks after others
_PATIENCE_MS = 20
_LOW_WATER = 256 << 10
_GATHER_MS = 1
_TLS_CHUNK = 256 << 10

_local = threading.local()


class Held:
    """Descriptors that a pool thread works with: closed at once or, while the thread is at it, behind its work. Closing twice is fine."""

    def __init__(self, *close: Callable[[], Any]) -> None:
        self._close = close
        self._busy = threading.Lock()
        self._guard = threading.Lock()
        self.over = False

    def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """`work(*args)` with the descriptors open. Raises ClientGone where they are closed already."""
        with self._busy:
            if self.over:
                raise ClientGone
            return work(*args)

    def finish(self) -> None:
        """Close as soon as nobody works with the descriptors."""
        self.over = True
        if self._busy.acquire(blocking=False):
            self._busy.release()
            self._end()

    def _end(self) -> None:
        with self._guard:
            close, self._close = self._close, ()
        for one in close:
            one()

    def job(self, work: Callable[..., Any], *args: Any) -> Any:
        """As `run`, and closes behind itself what was finished meanwhile. For pool threads."""
        try:
            return self.run(work, *args)
        finally:
            if self.over:
                self._end()


def _buffer() -> memoryview:
    found: memoryview | None = getattr(_local, "buffer", None)
    if found is None:
        found = _local.buffer = memoryview(bytearray(CHUNK))
    return found


# --- out


def _push(held: Held, sock: int, fd: int, at: int, end: int) -> tuple[int, bool]:
    """Send from `at` on: (new position, whether the socket takes more)."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    limit = min(end, at + _VISIT_MAX)
    while at < limit and not held.over:
        try:
            count = os.sendfile(sock, fd, at, min(limit - at, _SEND_MAX))
        except BlockingIOError:
            if not poll.poll(_PATIENCE_MS):
                return at, False
            continue
        except OSError as error:
            raise ClientGone from error
        if count == 0:
            raise ClientGone  # the file is shorter than was promised
        at += count
    return at, True


async def send(sock: socket.socket, fd: int, offset: int, count: int, seconds: float) -> None:
    """Bytes of a file to a non-blocking socket; closes both. Raises ClientGone, also when nothing is taken for `seconds`."""
    held = Held(sock.close, lambda: os.close(fd))
    try:
        at, end = offset, offset + count
        while at < end:
            at, ready = await aio.in_pool(held.job, _push, held, sock.fileno(), fd, at, end)
            if not ready:
                try:
                    await asyncio.wait_for(aio.writable(sock.fileno()), seconds)
                except TimeoutError:
                    raise ClientGone from None
    finally:
        held.finish()


class Sender(Protocol):
    """What writes a connection's bytes."""

    def send(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises ClientGone."""
        ...


async def send_by_hand(to: Sender, fd: int, offset: int, count: int, seconds: float) -> None:
    """As `send`, over the loop, for connections that need every byte; closes `fd`. Raises ClientGone."""
    held = Held(lambda: os.close(fd))
    try:
        while count:
            data = await aio.in_pool(held.job, os.pread, fd, min(count, _TLS_CHUNK), offset)
            if not data:
                raise ClientGone
            offset += len(data)
            count -= len(data)
            to.send(data)
            try:
                await asyncio.wait_for(to.drain(), seconds)
            except TimeoutError:
                raise ClientGone from None
    finally:
        held.finish()


# --- in


async def receive_by_hand(body: BodyReader, take: Take, seconds: float) -> None:
    """The rest of a body as the loop brings it, into `take`. Raises BodyBroken, BadRequest, what `take` raises."""
    while True:
        try:
            piece = await asyncio.wait_for(body.read(), seconds)
        except TimeoutError:
            raise BodyBroken(f"no byte of the request body came for {seconds:.0f} seconds") from None
        if not piece:
            return
        await aio.in_pool(take, memoryview(b"".join((piece, *body.take_all()))))
        body.relieve()


class Intake:
    """Reads the rest of one request body from its socket into `take`."""

    def __init__(self, sock: socket.socket, framer: LengthFramer | ChunkFramer, take: Take) -> None:
        self._sock = sock
        self._framer = framer
        self._take = take
        self.rest = b""
        self.ended = False  # the client has closed its side
        self.count = 0
        self._low = 1

    def _pull(self, held: Held, wait: bool) -> bool:
        """Take what is there; whether more is likely to be there soon."""
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        begun = self.count
        while not self._framer.done and not held.over:
            if self.count - begun > _VISIT_MAX:
                return True
            buffer = _buffer()
            framer = self._framer
            data = b""
            try:
                if isinstance(framer, LengthFramer):
                    got = self._sock.recv_into(buffer[: min(framer.left, CHUNK)])
                else:
                    data = self._sock.recv(CHUNK)
                    got = len(data)
            except BlockingIOError:
                self._mark()
                if not wait or not poll.poll(_PATIENCE_MS):
                    return False
                if isinstance(self._framer, ChunkFramer):
                    select.poll().poll(_GATHER_MS)  # a chunked body has no low-water mark: let some bytes gather
                continue
            except OSError:
                got = 0
            if not got:
                self.ended = True
                raise BodyBroken("the client closed the connection before the request body was complete")
            if isinstance(framer, LengthFramer):
                framer.advance(got)
                self.count += got
                self._take(buffer[:got])
                continue
            pieces, self.rest = framer.split(data)
            for piece in pieces:
                self.count += len(piece)
                self._take(piece)
        return True

    def _mark(self) -> None:
        """Ask the kernel to wake us for many bytes, not for each: before every wait, for no more than are to come."""
        low = 1 if not isinstance(self._framer, LengthFramer) else max(1, min(self._framer.left, _LOW_WATER))
        if low != self._low:
            self._low = low
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)

    async def run(self, seconds: float) -> None:
        """To the end of the body; closes `sock`. Raises BodyBroken (or when nothing comes for `seconds`), BadRequest, what `take` does."""
        held = Held(self._close)
        try:
            patient = True
            while not self._framer.done:
                before = self.count
                ready = await aio.in_pool(held.job, self._pull, held, patient)
                if ready or self._framer.done:
                    continue
                patient = self.count - before > _LOW_WATER
                try:
                    await asyncio.wait_for(aio.readable(self._sock.fileno()), seconds)
                except TimeoutError:
                    before = self.count
                    await aio.in_pool(held.job, self._pull, held, False)
                    if self.count == before:
                        raise BodyBroken(f"no byte of the request body came for {seconds:.0f} seconds") from None
        finally:
            held.finish()

    def _close(self) -> None:
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        except OSError:
            pass
        self._sock.close()
