"""Errors of connecting name the address and what to do; ssh runs a program and its end is told."""

import os
import posix
import socket
import ssl

import pytest

from scow.client.api import Client
from scow.client.endpoint import Endpoint
from scow.client.reasons import why
from scow.client.transport import CannotConnect, NoAnswer


@pytest.mark.parametrize(
    ("url", "error", "texts"),
    [
        (
            "unix:///x",
            FileNotFoundError(2, "no"),
            ["at unix:///x. Is the docker daemon running?\n", "There is no such socket: start the engine"],
        ),
        ("unix:///x", ConnectionRefusedError(111, "no"), ["nobody listens on it"]),
        ("unix:///x", PermissionError(13, "no"), ["permission denied while trying to connect", "unix:///x", "run as root"]),
        ("tcp://h:1", ConnectionRefusedError(111, "no"), ["at tcp://h:1.", "Nothing listens on h:1"]),
        ("tcp://h:1", TimeoutError("timed out"), ["h:1 does not answer", "firewall"]),
        ("tcp://h:1", socket.gaierror(-2, "Name or service not known"), ["The name h is not known"]),
        ("tcp://h:1", ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"), ["--tlscert and --tlskey"]),
        ("tcp://h:1", ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), ["Does the engine speak TLS on that port?"]),
        ("tcp://h:1", ssl.SSLCertVerificationError(1, "certificate verify failed: x"), ["is not trusted", "--tlscacert"]),
        ("ssh://h", FileNotFoundError(2, "no"), ["Is ssh installed here?"]),
    ],
)
def test_sentences(url: str, error: OSError, texts: list[str]) -> None:
    found = why(Endpoint(url), error)
    assert all(text in found for text in texts), found


def _ssh(tmp_path, monkeypatch, text: str) -> None:
    path = tmp_path / "ssh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setitem(posix.environ, b"PATH", f"{tmp_path}:{os.environ['PATH']}".encode())


def test_ssh_runs_dial_stdio_there(tmp_path, monkeypatch) -> None:
    _ssh(
        tmp_path,
        monkeypatch,
        f"echo \"$@\" > {tmp_path}/args\nread line\nprintf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n[]'\ncat >/dev/null\n",
    )
    assert Client(Endpoint("ssh://me@far:22/run/x.sock")).get("/containers/json") == []
    assert (
        tmp_path / "args"
    ).read_text() == "-l me -p 22 -o ConnectTimeout=30 -T -- far docker --host unix:///run/x.sock system dial-stdio\n"


def test_ssh_that_fails_is_told_with_its_status(tmp_path, monkeypatch) -> None:
    _ssh(tmp_path, monkeypatch, "exit 255\n")
    with pytest.raises(CannotConnect, match="error during connect: ssh://far: ssh ended with status 255"):
        Client(Endpoint("ssh://far")).get("/info")


def test_a_plain_connection_that_is_dropped_asks_for_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def drop() -> None:
            conn, _ = server.accept()
            conn.recv(65536)
            conn.close()

        thread = threading.Thread(target=drop, daemon=True)
        thread.start()
        with pytest.raises(NoAnswer, match="Does it want TLS"):
            Client(Endpoint(f"tcp://127.0.0.1:{server.getsockname()[1]}")).get("/info")
        thread.join(10)
