"""kill -9 of the daemon at chosen moments: what was acknowledged is there, what ran runs, what ended has its code and time."""

import http.client
import json
import os
import signal
import socket
import time

import pytest

from tests.crash.helpers import SERVER, SLEEPER, counting, gone, numbers, output, ready, state
from tests.support.engine import Engine, busybox_tar, until
from tests.support.storm import served, stamp


def _send(engine: Engine, method: str, path: str, body: bytes = b"", length: int | None = None) -> socket.socket:
    """Send a request and don't read its answer."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(engine.socket)
    size = len(body) if length is None else length
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


def test_running_containers_ports_names_and_health_survive(engine: Engine) -> None:
    network = engine.api("POST", "/networks/create", {"Name": "crash-net"})
    assert network.status == 201
    hosted = {"NetworkMode": "crash-net"}
    plain = engine.container("sh", "-c", SLEEPER, name="plain", HostConfig=hosted)
    terminal = engine.container("sh", "-c", SLEEPER, name="terminal", Tty=True, OpenStdin=True)
    ports = {"80/tcp": [{"HostPort": "18080"}]}
    server = engine.container("sh", "-c", SERVER, name="server", ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": ports, **hosted})
    check = {"Test": ["CMD", "test", "-e", "/ok"], "Interval": 200_000_000, "Timeout": 30_000_000_000, "Retries": 1}
    sick = engine.container("sh", "-c", f"touch /ok; {SLEEPER}", name="sick", Healthcheck=check)
    paused = engine.container("sh", "-c", SLEEPER, name="paused")
    pids = {ref: ready(engine, ref) for ref in (plain, terminal, server, sick, paused)}
    assert engine.api("POST", f"/containers/{paused}/pause").status == 204
    before = {ref: engine.inspect(ref) for ref in pids}
    until(lambda: state(engine, sick)["Health"]["Status"] == "healthy", 60, "healthy")

    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        engine.restart(number)
        for ref, pid in pids.items():
            now = engine.inspect(ref)
            assert now["State"]["Pid"] == pid and now["State"]["Running"]
            assert now["State"]["StartedAt"] == before[ref]["State"]["StartedAt"]
            assert now["NetworkSettings"]["Networks"].keys() == before[ref]["NetworkSettings"]["Networks"].keys()
        assert state(engine, paused)["Paused"]
        until(lambda: served(engine, 18080), 60, "an answer of the published port")
        until(lambda: _exec(engine, plain, "nslookup", "server", "127.0.0.11")[0] == 0, 60, "an answer of the name server")
        until(lambda: state(engine, sick)["Health"]["Status"] == "healthy", 60, "healthy again")

    _exec(engine, sick, "rm", "/ok")
    until(lambda: state(engine, sick)["Health"]["Status"] == "unhealthy", 60, "unhealthy")
    assert engine.api("POST", f"/containers/{paused}/unpause").status == 204
    for ref in pids:
        assert engine.api("POST", f"/containers/{ref}/stop?t=60").status == 204
        assert state(engine, ref)["ExitCode"] == 3


def _exec(engine: Engine, ref: str, *cmd: str) -> tuple[int, bytes]:
    key = engine.api("POST", f"/containers/{ref}/exec", {"AttachStdout": True, "Cmd": list(cmd)}).json["Id"]
    out = engine.api("POST", f"/exec/{key}/start", {"Detach": False}).body
    document = until(lambda: (d := engine.api("GET", f"/exec/{key}/json").json) and not d["Running"] and d, 60, "the exec's end")
    return int(document["ExitCode"]), out


def test_containers_that_end_meanwhile_have_their_code_and_time(engine: Engine) -> None:
    wait = "while [ ! -e /go/now ]; do sleep 0.05; done; echo last words; exit 9"
    signals = engine.dir / "go"
    signals.mkdir(exist_ok=True)
    (signals / "now").unlink(missing_ok=True)
    bind = {"Binds": [f"{signals}:/go"]}
    plain = engine.container("sh", "-c", wait, HostConfig=bind)
    terminal = engine.container("sh", "-c", wait, HostConfig=bind, Tty=True)
    twice = f"if [ -e /again ]; then {SLEEPER}; fi; touch /again; {wait}"
    again = engine.container("sh", "-c", twice, HostConfig={**bind, "RestartPolicy": {"Name": "always"}})
    failing = engine.container("sh", "-c", wait, HostConfig={**bind, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}})
    removed = engine.container("sh", "-c", wait, name="removed", HostConfig={**bind, "AutoRemove": True})
    killed = engine.container("sh", "-c", SLEEPER)
    refs = (plain, terminal, again, failing, removed, killed)
    pids = {ref: int(state(engine, ref)["Pid"]) for ref in refs}
    ready(engine, killed)
    engine.kill()
    (signals / "now").touch()
    os.kill(pids[killed], signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in pids.values()), 60, "the containers' ends")
    after = time.time()
    engine.start()
    for ref, code in ((plain, 9), (terminal, 9), (killed, 137)):
        now = state(engine, ref)
        assert (now["Status"], now["ExitCode"], now["Error"]) == ("exited", code, "")
        assert stamp(now["StartedAt"]) <= stamp(now["FinishedAt"]) <= after + 0.1
    assert output(engine, plain) == b"last words\n"
    assert output(engine, terminal, tty=True) == b"last words\n"
    until(lambda: engine.api("GET", f"/containers/{removed}/json").status == 404, 60, "the removal of --rm")
    until(lambda: b"ready" in output(engine, again), 60, "a restart by policy")
    # its words may be there before the daemon has written its pid down
    until(lambda: state(engine, again)["Pid"] not in (0, pids[again]), 60, "the pid of the restarted container")
    until(lambda: (now := engine.inspect(failing))["RestartCount"] == 1 and now["State"]["Status"] == "exited", 60, "the last retry")
    assert state(engine, failing)["ExitCode"] == 9


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_requests_under_way_are_done_or_not_done(engine: Engine, delay: float) -> None:
    names = {verb: engine.container("sh", "-c", SLEEPER, name=f"{verb}-{delay}") for verb in ("stop", "kill", "rm", "restart", "rename")}
    names["start"] = engine.create("sh", "-c", SLEEPER, name=f"start-{delay}")
    for verb, ref in names.items():
        if verb != "start":
            ready(engine, ref)
    config = {"Image": "busybox", "Cmd": ["sh", "-c", SLEEPER], "HostConfig": {"Binds": ["crash-vol:/data"]}}
    sent = [
        _send(engine, "POST", f"/containers/create?name=create-{delay}", json.dumps(config).encode()),
        _send(engine, "POST", f"/containers/{names['start']}/start"),
        _send(engine, "POST", f"/containers/{names['stop']}/stop?t=60"),
        _send(engine, "POST", f"/containers/{names['kill']}/kill"),
        _send(engine, "DELETE", f"/containers/{names['rm']}?force=1"),
        _send(engine, "POST", f"/containers/{names['restart']}/restart?t=60"),
        _send(engine, "POST", f"/containers/{names['rename']}/rename?name=renamed-{delay}"),
    ]
    time.sleep(delay)  # a moment among the work: whichever it is, the outcome must be one of two
    engine.kill()
    for sock in sent:
        sock.close()
    engine.start()
    for verb, ref in names.items():
        reply = engine.api("GET", f"/containers/{ref}/json")
        assert reply.status == 200 or (verb == "rm" and reply.status == 404)
        if reply.status == 404:
            continue
        now = reply.json["State"]
        assert now["Running"] is (now["Pid"] != 0)
        assert not now["Running"] or not gone(now["Pid"])
        assert now["Status"] in ("running", "exited", "created")
        assert reply.json["Name"] in (f"/{verb}-{delay}", f"/renamed-{delay}" if verb == "rename" else "")
        if verb in ("stop", "kill") and not now["Running"]:
            assert now["ExitCode"] == (3 if verb == "stop" else 137)
        # whatever it is, it goes on from there
        assert engine.api("POST", f"/containers/{ref}/restart?t=10").status == 204
        assert state(engine, ref)["Running"]
    made = engine.api("GET", f"/containers/create-{delay}/json")
    if made.status == 200:
        assert engine.api("POST", f"/containers/create-{delay}/start").status == 204
    else:
        assert engine.api("POST", f"/containers/create?name=create-{delay}", config).status == 201


@pytest.mark.parametrize("tty", [False, True])
def test_a_log_has_no_gap_and_no_double(engine: Engine, tty: bool) -> None:
    ref = engine.container("sh", "-c", counting(2000), Tty=tty)
    for _ in range(2):
        seen = len(numbers(output(engine, ref, tty)))
        until(lambda seen=seen: len(numbers(output(engine, ref, tty))) > min(seen + 100, 1999), 60, "more lines")
        engine.restart(signal.SIGKILL)
    until(lambda: b"ready" in output(engine, ref, tty), 60, "the end of the lines")
    assert numbers(output(engine, ref, tty)) == list(range(2000))


def _store(engine: Engine) -> set[str]:
    roots = (engine.data / "content", engine.data / "snapshots")
    return {str(path.relative_to(engine.data)) for root in roots for path in root.glob("**/*") if len(path.relative_to(root).parts) < 4}


@pytest.mark.parametrize("part", [0.3, 1.0])
def test_an_image_half_loaded_leaves_nothing(engine: Engine, part: float) -> None:
    saved = engine.api("GET", "/images/busybox:latest/get").body
    target = "/images/load"
    if part == 1.0:  # as an import the layer is new, so that its unpacking is met
        saved, target = busybox_tar() + b"", "/images/create?fromSrc=-&repo=halfway&tag=latest"
    before = _store(engine)
    sock = _send(engine, "POST", target, saved[: int(len(saved) * part)], len(saved))
    engine.kill()
    sock.close()
    engine.start()
    tags = {tag for image in engine.api("GET", "/images/json").json for tag in image["RepoTags"] or []}
    if "halfway:latest" in tags:
        assert engine.api("DELETE", "/images/halfway:latest").status == 200
    until(lambda: _store(engine) == before, 60, "an image store as before")
    reply = engine.api("POST", "/images/load", engine.api("GET", "/images/busybox:latest/get").body, {"Content-Type": "application/x-tar"})
    assert reply.status == 200 and b"error" not in reply.body
    assert engine.wait(engine.container("true")) == 0


def test_keeper_leaves_when_nothing_is_left(engine: Engine) -> None:
    ref = engine.container("sh", "-c", "read x; exit 4", OpenStdin=True)
    keeper, pid = engine.keeper_pid, int(state(engine, ref)["Pid"])
    assert keeper
    engine.kill()
    assert not gone(keeper)
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(keeper), 60, "the keeper's end")
    engine.start()
    now = state(engine, ref)
    assert (now["Status"], now["ExitCode"]) == ("exited", 137)
    keeper = engine.keeper_pid
    engine.clean()
    engine.stop()
    until(lambda: gone(keeper), 60, "the keeper's end")
    engine.start()


def test_two_kills_in_a_row_and_waiting_clients(engine: Engine) -> None:
    ref = engine.container("sh", "-c", SLEEPER)
    ready(engine, ref)
    waiting = _send(engine, "POST", f"/containers/{ref}/wait")
    engine.kill()
    with pytest.raises((OSError, http.client.HTTPException, AssertionError)):
        answer = http.client.HTTPResponse(waiting)
        answer.begin()
        assert answer.read() != b"" and answer.status != 200
    waiting.close()
    engine.start()
    engine.restart(signal.SIGKILL)
    engine.restart(signal.SIGKILL)
    assert engine.api("POST", f"/containers/{ref}/stop?t=60").status == 204
    assert state(engine, ref)["ExitCode"] == 3
