"""TLS over a connected socket, with a half-close: `shutdown(1)` says the end of our data and goes on reading, which the standard
library's SSLSocket can't. Imported only for tcp endpoints with TLS. Called by `client/transport.py`.
"""

from __future__ import annotations

import ssl

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    import socket

CHUNK = 64 * 1024


class TlsSocket:
    """The methods of a socket that `transport.Connection` uses."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Shakes hands. Raises OSError (ssl.SSLError)."""
        self._sock = sock
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._plain = b""
        self._ended = False
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
                if self._ended:
                    raise ssl.SSLError(ssl.SSL_ERROR_EOF, "EOF during the handshake") from None
                continue
            except ssl.SSLError:
                try:
                    self._flush()  # the alert tells the server why
                except OSError:
                    pass
                raise
            self._flush()
            return

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self._sock.sendall(data)

    def _fill(self) -> None:
        data = self._sock.recv(CHUNK)
        if data:
            self._in.write(data)
        else:
            self._ended = True
            self._in.write_eof()

    def _decrypt(self, size: int) -> bytes | None:
        """Some plain bytes, b"" at the end, None where more must be received first."""
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            return b"" if self._ended else None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        finally:
            if self._out.pending:
                self._flush()

    def recv(self, size: int) -> bytes:
        """The next bytes, b"" at the end. Raises OSError."""
        if self._plain:
            data, self._plain = self._plain[:size], self._plain[size:]
            return data
        while True:
            got = self._decrypt(size)
            if got is not None:
                return got
            self._fill()

    def pending(self) -> int:
        """Bytes that recv gives without waiting for the socket (at least one where there are records to look at)."""
        return len(self._plain) or self._tls.pending() or self._in.pending

    def sendall(self, data: bytes) -> None:
        """Writes all. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
            self._flush()

    def shutdown(self, _how: int) -> None:
        """Ends the writing side. What has arrived is read first: it would be an error to the library afterwards."""
        while self._in.pending:
            got = self._decrypt(CHUNK)
            if not got:
                break
            self._plain += got
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the other side's own end has not come yet
        self._flush()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Closes it."""
        self._sock.close()
