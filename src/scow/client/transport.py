"""HTTP/1.1 to an engine: unix, tcp, tcp+tls and ssh endpoints, streaming bodies, hijacked connections. Synchronous, made for
short-lived programs.

Nothing is stored. Called by `client/api.py`. Knows no nouns; statuses of 400 and more become `ApiError` (a ScowError with the status
and the daemon's sentence).
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost a tenth of a second of start-up on a slow machine; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

from scow import fastjson
from scow.client.endpoint import Endpoint
from scow.errors import ScowError

CHUNK = 64 * 1024
MAX_HEAD = 256 * 1024
MAX_ERROR = 1024 * 1024
CONNECT_TIMEOUT = 30.0
_AF_UNIX, _SOCK_STREAM = 1, 1


class ApiError(ScowError):
    """The daemon's answer to a request it refused: `status` and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CannotConnect(ScowError):
    """No daemon answers at the endpoint."""


class BrokenOff(ScowError):
    """The connection ended before the reply was whole."""


class NoAnswer(BrokenOff):
    """The connection ended before a reply began."""


class Connection:
    """One connected byte stream with a read buffer. `fileno()` serves select; `eof_write()` half-closes."""

    __slots__ = ("_buffer", "_process", "_sock")

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises CannotConnect."""
        self._buffer = b""
        self._process: object = None
        try:
            if endpoint.kind == "unix":
                import _socket

                sock = _socket.socket(_AF_UNIX, _SOCK_STREAM | 0o2000000, 0)
                sock.connect(endpoint.path)
                self._sock: object = sock
            elif endpoint.kind == "tcp":
                self._sock = _dial_tcp(endpoint)
            else:
                self._sock, self._process = _dial_ssh(endpoint)
        except OSError as exc:
            from scow.client.reasons import why

            raise CannotConnect(why(endpoint, exc)) from exc

    def send(self, data: bytes) -> None:
        """Writes all. Raises OSError."""
        self._sock.sendall(data)  # type: ignore[attr-defined]

    def try_send(self, data: bytes) -> int:
        """Writes what fits without waiting; how much that was. Raises OSError. (TLS waits: its records can't be split.)"""
        if hasattr(self._sock, "pending"):
            self.send(data)
            return len(data)
        try:
            return self._sock.send(data, 0x40)  # type: ignore[attr-defined,no-any-return]  # MSG_DONTWAIT
        except BlockingIOError:
            return 0

    def recv(self, size: int = CHUNK) -> bytes:
        """What is buffered, else the next bytes; b"" at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        try:
            data = self._sock.recv(size)  # type: ignore[attr-defined]
        except ConnectionResetError:
            return b""
        return data  # type: ignore[no-any-return]

    def buffered(self) -> bool:
        """Whether recv answers without waiting (also for bytes that TLS holds)."""
        pending = getattr(self._sock, "pending", None)
        return bool(self._buffer) or (pending is not None and pending() > 0)

    def push_back(self, data: bytes) -> None:
        """Puts bytes in front of what recv gives next."""
        self._buffer = data + self._buffer

    def fileno(self) -> int:
        """The descriptor, for select."""
        return self._sock.fileno()  # type: ignore[attr-defined,no-any-return]

    def plain(self) -> bool:
        """Whether the descriptor carries the bytes as they are (TLS does not)."""
        return not hasattr(self._sock, "pending")

    def eof_write(self) -> None:
        """Ends the writing side; the reading side stays open."""
        try:
            self._sock.shutdown(1)  # type: ignore[attr-defined]
        except OSError:
            pass

    def ended(self) -> str:
        """Why the other side said nothing at all: for ssh, how its program ended; "" where nothing more is known."""
        if self._process is None:
            return ""
        try:
            status = self._process.wait(5)  # type: ignore[attr-defined]
        except Exception as exc:  # TimeoutExpired, whose import costs
            return str(exc)
        return f"ssh ended with status {status}"

    def close(self) -> None:
        """Closes it; safe to repeat."""
        self._sock.close()  # type: ignore[attr-defined]


def _dial_tcp(endpoint: Endpoint) -> object:
    import socket

    sock = socket.create_connection((endpoint.host, endpoint.port), CONNECT_TIMEOUT)
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if endpoint.tls is not None:
        from scow.client.tls import TlsSocket

        return TlsSocket(sock, endpoint.tls.context(), endpoint.host)
    return sock


def _dial_ssh(endpoint: Endpoint) -> tuple[object, object]:
    import socket
    import subprocess

    target, _, path = endpoint.path.partition("/")
    user, at, host = target.rpartition("@")
    host, _, port = host.partition(":")
    if host.startswith("-") or user.startswith("-"):
        raise ScowError(f"invalid ssh host {endpoint.url!r}")
    command = ["ssh", *(["-l", user] if at else []), *(["-p", port] if port else []), "-o", "ConnectTimeout=30", "-T", "--", host, "docker"]
    command += (["--host", f"unix:///{path}"] if path else []) + ["system", "dial-stdio"]
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno())
    return ours, process


class Response:
    """A reply whose body has not been read yet. `read()`, `iterate()`, or `hijack()`; use as a context manager."""

    __slots__ = ("_body", "_conn", "_left", "_release", "headers", "status")

    def __init__(self, conn: Connection, release: Callable[[Connection], None]) -> None:
        self._conn = conn
        self._release = release
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv()
            if not data:
                ended = "" if head else conn.ended()
                if ended:
                    raise CannotConnect(ended)
                if head:
                    raise BrokenOff("the daemon's answer is incomplete")
                raise NoAnswer("error during connect: the daemon closed the connection without an answer")
            head += data
            if len(head) > MAX_HEAD:
                raise ScowError("the daemon's answer is no HTTP: its head is too long")
        text, _, rest = head.partition(b"\r\n\r\n")
        conn.push_back(rest)
        lines = text.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise ScowError("the daemon's answer is no HTTP: is this the socket of a Docker-compatible daemon?")
        self.status = int(parts[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self._left = -1
        if self.status in (204, 304) or self.status == 101:
            self._body = "none"
        elif self.headers.get("transfer-encoding", "").lower() == "chunked":
            self._body = "chunked"
        elif "content-length" in self.headers:
            self._body = "sized"
            self._left = int(self.headers["content-length"]) if self.headers["content-length"].isdigit() else 0
        else:
            self._body = "close"

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def no_body(self) -> None:
        """Says that this answers a HEAD."""
        self._body = "none"

    def read(self, limit: int = 1 << 62) -> bytes:
        """The whole body (at most about `limit` bytes)."""
        parts, size = [], 0
        for part in self.iterate():
            parts.append(part)
            size += len(part)
            if size > limit:
                break
        return b"".join(parts)

    def json(self) -> object:
        """The body's JSON value, None for an empty body."""
        data = self.read()
        return fastjson.loads(data) if data.strip() else None

    def iterate(self) -> Iterator[bytes]:
        """The body in pieces as they come."""
        conn = self._conn
        if self._body == "sized":
            while self._left > 0:
                data = conn.recv(min(CHUNK, self._left))
                if not data:
                    raise BrokenOff("unexpected EOF: the daemon's answer ended early")
                self._left -= len(data)
                yield data
        elif self._body == "chunked":
            yield from self._chunks()
        elif self._body == "close":
            while data := conn.recv():
                yield data
        reusable = self._body != "close" and self.headers.get("connection", "").lower() != "close"
        self._body = "none"
        if reusable and self.status != 101:
            self._release(conn)

    def _line(self) -> bytes:
        line = b""
        while b"\n" not in line:
            data = self._conn.recv()
            if not data:
                raise BrokenOff("unexpected EOF: the daemon's answer ended early")
            line += data
            if len(line) > MAX_HEAD and b"\n" not in line:
                raise ScowError("the daemon's answer is malformed")
        line, _, rest = line.partition(b"\n")
        self._conn.push_back(rest)
        return line.strip()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size_text = self._line().split(b";")[0]
            try:
                left = int(size_text, 16)
            except ValueError:
                raise ScowError("the daemon's answer is malformed") from None
            if left == 0:
                while self._line():
                    pass
                return
            while left:
                data = self._conn.recv(min(CHUNK, left))
                if not data:
                    raise BrokenOff("unexpected EOF: the daemon's answer ended early")
                left -= len(data)
                yield data
            self._line()

    def raise_for_status(self) -> Response:
        """Raises ApiError for 400 and more."""
        if self.status >= 400:
            body = self.read(MAX_ERROR)
            message = ""
            if body:
                try:
                    value = fastjson.loads(body)
                    message = value.get("message", "") if isinstance(value, dict) else ""
                except ValueError:
                    message = body.decode("utf-8", "replace").strip()
            self.close()
            if message.startswith("Client sent an HTTP request to an HTTPS server"):
                message += " Use TLS: --tlsverify, DOCKER_TLS_VERIFY=1, or a context with certificates."
            raise ApiError(self.status, message or f"request returned status {self.status}: is the API version right?")
        return self

    def hijack(self) -> Connection:
        """The raw stream after a 101 or 200; bytes that came with the head come first."""
        return self._conn

    def close(self) -> None:
        """Ends the exchange; a connection with unread body is closed."""
        if self._body != "none":
            self._body = "none"
            self._conn.close()


class Transport:
    """Requests to one endpoint; keeps one idle connection for the next request."""

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str] | None = None) -> None:
        self.endpoint = endpoint
        self._extra = dict(headers or {})
        self._idle: Connection | None = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Sends a request; the response's status is not judged. Raises CannotConnect, ScowError."""
        lines = [f"{method} {self.endpoint.base}{path} HTTP/1.1", f"Host: {self.endpoint.host}", "User-Agent: scow"]
        lines += [f"{name}: {value}" for name, value in (self._extra | dict(headers or {})).items()]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method == "POST":
            lines.append("Content-Length: 0")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
        conn, fresh = (self._idle, False) if self._idle is not None else (Connection(self.endpoint), True)
        self._idle = None
        try:
            return self._exchange(conn, method, head, body)
        except (OSError, ScowError) as exc:
            conn.close()
            if fresh or not (body is None or isinstance(body, bytes)):
                raise self._told(exc, conn) from exc
        conn = Connection(self.endpoint)
        return self._exchange(conn, method, head, body)

    def _told(self, exc: OSError | ScowError, conn: Connection) -> OSError | ScowError:
        """The error with the address, where it means that the engine was never reached."""
        if self.endpoint.kind == "ssh" and isinstance(exc, ConnectionError):
            exc = CannotConnect(conn.ended() or str(exc))
        if isinstance(exc, CannotConnect):
            return CannotConnect(
                f"error during connect: {self.endpoint.url}: {exc.message}\n"
                f"Does `ssh {self.endpoint.path.partition('/')[0]} docker version` work? "
                "The other machine needs docker's client or scow's, under docker's name."
            )
        if isinstance(exc, NoAnswer):
            hint = (
                "\nDoes it want TLS? Then use --tlsverify or DOCKER_TLS_VERIFY=1."
                if self.endpoint.kind == "tcp" and not self.endpoint.tls
                else ""
            )
            return NoAnswer(exc.message.replace("the daemon", f"the daemon at {self.endpoint.url}", 1) + hint)
        if isinstance(exc, OSError) and type(exc).__name__.startswith("SSL"):
            from scow.client.reasons import why

            return CannotConnect(why(self.endpoint, exc))
        return exc

    def _exchange(self, conn: Connection, method: str, head: bytes, body: bytes | Iterable[bytes] | None) -> Response:
        if isinstance(body, bytes) or body is None:
            conn.send(head + (body or b""))
        else:
            conn.send(head)
            try:
                for piece in body:
                    if piece:
                        conn.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                conn.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass  # the daemon has answered already: its answer says why
        response = Response(conn, self._keep)
        while response.status in (100, 102, 103):
            response = Response(conn, self._keep)
        if method == "HEAD":
            response.no_body()
        return response

    def _keep(self, conn: Connection) -> None:
        if self._idle is None:
            self._idle = conn

    def close(self) -> None:
        """Drops the idle connection."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None
