"""A registry server of the package inside the test's process, on a loop of its own thread.

with serving(tmp_path, anonymous_push=True) as registry:
    registry.push("a/b", "v1", b"layer")
    assert registry.call("GET", "/v2/a/b/tags/list").json == {"name": "a/b", "tags": ["v1"]}
"""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from scow.registryd.options import Options
from scow.registryd.serve import Service, bind
from tests.support.http import Reply

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(data: bytes) -> str:
    """The digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(data: bytes, kind: str = "application/octet-stream") -> dict[str, Any]:
    """What a manifest says of a blob."""
    return {"mediaType": kind, "digest": sha256(data), "size": len(data)}


def image(*layers: bytes, config: bytes = b"{}", **more: Any) -> bytes:
    """An OCI manifest."""
    rows = [descriptor(layer) for layer in layers]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(config), "layers": rows, **more}).encode()


class Registry:
    """The running server: `service` for looking inside, `call` for asking."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop, port: int, tls: ssl.SSLContext | None) -> None:
        self.service, self._loop, self.port, self._tls = service, loop, port, tls
        self.address = f"127.0.0.1:{port}"

    @property
    def store(self) -> Any:
        return self.service.store

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        """Await something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coro, self._loop).result(60)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, user: tuple[str, str] | None = None
    ) -> Reply:
        """One request on a connection of its own; an iterable body goes out in chunks."""
        if self._tls is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self._tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = dict(headers or {})
        if user is not None:
            fields["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, fields, encode_chunked=chunked)
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Bytes to the server, and all it says until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(data)
            out = b""
            with contextlib.suppress(ConnectionError):
                while piece := sock.recv(65536):
                    out += piece
            return out

    def put_blob(self, name: str, data: bytes, user: tuple[str, str] | None = None) -> str:
        reply = self.call("POST", f"/v2/{name}/blobs/uploads/?digest={sha256(data)}", data, user=user)
        assert reply.status == 201, reply
        return sha256(data)

    def put_manifest(self, name: str, ref: str, data: bytes, kind: str = OCI_MANIFEST, user: tuple[str, str] | None = None) -> Reply:
        return self.call("PUT", f"/v2/{name}/manifests/{ref}", data, {"Content-Type": kind}, user)

    def push(self, name: str, tag: str, *layers: bytes, user: tuple[str, str] | None = None, **more: Any) -> str:
        """An image of these layers; its digest."""
        for data in (*layers, b"{}"):
            self.put_blob(name, data, user)
        data = image(*layers, **more)
        reply = self.put_manifest(name, tag or sha256(data), data, user=user)
        assert reply.status == 201, reply
        return sha256(data)

    def code(self, reply: Reply) -> tuple[int, str]:
        """(status, the protocol's code)."""
        return reply.status, reply.json["errors"][0]["code"]


@contextlib.contextmanager
def serving(root: Path, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, **options: Any) -> Iterator[Registry]:
    """A server for the block; `tls`: the server's and the client's context."""
    made = Options(root, **options)
    ready: list[Any] = []
    started, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        try:
            service = Service(made)
            sock = bind("127.0.0.1:0")[0]
            await service.server.listen(sock, tls[0] if tls else None)
            ready.extend((service, asyncio.get_running_loop(), sock.getsockname()[1]))
        except BaseException as error:
            ready.append(error)
            raise
        finally:
            started.set()
        try:
            await stop.wait()
        finally:
            await service.close(0.0)

    def run() -> None:
        with contextlib.suppress(Exception):
            asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    if isinstance(ready[0], BaseException):
        thread.join()
        raise ready[0]
    service, loop, port = ready
    try:
        yield Registry(service, loop, port, tls[1] if tls else None)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert not thread.is_alive()
