"""A fake engine for clients: HTTP on a unix socket, answers written by hand, so that it can die, stall or talk nonsense at any byte.

with FakeEngine(path, {"GET /containers/json": reply(200, b"[]")}) as engine: …; engine.seen
A route's value is the bytes to send, or a function (connection, request) that sends them itself. Unknown routes get 404.
"""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

Route = bytes | Callable[[socket.socket, bytes], None]
PATIENCE = 120.0


def reply(status: int, body: object = b"", *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer; what is no bytes is sent as JSON. `length` lies about the size."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data) if length is None else length}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def chunked(*pieces: bytes, ends: bool = False) -> bytes:
    """A streamed answer, cut off after its pieces unless it `ends`."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if ends else b"")


class FakeEngine:
    """Serves until the block ends. `seen` has every request line; `stalled` is set when a route of `stall` was asked for."""

    def __init__(self, path: Path, routes: dict[str, Route]) -> None:
        self.routes = routes
        self.seen: list[str] = []
        self.stalled = threading.Event()
        self.url = f"unix://{path}"
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def stall(self, connection: socket.socket, request: bytes) -> None:
        """A route that never answers."""
        self.stalled.set()
        self._closed.wait(PATIENCE)

    def __enter__(self) -> "FakeEngine":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self._one(connection):
                    pass
            except OSError:
                pass

    def _one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        sizes = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
        while sizes and len(body) < sizes[0]:
            body += connection.recv(65536)
        if lines[0].count(" ") < 2:  # the rest of a chunked body
            return False
        method, target, _ = lines[0].split(" ", 2)
        path = target.partition("?")[0]
        self.seen.append(f"{method} {target}")
        route = self.routes.get(f"{method} {path}", reply(404, {"message": f"no such thing: {path}"}))
        if callable(route):
            route(connection, body)
            return False
        connection.sendall(route)
        return route.startswith(b"HTTP/1.1") and b"chunked" not in route
