"""A volume plugin (Docker's plugin protocol v1) over a unix socket, for tests: keeps its volumes in a directory, and misbehaves on demand.

`FakePlugin(socket path, directory)` serves until `close()`; `replies["VolumeDriver.Mount"] = b"raw body"` (or `(status, body)`, or a float:
seconds to hang) takes the place of an answer; `calls` holds what was asked."""

import contextlib
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        plugin: FakePlugin = self.server.plugin  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        status, body = plugin.answer(self.path.strip("/"), self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "engine"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    connections: "set[socket.socket]"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """A client that left."""


class FakePlugin:
    """See the module."""

    def __init__(self, path: Path, directory: Path, scope: str = "local") -> None:
        self.volumes: dict[str, dict[str, Any]] = {}
        self.mounts: dict[str, set[str]] = {}
        self.replies: dict[str, bytes | tuple[int, bytes] | float] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._scope = scope
        self._directory = directory
        self._over = threading.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), _Handler)
        self._server.connections = set()
        self._server.plugin = self  # type: ignore[attr-defined]
        self._path = path
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def die(self) -> None:
        """Stop; the socket's file stays."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop, and remove the socket."""
        self.die()
        self._path.unlink(missing_ok=True)

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        """The reply to one call."""
        asked = json.loads(body or b"{}") or {}
        self.calls.append((method, asked))
        instead = self.replies.get(method)
        if isinstance(instead, float):
            self._over.wait(instead)
        elif isinstance(instead, tuple):
            return instead
        elif instead is not None:
            return 200, instead
        return 200, json.dumps(self._reply(method, asked)).encode()

    def _reply(self, method: str, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked.get("Name", "")
        match method:
            case "Plugin.Activate":
                return {"Implements": ["VolumeDriver"]}
            case "VolumeDriver.Capabilities":
                return {"Capabilities": {"Scope": self._scope}}
            case "VolumeDriver.List":
                return {"Volumes": [self._row(name) for name in self.volumes], "Err": ""}
            case "VolumeDriver.Create":
                (self._directory / name).mkdir(parents=True, exist_ok=True)
                self.volumes[name] = asked.get("Opts") or {}
                return {"Err": ""}
        if name not in self.volumes:
            return {"Err": f"volume {name} is not known to the plugin"}
        match method:
            case "VolumeDriver.Get":
                return {"Volume": self._row(name) | {"Status": {"where": "fake"}, "CreatedAt": "2020-01-02T03:04:05Z"}, "Err": ""}
            case "VolumeDriver.Remove":
                del self.volumes[name]
            case "VolumeDriver.Mount":
                self.mounts.setdefault(name, set()).add(asked["ID"])
                return {"Mountpoint": str(self._directory / name), "Err": ""}
            case "VolumeDriver.Unmount":
                self.mounts.get(name, set()).discard(asked["ID"])
            case "VolumeDriver.Path":
                return {"Mountpoint": str(self._directory / name), "Err": ""}
        return {"Err": ""}

    def _row(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Mountpoint": str(self._directory / name) if self.mounts.get(name) else ""}
