"""`scow registry` as its users run it: the process, its flags, the commands beside it, its death."""

import http.client
import io
import os
import shutil
import signal
import socket
import ssl
import time

import pytest

from scow.cli.main import main
from scow.registryd.store import open_store
from tests.support.engine import until
from tests.support.registryprogram import Program, run
from tests.support.registryserver import image, sha256
from tests.support.tls import authority


def call(program: Program, method: str, path: str, body=None, headers=None) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read(), {key.lower(): value for key, value in reply.getheaders()}
    finally:
        connection.close()


def push(program: Program, name: str, tag: str, layer: bytes) -> None:
    for data in (layer, b"{}"):
        assert call(program, "POST", f"/v2/{name}/blobs/uploads/?digest={sha256(data)}", data)[0] == 201
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    assert call(program, "PUT", f"/v2/{name}/manifests/{tag}", image(layer), kind)[0] == 201


def test_users_tokens_and_rules_beside_the_server(tmp_path, monkeypatch, capsys):
    root = tmp_path / "r"

    def do(*args: str, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
        """As `run`, in this process: a dozen starts of a program would be what this test waits for."""
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert main(["registry", *args, "--root", str(root)]) == code
        out, err = capsys.readouterr()
        return out, err

    assert "holds no registry" in do("user", "ls", code=1)[1]
    do("user", "add", "ann", "--password-stdin", "--grant", "team/**:*", "--grant", "lib/*", stdin=b"secret\n")
    with Program(root) as program:
        assert call(program, "GET", "/v2/")[0] == 401
        do("user", "grant", "ann", "other:pull")
        do("user", "revoke", "ann", "lib/*")
        assert "other:pull team/**:pull,push,delete" in do("user", "ls")[0]
        do("user", "passwd", "ann", "--password-stdin", stdin=b"new")
        out, err = do("token", "create", "ann", "--grant", "team/x:pull", "--expires", "30d")
        secret = out.strip()
        assert secret.startswith("scow_") and "shown only now" in err
        bearing = {"Authorization": f"Bearer {secret}"}
        assert call(program, "GET", "/v2/", headers=bearing)[0] == 200
        do("token", "rm", do("token", "ls")[0].split()[4])
        assert call(program, "GET", "/v2/", headers=bearing)[0] == 401
        number = do("retention", "add", "team/**", "--tags", "n*", "--except", "n1", "--keep", "3", "--older-than", "2w")[0]
        assert "team/**" in do("retention", "ls")[0]
        do("retention", "rm", number.strip())
        assert "the last user" in do("user", "rm", "ann")[1]
        assert call(program, "GET", "/v2/")[0] == 401, "what was closed stays closed"
        assert secret not in program.log and "secret" not in program.log


@pytest.mark.parametrize(
    ("args", "gist"),
    [
        (("user", "add", "a:b", "--password-stdin"), "invalid user name"),
        (("user", "fly"), "has no 'fly'"),
        (("user", "add"), "add takes NAME"),
        (("retention", "add", "x"), "a rule needs at least one of"),
        (("retention", "add", "x", "--older-than", "soon"), "a span of time is written"),
        (("retention", "rm", "9"), "there is no rule 9"),
        (("token", "create", "nobody"), "there is no user nobody"),
        (("serve", "--tls-cert", "x"), "TLS needs both"),
        (("serve", "--upstream", "a b"), "invalid upstream"),
        (("serve", "--mirror", "docker.io"), "--mirror names an upstream"),
        (("serve", "--auth", "magic"), "--auth is one of basic, token"),
        (("serve", "--gc-interval", "-1s"), "a span of time is written"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, capsys, args, gist):
    open_store(tmp_path).close()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"p")))
    assert main(["registry", *args, "--root", str(tmp_path)]) == 1
    assert gist in capsys.readouterr().err


def test_a_server_that_cannot_start(tmp_path):
    for args, gist in (
        (("--listen", "x"), b"invalid address"),
        (("--tls-cert", "/none", "--tls-key", "/none"), b"could not load the TLS files"),
    ):
        done = run("serve", *args, root=tmp_path / "r", code=1)
        assert gist in done.stderr and b"Traceback" not in done.stderr


