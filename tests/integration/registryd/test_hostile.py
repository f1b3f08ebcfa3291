"""Requests that mean no good: names that climb, bodies without end, clients that stall, leave, or come back."""

import os
import socket
import threading
import time

import pytest

from scow.registryd import serve
from tests.support.engine import until
from tests.support.registryserver import Registry, serving, sha256

SECOND = 1.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("hostile"), anonymous_push=True, allow_delete=True, stall_seconds=SECOND) as found:
        found.push("a", "v1", b"layer")
        yield found


def files(root) -> set[str]:
    return {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd",
        "/v2/a/../b/tags/list",
        "/v2/a%2f..%2f..%2fetc/tags/list",
        "/v2/%2e%2e/tags/list",
        "/v2//tags/list",
        "/v2/A/tags/list",
        "/v2/a//b/tags/list",
        "/v2/-a/tags/list",
        "/v2/" + "a" * 300 + "/tags/list",
        "/v2/" + "a/" * 2000 + "tags/list",
        "/v2/a\x7f/tags/list",
        "/v2/a%00/tags/list",
        "/v2/a/manifests/..",
        "/v2/a/manifests/%2e%2e%2f%2e%2e",
        "/v2/a/manifests/" + "t" * 129,
        "/v2/a/manifests/sha256:../../../../etc/passwd",
        "/v2/a/manifests/sha256:" + "A" * 64,
        "/v2/a/manifests/md5:" + "0" * 32,
        "/v2/a/blobs/sha256:%2e%2e%2f%2e%2e%2fcatalog.db",
        "/v2/a/blobs/sha256:0",
        "/v2/a/blobs/uploads/../../../catalog.db",
        "/v2/a/blobs/uploads/..%2f..%2fcatalog.db",
        "/v2/a/blobs/uploads/" + "0" * 31,
        "/v2/a/referrers/x",
        "/v2/_catalog?n=-1",
        "/v2/_catalog?n=999999999999999999999",
        "/v2/a/tags/list?" + "&".join(f"x{n}=1" for n in range(500)),
        "/v2/a/tags/list?n=%F0%9F%92%A9",
        "/v3/",
        "/catalog.db",
        "*",
    ],
)
def test_strange_paths(registry, path):
    before = files(registry.service.parts.options.root.parent)
    for method in ("GET", "PUT", "DELETE", "PATCH", "POST", "BREW"):
        reply = registry.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
        assert reply[9:12] in (b"400", b"403", b"404", b"405", b"501"), reply[:300]
        assert b'"errors":[' in reply and b"Traceback" not in reply
    assert files(registry.service.parts.options.root.parent) == before


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /v2/ HTTP/1.1\n\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_strange_heads(registry, head):
    assert registry.raw(head)[9:10] == b"4"


def test_broken_chunks_end_the_request_and_keep_what_came(registry):
    where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
    registry.raw(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n".encode())
    assert registry.call("GET", where).headers["range"] in ("0-2", "0-0")


def test_a_body_shorter_than_promised_and_its_resume(registry):
    data = os.urandom(500_000)
    where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
    with socket.create_connection(("127.0.0.1", registry.port), timeout=60) as sock:
        sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:300_000])
    until(lambda: registry.call("GET", where).headers["range"] == "0-299999", what="the bytes that came")
    rest = {"Content-Range": f"300000-{len(data) - 1}"}
    assert registry.call("PUT", f"{where}?digest={sha256(data)}", data[300_000:], rest).status == 201


def test_a_client_that_comes_back_takes_its_upload_over(tmp_path):
    data = os.urandom(400_000)
    with serving(tmp_path, anonymous_push=True) as registry:
        where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
        with socket.create_connection(("127.0.0.1", registry.port), timeout=60) as sock:
            sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:200_000])
            until(lambda: registry.call("GET", where).headers["range"] == "0-199999", what="the bytes that came")
            rest = {"Content-Range": f"200000-{len(data) - 1}"}
            assert registry.call("PUT", f"{where}?digest={sha256(data)}", data[200_000:], rest).status == 201
        assert registry.call("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_a_stalled_upload_and_a_stalled_reader_are_ended(registry):
    big = os.urandom(30_000_000)
    registry.put_blob("a", big)
    where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
    writer = socket.create_connection(("127.0.0.1", registry.port), timeout=60)
    reader = socket.create_connection(("127.0.0.1", registry.port), timeout=60)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with writer, reader:
        writer.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
        reader.sendall(f"GET /v2/a/blobs/{sha256(big)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 400 " in writer.recv(4096)
        until(lambda: len(registry.service.server._connections) == 0, what="the end of both")
    assert registry.call("GET", where).headers["range"] == "0-2"


def test_half_a_head_and_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "_HEAD_SECONDS", 0.4)
    monkeypatch.setattr(serve, "_IDLE_SECONDS", 0.4)
    with serving(tmp_path, max_connections=3) as registry:
        socks = [socket.create_connection(("127.0.0.1", registry.port), timeout=60) for _ in range(3)]
        socks[0].sendall(b"GET /v2/ HT")
        until(lambda: all(_ended(sock) for sock in socks), seconds=90, what="the end of slow connections")
        assert registry.call("GET", "/v2/").status == 200


def _ended(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_more_connections_than_allowed(tmp_path):
    with serving(tmp_path, max_connections=2) as registry:
        socks = [socket.create_connection(("127.0.0.1", registry.port), timeout=60) for _ in range(2)]
        until(lambda: len(registry.service.server._connections) == 2, what="both connections")
        with pytest.raises(OSError):
            registry.call("GET", "/v2/")
        for sock in socks:
            sock.close()
        until(lambda: not registry.service.server._connections, what="their end")
        assert registry.call("GET", "/v2/").status == 200


@pytest.mark.slow
def test_many_slow_readers_do_not_stop_the_others(registry):
    big = os.urandom(20_000_000)
    registry.put_blob("a", big)
    socks = [socket.create_connection(("127.0.0.1", registry.port), timeout=60) for _ in range(30)]
    try:
        for sock in socks:
            sock.sendall(f"GET /v2/a/blobs/{sha256(big)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        begun = time.monotonic()
        assert registry.call("GET", f"/v2/a/blobs/{sha256(big)}").body == big
        assert time.monotonic() - begun < 30
    finally:
        for sock in socks:
            sock.close()


def test_two_pushes_of_one_blob_at_once(registry):
    data = os.urandom(2_000_000)
    codes: list[int] = []

    def push(one: Registry) -> None:
        codes.append(one.call("POST", f"/v2/a/blobs/uploads/?digest={sha256(data)}", data).status)

    threads = [threading.Thread(target=push, args=(registry,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [201] * 6
    assert registry.call("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_pipelined_requests_are_answered_in_order(registry):
    one = f"GET /v2/a/blobs/{sha256(b'layer')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    last = b"GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reply = registry.raw(one * 3 + last)
    assert reply.count(b"HTTP/1.1 200") == 4 and reply.count(b"\r\n\r\nlayer") == 3 and reply.endswith(b'{"name":"a","tags":["v1"]}')
