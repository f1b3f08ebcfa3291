"""A real scowd: it answers, streams, survives, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.engine import SCOWD, Engine, can_run, engines, until

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield from engines()


def talk(engine: Engine, data: bytes, half_close: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(engine.socket)
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        out = b""
        while piece := sock.recv(65536):
            out += piece
        return out


def test_documents(engine: Engine) -> None:
    assert engine.api("GET", "/version").json["ApiVersion"] == "1.51"
    assert engine.api("GET", "/info").json["Images"] == 1
    assert set(engine.api("GET", "/system/df").json) == {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    assert engine.api("GET", "/swarm").status == 503
    assert engine.api("GET", "/plugins").json == []


def test_exec_over_a_hijacked_connection_with_half_close(engine: Engine) -> None:
    container = engine.container()
    made = engine.api("POST", f"/containers/{container}/exec", {"AttachStdin": True, "AttachStdout": True, "Cmd": ["cat"]})
    head = f"POST /exec/{made.json['Id']}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    got = talk(engine, head.encode() + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}early", half_close=True)
    assert got.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert got.endswith(b"early")


def test_wait_and_events(engine: Engine) -> None:
    container = engine.container("sh", "-c", "exit 7")
    assert engine.wait(container) == 7
    path = f"/events?since=1&until=2000000000&filters=%7B%22container%22%3A%5B%22{container}%22%5D%7D"
    assert engine.api("GET", path.replace("until=2000000000", "until=1")).status == 200
    engine.api("DELETE", f"/containers/{container}")
    assert engine.api("GET", f"/containers/{container}/json").status == 404


def test_stray_requests_are_4xx(engine: Engine) -> None:
    for data in (
        b"garbage\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: d\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n",
    ):
        assert talk(engine, data, half_close=True).startswith(b"HTTP/1.1 4")
    assert engine.api("POST", "/containers/create", {"Image": 5}).status == 400
    assert engine.api("GET", "/containers/json?limit=abc").status == 400


def test_containers_live_through_kill_and_stop() -> None:
    engine = Engine()
    try:
        engine.start()
        container = engine.container()
        pid = engine.inspect(container)["State"]["Pid"]
        for number in (signal.SIGKILL, signal.SIGTERM):
            engine.restart(number)
            state = engine.inspect(container)["State"]
            assert (state["Status"], state["Pid"]) == ("running", pid)
    finally:
        left = engine.close()
    assert left == []


def test_second_daemon_on_the_same_roots_is_refused(engine: Engine) -> None:
    argv = [
        SCOWD,
        "--data-root",
        engine.data,
        "--exec-root",
        engine.run,
        "--pidfile",
        engine.dir / "pid2",
        "-H",
        f"unix://{engine.dir}/2.sock",
    ]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another scowd is running" in done.stderr


def test_reload_by_sighup(engine: Engine) -> None:
    os.kill(engine.pid, signal.SIGHUP)
    until(lambda: "options reloaded" in engine.log(), what="the reload")
