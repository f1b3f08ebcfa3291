"""A small HTTP client on a Unix socket for tests: no retries, no cleverness."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("scow", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Reply:
    """What came back: headers have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None when empty."""
        return json.loads(self.body) if self.body else None


class Client:
    """`client.get("/containers/json")`; a body that is not bytes is sent as JSON."""

    def __init__(self, path: str, timeout: float = 60) -> None:
        self.path, self._timeout = path, timeout

    def call(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own. Raises OSError or http.client.HTTPException when there is no reply."""
        connection = _Connection(self.path, self._timeout)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, target, body=body, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, target: str) -> Reply:
        """GET."""
        return self.call("GET", target)

    def post(self, target: str, body: Any = None) -> Reply:
        """POST."""
        return self.call("POST", target, body)

    def delete(self, target: str) -> Reply:
        """DELETE."""
        return self.call("DELETE", target)
