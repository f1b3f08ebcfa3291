"""HTTP as the client speaks it, against a scripted peer."""

import socket
import threading

import pytest

from scow.client.api import Client, demux, json_values, query, quote
from scow.client.endpoint import Endpoint
from scow.client.transport import ApiError, CannotConnect
from scow.errors import ScowError


class Peer:
    """A server on a unix socket that answers each request head with the next scripted bytes."""

    def __init__(self, path, *replies):
        self.path = str(path)
        self.heads = []
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(self.path)
        self._sock.listen(5)
        self._replies = list(replies)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        try:
            self._talk()
        except OSError:
            pass  # the client left early, as some tests make it

    def _talk(self):
        while self._replies:
            conn, _ = self._sock.accept()
            with conn:
                held = b""
                while self._replies:
                    while b"\r\n\r\n" not in held:
                        data = conn.recv(65536)
                        if not data:
                            break
                        held += data
                    if b"\r\n\r\n" not in held:
                        break
                    head, _, held = held.partition(b"\r\n\r\n")
                    self.heads.append(head.decode())
                    conn.sendall(self._replies.pop(0))

    def client(self):
        return Client(Endpoint("unix://" + self.path))


@pytest.fixture
def peer(tmp_path):
    return lambda *replies: Peer(tmp_path / "s", *replies)


def test_sized_and_chunked_on_one_connection(peer):
    there = peer(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5;x=y\r\n":1}\n\r\n0\r\n\r\n',
        b"HTTP/1.1 204 No Content\r\n\r\n",
    )
    client = there.client()
    assert client.get("/a", {"all": True, "no": False, "q": "ä b"}) == []
    assert client.get("/b") == {"a": 1}
    assert client.post("/c") is None
    assert there.heads[0].startswith("GET /a?all=1&q=%C3%A4%20b HTTP/1.1\r\nHost: ")
    assert "Content-Length: 0" in there.heads[2]


def test_errors_carry_the_daemons_sentence(peer):
    client = peer(
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{"message":"gone!"}', b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"
    ).client()
    with pytest.raises(ApiError) as caught:
        client.get("/x")
    assert (caught.value.status, caught.value.message) == (404, "gone!")
    with pytest.raises(ApiError, match="status 500"):
        client.get("/x")


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_broken_answers(peer, reply):
    client = peer(reply).client()
    with pytest.raises((ScowError, ValueError)):
        client.get("/x")


def test_hijack_keeps_early_bytes(peer):
    there = peer(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nearly")
    conn, kind = there.client().hijack("/attach")
    assert conn.buffered() and conn.recv() == b"early" and conn.recv() == b"" and kind.endswith("raw-stream")
    assert "Upgrade: tcp" in there.heads[0]
    conn.close()


def test_nobody_there():
    with pytest.raises(CannotConnect):
        Client(Endpoint("unix:///nonexistent")).get("/x")


@pytest.mark.parametrize(
    ("url", "kind", "host", "port"),
    [
        ("tcp://1.2.3.4", "tcp", "1.2.3.4", 2375),
        ("tcp://[::1]:99", "tcp", "::1", 99),
        ("/run/x.sock", "unix", "api.moby.localhost", 0),
        ("ssh://me@h", "ssh", "docker.example.com", 0),
    ],
)
def test_endpoints(url, kind, host, port):
    found = Endpoint(url)
    assert (found.kind, found.host, found.port) == (kind, host, port)


def test_streams():
    frames = b"\x01\0\0\0\0\0\0\x03abc\x02\0\0\0\0\0\0\x01x"
    found = list(demux(frames[i : i + 2] for i in range(0, len(frames), 2)))
    assert b"".join(data for channel, data in found if channel == 1) == b"abc" and found[-1] == (2, b"x")
    assert list(json_values([b'{"a":', b'1}\n{"b"', b":2}\nnoise\n[3]"])) == [{"a": 1}, {"b": 2}, [3]]
    assert quote("a/b") == "a%2Fb" and query({"n": ["x", "y"]}) == "?n=x&n=y"
