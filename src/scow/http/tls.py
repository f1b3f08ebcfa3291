"""TLS below a connection, on memory buffers, with half-close: after the client's close-notify the reply still goes out.

The event loop's own TLS ends a connection as soon as the client has ended its side: that would cut the output of `docker exec -i` over TCP.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from scow import log
from scow.http import hijack

logger = log.get(__name__)

_CHUNK = 64 << 10
_HANDSHAKE_SECONDS = 30.0


class TlsProtocol(asyncio.Protocol):
    """Sits between the socket's transport and the plain protocol made by `factory`; is that protocol's transport."""

    def __init__(self, context: ssl.SSLContext, factory: Callable[[], asyncio.Protocol]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._factory = factory
        self._inner: Any = None
        self._transport: Any = None
        self._shaken = False
        self._ended = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    # --- below: the socket's transport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_HANDSHAKE_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def eof_received(self) -> bool:
        if not self._shaken:
            return False
        return self._end_of_input()

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self._shaken and not self._handshake():
            return
        self._read()

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as exc:
            logger.debug("TLS handshake failed: %s", exc)
            self._flush()
            self._transport.close()
            return False
        self._flush()
        self._shaken = True
        if self._timer is not None:
            self._timer.cancel()
        self._inner = self._factory()
        self._inner.connection_made(self)
        return True

    def _read(self) -> None:
        while self._transport is not None and not self._ended and not self._paused:
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                self.abort()
                return
            if not data:
                if not self._end_of_input():
                    self.close()
                return
            self._inner.data_received(data)
        self._flush()

    def _end_of_input(self) -> bool:
        if self._ended:
            return True
        self._ended = True
        return bool(self._inner.eof_received())

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    # --- above: what the plain protocol sees as its transport

    def write(self, data: bytes) -> None:
        """Send plain bytes."""
        with contextlib.suppress(ssl.SSLError):
            view = memoryview(data)
            while view:
                view = view[self._tls.write(view) :]
            self._flush()

    def writelines(self, parts: Iterable[bytes]) -> None:
        """See `write`."""
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        """End this side: the client gets a close-notify and then the end of the stream."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        if self._transport is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()

    def close(self) -> None:
        """Close behind what is queued."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def is_closing(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._transport is None or bool(self._transport.is_closing())

    def get_write_buffer_size(self) -> int:
        """Bytes not yet taken by the kernel."""
        return 0 if self._transport is None else int(self._transport.get_write_buffer_size())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the socket's transport, and the client's certificate as `peercert`."""
        if name == "peercert":
            return self._tls.getpeercert()
        return default if self._transport is None else self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take nothing more from the client."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading, first what is decrypted already."""
        self._paused = False
        if self._transport is not None:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._read)

    def detach_stream(self, start: Callable[[Any, str], Any], ended: bool) -> socket.socket:
        """Replace the plain protocol by a pump to a socket pair; its other end is the hijacked connection."""
        outer, inner = hijack.pair()
        pump = _Pump(self, inner)
        self._inner = pump
        start(pump.run(ended), "tls pump")
        return outer


class _Pump:
    """Moves bytes between a TLS connection and a socket, with half-close and backpressure both ways."""

    def __init__(self, tls: TlsProtocol, sock: socket.socket) -> None:
        self._tls = tls
        self._sock = sock
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False

    def data_received(self, data: bytes) -> None:
        self._input.put_nowait(data)
        self._tls.pause_reading()

    def eof_received(self) -> bool:
        self._input.put_nowait(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        self._input.put_nowait(b"")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def run(self, ended: bool) -> None:
        loop = asyncio.get_running_loop()
        if ended:
            self._input.put_nowait(b"")
        incoming = loop.create_task(self._incoming())
        self._tls.resume_reading()
        try:
            with contextlib.suppress(OSError):
                while not self._lost and (data := await loop.sock_recv(self._sock, _CHUNK)):
                    self._tls.write(data)
                    await self._writable.wait()
            self._tls.close()
        finally:
            incoming.cancel()
            await asyncio.gather(incoming, return_exceptions=True)
            self._sock.close()

    async def _incoming(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await self._input.get():
                await loop.sock_sendall(self._sock, data)
                if self._input.empty() and not self._lost:
                    self._tls.resume_reading()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR if self._lost else socket.SHUT_WR)