def test_retention_and_gc_beside_the_server(tmp_path):
    root = tmp_path / "r"
    with Program(root, "--anonymous-push") as program:
        for at in range(4):
            push(program, "app", f"v{at}", b"layer %d" % at)
        run("retention", "add", "**", "--keep", "2", root=root)
        dry = run("retention", "apply", "--dry-run", root=root)
        assert (
            dry.stdout.decode().splitlines()[0].startswith("app:v1\trule 1: not among the newest 2") and b"2 would be removed" in dry.stderr
        )
        assert b"2 removed" in run("retention", "apply", root=root).stderr
        assert call(program, "GET", "/v2/app/tags/list")[1] == b'{"name":"app","tags":["v2","v3"]}'
        assert b"Removed 0 of 5 blobs" in run("gc", root=root).stdout, "they are young"
        done = run("gc", "--grace", "0", root=root)
        assert b"Removed 2 of 5 blobs, 14B" in done.stdout and b"of 5 blobs looked at" in done.stderr
        assert call(program, "GET", f"/v2/app/blobs/{sha256(b'layer 3')}")[1] == b"layer 3"
        assert program.process is not None
        program.process.send_signal(signal.SIGUSR1)
        until(lambda: "garbage collection: 0 of 3 blobs removed" in program.log, what="the round that was asked for")


def test_an_end_during_an_upload_and_a_sudden_death(tmp_path):
    data = os.urandom(1_000_000)
    program = Program(tmp_path / "r", "--anonymous-push", "--metrics", "127.0.0.1:0")
    with program:
        push(program, "a", "v1", b"kept")
        where = call(program, "POST", "/v2/a/blobs/uploads/")[2]["location"]
        with socket.create_connection(("127.0.0.1", program.port)) as sock:
            sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:400_000])
            until(lambda: call(program, "GET", where)[2]["range"] == "0-399999", what="the bytes that came")
            assert program.process is not None
            program.process.send_signal(signal.SIGKILL)
            program.process.wait(60)
        program.start()
        # what the kernel took before the death is there
        assert call(program, "GET", where)[2]["range"] == "0-399999"
        last = {"Content-Range": f"400000-{len(data) - 1}"}
        assert call(program, "PUT", f"{where}?digest={sha256(data)}", data[400_000:], last)[0] == 201
        assert call(program, "GET", f"/v2/a/blobs/{sha256(data)}")[1] == data
        assert call(program, "GET", "/v2/a/manifests/v1")[0] == 200
        begun = time.monotonic()
        assert program.stop() == 0 and time.monotonic() - begun < 40
        assert "Traceback" not in program.log


def test_metrics_are_on_an_address_of_their_own(tmp_path):
    with Program(tmp_path / "r", "--anonymous-push", "--metrics", "127.0.0.1:0") as program:
        push(program, "a", "v1", b"x")
        line = next(line for line in program.log.splitlines() if "metrics at http://" in line)
        port = int(line.rpartition("/metrics")[0].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        assert "scow_registry_manifests_pushed_total 1\n" in text and "scow_registry_tags 1\n" in text
        assert call(program, "GET", "/metrics")[0] == 404


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path):
    files, renewed = authority(tmp_path / "tls"), authority(tmp_path / "renewed")
    flags = ("--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "key.pem"))

    def serial(program: Program) -> str:
        return ssl.get_server_certificate(("127.0.0.1", program.port), timeout=60)

    with Program(tmp_path / "r", *flags) as program:
        assert program.process is not None
        old = serial(program)
        shutil.copy(renewed / "cert.pem", files)  # without its key: no pair
        program.process.send_signal(signal.SIGHUP)
        until(lambda: "the old certificate stays" in program.log, what="the refusal")
        assert serial(program) == old
        shutil.copy(renewed / "key.pem", files)
        program.process.send_signal(signal.SIGHUP)
        until(lambda: "read again" in program.log, what="the new certificate")
        assert serial(program) == (renewed / "cert.pem").read_text() != old
        assert "Traceback" not in program.log
