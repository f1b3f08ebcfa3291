"""Downloads of ADD: etags, redirects, servers that lie, and whom a secret is told."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scow.build.ops import http
from scow.errors import InvalidArgument

BODY = b"the file"


class Server(ThreadingHTTPServer):
    """Answers by path, and remembers what was asked."""

    other = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _reply(self, code: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        whole = {"Content-Length": str(len(BODY))}
        match self.path:
            case "/file":
                if self.headers.get("If-None-Match") == '"one"':
                    self._reply(304, {"ETag": '"one"'})
                else:
                    self._reply(200, {**whole, "ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, BODY)
            case "/odd":
                headers = {"Last-Modified": "tomorrow", "Content-Disposition": 'attachment; filename="../../etc/passwd"'}
                self._reply(200, {**whole, **headers}, BODY)
            case "/short":
                self._reply(200, {"Content-Length": "1000"}, BODY)
            case "/away":
                self._reply(302, {"Location": self.server.other + "/file"})
            case "/loop":
                self._reply(302, {"Location": "/loop"})
            case "/etc":
                self._reply(302, {"Location": "file:///etc/passwd"})
            case "/ftp":
                self._reply(302, {"Location": "ftp://127.0.0.1/x"})
            case _:
                self._reply(404, {})


class Told:
    def __init__(self) -> None:
        self.log: list[Any] = []

    def status(self, *args: Any, **more: Any) -> None:
        self.log.append((args, more))


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    made = (Server(), Server())
    made[0].other = made[1].url.replace("127.0.0.1", "localhost")
    for one in made:
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield made
    for one in made:
        one.shutdown()
        one.server_close()


def fetch(url: str, place: Path, etag: str = "", header: str = "") -> Any:
    return http._download(url, place, etag, header, Told())  # type: ignore[arg-type]


def test_a_file_and_its_etag(servers: tuple[Server, Server], tmp_path: Path) -> None:
    url = servers[0].url + "/file"
    found = fetch(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY and found.digest == "sha256:" + hashlib.sha256(BODY).hexdigest()
    assert (found.etag, found.modified) == ('"one"', 1704067200)
    assert fetch(url, tmp_path / "b", found.etag) is None and not (tmp_path / "b").exists()
    assert fetch(url, tmp_path / "c", '"old"').etag == '"one"'


def test_a_secret_goes_to_its_host_only(servers: tuple[Server, Server], tmp_path: Path) -> None:
    fetch(servers[0].url + "/away", tmp_path / "a", header="Bearer secret")
    assert servers[0].seen[0][1]["Authorization"] == "Bearer secret"
    fetch(servers[0].url.replace("//", "//me:pass%20word@") + "/file", tmp_path / "b")
    assert servers[0].seen[1][1]["Authorization"] == "Basic " + base64.b64encode(b"me:pass word").decode()
    assert servers[1].seen[0][0] == "/file" and "Authorization" not in servers[1].seen[0][1]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/short", "cannot download"),
        ("/loop", "invalid response status 302"),
        ("/etc", "invalid response status 302"),
        ("/ftp", "refusing"),
        ("/no", "404"),
    ],
)
def test_servers_that_lie(servers: tuple[Server, Server], tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason) as caught:
        fetch(servers[0].url.replace("//", "//me:password@") + path if path == "/no" else servers[0].url + path, tmp_path / "a")
    assert "password" not in str(caught.value)


def test_odd_headers(servers: tuple[Server, Server], tmp_path: Path) -> None:
    found = fetch(servers[0].url + "/odd", tmp_path / "a")
    assert found.modified == 0 and "/" not in found.file_name
