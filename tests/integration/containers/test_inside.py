"""Reaching into containers through the API, on the real kernel: exec, attach, files, commit, logs, figures, health."""

import base64
import io
import json
import os
import socket
import struct
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, can_run, until

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.busybox()
        yield made


@pytest.fixture(scope="module")
def box(engine: Engine) -> str:
    return engine.container("sleep", "10000", Env=["INHERITED=yes"], WorkingDir="/tmp")


def demux(data: bytes) -> tuple[bytes, bytes]:
    out: dict[int, bytes] = {1: b"", 2: b""}
    while data:
        kind, size = struct.unpack(">BxxxI", data[:8])
        out[kind] += data[8 : 8 + size]
        data = data[8 + size :]
    return out[1], out[2]


def run(engine: Engine, container: str, *cmd: str, **config: Any) -> tuple[int, bytes, bytes]:
    made = engine.api("POST", f"/containers/{container}/exec", {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True, **config})
    assert made.status == 201, made.body
    reply = engine.api("POST", f"/exec/{made.json['Id']}/start", {})
    assert reply.status == 200, reply.body
    code = engine.api("GET", f"/exec/{made.json['Id']}/json").json["ExitCode"]
    return code, *demux(reply.body)


def tarball(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def hijack(engine: Engine, path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(engine.socket)
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101 "), head
    return sock


def rest(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(65536):
        data += more
    sock.close()
    return data


def test_exec_streams_codes_and_identity(engine: Engine, box: str) -> None:
    assert run(engine, box, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")
    assert run(engine, box, "sh", "-c", "kill -9 $$")[0] == 137
    code, out, _ = run(
        engine, box, "sh", "-c", "echo $(id -u):$(id -g) $INHERITED $MORE $PWD $HOME", User="user", Env=["MORE=1"], WorkingDir="/etc"
    )
    assert (code, out) == (0, b"1000:1000 yes 1 /etc /home\n")
    code, out, err = run(engine, box, "/no/such/program")
    assert code == 127 and b"/no/such/program" in out + err
    assert not engine.api("GET", f"/containers/{box}/json").json["ExecIDs"]


def test_attach_before_the_start_misses_nothing(engine: Engine) -> None:
    made = engine.create("sh", "-c", "echo first; read x; echo got $x >&2", OpenStdin=True, StdinOnce=True)
    sock = hijack(engine, f"/containers/{made}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert engine.api("POST", f"/containers/{made}/start").status == 204
    sock.sendall(b"word\n")
    sock.shutdown(socket.SHUT_WR)
    assert demux(rest(sock)) == (b"first\n", b"got word\n")


def test_client_that_waits_for_a_start_ends_with_the_removal(engine: Engine) -> None:
    made = engine.create("true")
    sock = hijack(engine, f"/containers/{made}/attach?stream=1&stdout=1")
    assert engine.api("DELETE", f"/containers/{made}").status == 204
    assert rest(sock) == b""


def test_files_in_and_out(engine: Engine, box: str) -> None:
    assert (
        engine.api("PUT", f"/containers/{box}/archive?path=/tmp", tarball(f=b"data"), {"Content-Type": "application/x-tar"}).status == 200
    )
    reply = engine.api("GET", f"/containers/{box}/archive?path=/tmp/f")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        member = tar.extractfile("f")
        assert member is not None and member.read() == b"data"
    facts = json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"]))
    assert (facts["name"], facts["size"], facts["linkTarget"]) == ("f", 4, "")
    assert engine.api("HEAD", f"/containers/{box}/archive?path=/no/such").status == 404
    refused = engine.api("PUT", f"/containers/{box}/archive?path=/tmp/f", tarball(g=b"x"), {"Content-Type": "application/x-tar"})
    assert refused.status == 400 and "extraction point is not a directory" in refused.json["message"]


def test_files_of_a_container_that_never_ran_with_its_volume(engine: Engine) -> None:
    made = engine.create("cat", "/data/f", HostConfig={"Binds": ["inside-test:/data"]})
    assert (
        engine.api("PUT", f"/containers/{made}/archive?path=/data", tarball(f=b"volume"), {"Content-Type": "application/x-tar"}).status
        == 200
    )
    mountpoint = engine.api("GET", "/volumes/inside-test").json["Mountpoint"]
    with open(os.path.join(mountpoint, "f"), "rb") as file:
        assert file.read() == b"volume"
    assert not [point for point in engine.mounts() if "/views/" in point]


def test_read_only_root_refuses(engine: Engine) -> None:
    made = engine.container(HostConfig={"ReadonlyRootfs": True})
    reply = engine.api("PUT", f"/containers/{made}/archive?path=/tmp", tarball(f=b"x"), {"Content-Type": "application/x-tar"})
    assert reply.status == 403 and "container rootfs is marked read-only" in reply.json["message"]


def test_a_read_only_file_of_the_host(engine: Engine, tmp_path: Any) -> None:
    (tmp_path / "conf").write_text("of the host")
    made = engine.container("sleep", "1000", HostConfig={"Binds": [f"{tmp_path}/conf:/etc/conf:ro", f"{tmp_path}:/folder:ro"]})
    assert run(engine, made, "cat", "/etc/conf", "/folder/conf") == (0, b"of the host" * 2, b"")
    for place in ("/etc/conf", "/folder/conf"):
        code, _, said = run(engine, made, "sh", "-c", f"echo x > {place}")
        assert code and b"Read-only file system" in said


def test_links_of_a_container_lead_nowhere_else(engine: Engine, tmp_path: Any) -> None:
    """Neither plain links nor those in the /proc of a container that shares the host's processes leave its root."""
    made = engine.container("sleep", "1000", HostConfig={"PidMode": "host"})
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    for target in (str(tmp_path), f"/proc/{os.getpid()}/root{tmp_path}", "/proc/1/root" + str(tmp_path)):
        assert run(engine, made, "ln", "-sfn", target, "/esc")[0] == 0
        reply = engine.api("GET", f"/containers/{made}/archive?path=/esc/secret")
        assert reply.status in (400, 404), reply.body
        reply = engine.api("PUT", f"/containers/{made}/archive?path=/esc", tarball(planted=b"x"), {"Content-Type": "application/x-tar"})
        assert reply.status in (400, 404), reply.body
    assert sorted(os.listdir(tmp_path)) == ["secret"]


def test_changes_export_and_commit(engine: Engine) -> None:
    made = engine.container("sh", "-c", "echo x > /added; rm /bin/vi; sleep 1000")
    kinds: dict[str, int] = until(lambda: _kinds(engine, made).keys() >= {"/added", "/bin/vi"} and _kinds(engine, made))
    assert (kinds["/added"], kinds["/bin/vi"]) == (1, 2) and "/etc/hosts" not in kinds
    with tarfile.open(fileobj=io.BytesIO(engine.api("GET", f"/containers/{made}/export").body)) as tar:
        names = tar.getnames()
    assert "added" in names and "bin/vi" not in names
    reply = engine.api("POST", f"/commit?container={made}&repo=inside&tag=v1&changes=CMD%20cat%20/added")
    assert reply.status == 201, reply.body
    assert engine.api("GET", f"/containers/{made}/json").json["State"]["Status"] == "running"
    assert engine.api("GET", "/images/inside:v1/json").json["Config"]["Cmd"] == ["/bin/sh", "-c", "cat /added"]
    assert engine.api("POST", f"/commit?container={made}&repo=Upper/Case").status == 400


def _kinds(engine: Engine, container: str) -> dict[str, int]:
    return {change["Path"]: change["Kind"] for change in engine.api("GET", f"/containers/{container}/changes").json or []}


def test_logs_followed_to_the_end(engine: Engine) -> None:
    made = engine.container("sh", "-c", "echo past; until [ -e /go ]; do sleep 0.05; done; echo future >&2")
    until(lambda: engine.api("GET", f"/containers/{made}/logs?stdout=1").body)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(engine.socket)
    sock.sendall(f"GET /containers/{made}/logs?follow=1&stdout=1&stderr=1 HTTP/1.0\r\nHost: d\r\n\r\n".encode())
    assert run(engine, made, "touch", "/go")[0] == 0
    data = rest(sock)
    assert b"past\n" in data and b"future\n" in data
    assert engine.api("GET", f"/containers/{made}/logs").status == 400


def test_figures(engine: Engine, box: str) -> None:
    one = engine.api("GET", f"/containers/{box}/stats?stream=0&one-shot=1").json
    assert one["pids_stats"]["current"] >= 1 and one["memory_stats"]["usage"] > 0 and one["name"].startswith("/")
    top = engine.api("GET", f"/containers/{box}/top").json
    assert "PID" in top["Titles"] and any(row[-1] == "sleep 10000" for row in top["Processes"])
    assert engine.api("GET", f"/containers/{box}/top?ps_args=--nonsense").status == 400


def test_health_survives_a_restart_of_the_daemon(engine: Engine) -> None:
    check = {"Test": ["CMD-SHELL", "test ! -e /bad"], "Interval": 100_000_000, "Retries": 1}
    made = engine.container("sleep", "1000", Healthcheck=check)

    def status() -> str:
        return str(engine.api("GET", f"/containers/{made}/json").json["State"]["Health"]["Status"])

    until(lambda: status() == "healthy")
    engine.restart()
    assert status() == "healthy"
    assert run(engine, made, "touch", "/bad")[0] == 0
    until(lambda: status() == "unhealthy")
