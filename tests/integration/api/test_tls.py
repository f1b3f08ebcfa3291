"""The API over TCP: certificates of both sides, streams taken over through TLS, and the end of either side."""

import contextlib
import hashlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, can_run
from tests.support.tls import authority, connect

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")
PORT, OPEN_PORT = 2376, 2375


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def engine(files: Path) -> Iterator[Engine]:
    flags = [f"--tlscacert={files}/ca.pem", f"--tlscert={files}/cert.pem", f"--tlskey={files}/key.pem"]
    engine = Engine("--tlsverify", *flags, "-H", "tcp://127.0.0.1")
    try:
        engine.start()
        engine.busybox()
        yield engine
    finally:
        left = engine.close()
    assert left == []


def secure(engine: Engine, files: Path, client: str = "client") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))
    if client:
        context.load_cert_chain(files / f"{client}.pem", files / f"{client}-key.pem")
    return context.wrap_socket(connect(engine.name, PORT), server_hostname="127.0.0.1")


def ask(sock: socket.socket, data: bytes) -> bytes:
    out = b""
    with contextlib.suppress(ssl.SSLEOFError, ConnectionError):
        sock.sendall(data)
        while piece := sock.recv(65536):
            out += piece
    return out


def request(method: str, path: str, body: bytes = b"", more: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def test_a_client_with_a_certificate_is_served(engine: Engine, files: Path) -> None:
    with secure(engine, files) as sock:
        reply = ask(sock, request("GET", "/version", more="Connection: close\r\n"))
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"ApiVersion":"1.51"' in reply


@pytest.mark.parametrize("client", ["", "other"])
def test_a_client_without_a_certificate_of_the_authority_is_not(engine: Engine, files: Path, client: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)), secure(engine, files, client) as sock:
        # with TLS 1.3 the refusal comes behind the client's own handshake
        assert ask(sock, request("GET", "/version", more="Connection: close\r\n")) == b""
        raise ConnectionError("refused by the end of the connection")


def test_plain_http_on_the_tls_port_does_no_harm(engine: Engine, files: Path) -> None:
    with connect(engine.name, PORT) as sock:
        assert not ask(sock, request("GET", "/_ping")).startswith(b"HTTP/1.1 200")
    test_a_client_with_a_certificate_is_served(engine, files)


def test_a_large_reply(engine: Engine, files: Path) -> None:
    with secure(engine, files) as sock:
        reply = ask(sock, request("GET", "/images/busybox/get", more="Connection: close\r\n"))
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(reply) > 200_000


def test_exec_through_tls_echoes_everything_and_ends(engine: Engine, files: Path) -> None:
    container = engine.container()
    config = {"AttachStdin": True, "AttachStdout": True, "Cmd": ["sh", "-c", "cat; echo end"]}
    ident = engine.api("POST", f"/containers/{container}/exec", config).json["Id"]
    payload = hashlib.sha256(b"x").digest() * 20_000
    with secure(engine, files) as sock:
        sock.sendall(request("POST", f"/exec/{ident}/start", b"{}", "Connection: Upgrade\r\nUpgrade: tcp\r\n"))
        got = b""
        while b"\r\n\r\n" not in got:
            got += sock.recv(65536)
        head, _, got = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 UPGRADED")
        sent = 0
        # the echo is read between pieces: both directions at once, no thread
        while sent < len(payload):
            sock.sendall(payload[sent : sent + 16_000])
            sent += 16_000
            got += sock.recv(65536)
        while len(plain(got)) < len(payload):
            got += sock.recv(65536)
        assert plain(got) == payload
        # Python's unwrap waits for the other side's end: only ours is told here, by the record itself
        close_notify(sock)
    engine.api("DELETE", f"/containers/{container}?force=1")


def plain(data: bytes) -> bytes:
    out, at = b"", 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        out += data[at + 8 : at + 8 + size]
        at += 8 + size
    return out


def close_notify(sock: ssl.SSLSocket) -> None:
    sock.settimeout(60)
    try:
        rest = sock.unwrap()
    except (ssl.SSLError, OSError):
        return
    rest.close()


def test_half_close_through_tls_keeps_the_output(engine: Engine, files: Path) -> None:
    """After close-notify the program still gets to say its last line."""
    container = engine.container()
    config = {"AttachStdin": True, "AttachStdout": True, "Cmd": ["sh", "-c", "cat >/dev/null; echo last"]}
    ident = engine.api("POST", f"/containers/{container}/exec", config).json["Id"]
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))
    context.load_cert_chain(files / "client.pem", files / "client-key.pem")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with connect(engine.name, PORT) as raw:

        def pump(step: str, *args: bytes) -> None:
            while True:
                try:
                    getattr(tls, step)(*args)
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    if step == "unwrap":
                        return
                    incoming.write(raw.recv(65536))
                else:
                    raw.sendall(outgoing.read())
                    return

        pump("do_handshake")
        pump("write", request("POST", f"/exec/{ident}/start", b"{}", "Connection: Upgrade\r\nUpgrade: tcp\r\n"))
        pump("write", b"some input")
        pump("unwrap")
        got = b""
        while data := raw.recv(65536):
            incoming.write(data)
            try:
                while piece := tls.read(65536):
                    got += piece
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
        assert got.startswith(b"HTTP/1.1 101 UPGRADED")
        assert got.endswith(b"last\n")
    assert engine.api("GET", f"/exec/{ident}/json").json["ExitCode"] == 0
    engine.api("DELETE", f"/containers/{container}?force=1")


def test_the_docker_client_over_tls(engine: Engine, files: Path, tmp_path: Path) -> None:
    done = engine.inside("sh", "-c", "command -v docker")
    if done.returncode:
        pytest.skip("no docker CLI")
    for name, source in (("ca.pem", "ca.pem"), ("cert.pem", "client.pem"), ("key.pem", "client-key.pem")):
        (tmp_path / name).write_bytes((files / source).read_bytes())
    env = ["env", f"DOCKER_HOST=tcp://127.0.0.1:{PORT}", "DOCKER_TLS_VERIFY=1", f"DOCKER_CERT_PATH={tmp_path}"]
    done = engine.inside(*env, "sh", "-c", "echo through | docker run --rm -i busybox cat")
    assert (done.returncode, done.stdout) == (0, b"through\n"), done.stderr
    assert json.loads(engine.inside(*env, "docker", "version", "--format", "{{json .Server.APIVersion}}").stdout) == "1.51"
