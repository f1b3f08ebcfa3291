"""kill -9 of the keeper at chosen moments: nobody but its attached clients notices."""

import signal
import socket
import threading
from typing import Any

import pytest

from tests.crash.helpers import SLEEPER, counting, gone, kill_keeper, new_keeper, numbers, output, ready, state
from tests.support.engine import Engine, until
from tests.support.storm import stamp


def _attach(engine: Engine, ref: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(engine.socket)
    path = f"/containers/{ref}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(1)
        assert data, head
        head += data
    assert b" 101 " in head, head
    return sock


def _until_seen(sock: socket.socket, word: bytes) -> bytes:
    seen = b""
    while word not in seen:
        data = sock.recv(4096)
        assert data, seen
        seen += data
    return seen


@pytest.mark.parametrize("tty", [False, True])
def test_containers_go_on_and_can_be_attached_to(engine: Engine, tty: bool) -> None:
    script = "echo ready; while read line; do echo got $line; done; exit 5"
    ref = engine.container("sh", "-c", script, Tty=tty, OpenStdin=True, StdinOnce=True)
    pid = ready(engine, ref)
    for number in range(2):
        new_keeper(engine, kill_keeper(engine))
        with _attach(engine, ref) as sock:
            sock.sendall(f"word{number}\n".encode())
            _until_seen(sock, f"got word{number}".encode())
        # StdinOnce: the attachment's end is the end of a plain input
        if not tty:
            break
    if tty:
        assert state(engine, ref)["Pid"] == pid
        with _attach(engine, ref) as sock:
            sock.sendall(b"\x04")
            assert engine.wait(ref) == 5
    else:
        assert engine.wait(ref) == 5
    assert b"got word0\n" in output(engine, ref, tty)


@pytest.mark.parametrize("tty", [False, True])
def test_a_flood_has_no_gap_and_no_double(engine: Engine, tty: bool) -> None:
    ref = engine.container("sh", "-c", counting(6000), Tty=tty)
    for _ in range(3):
        seen = len(numbers(output(engine, ref, tty)))
        until(lambda seen=seen: len(numbers(output(engine, ref, tty))) > min(seen + 100, 5999), 60, "more lines")
        new_keeper(engine, kill_keeper(engine))
    until(lambda: b"ready" in output(engine, ref, tty), 60, "the end of the lines")
    assert numbers(output(engine, ref, tty)) == list(range(6000))


def test_an_exec_under_way_has_its_code(engine: Engine) -> None:
    ref = engine.container("sh", "-c", SLEEPER)
    ready(engine, ref)
    key = engine.api("POST", f"/containers/{ref}/exec", {"Cmd": ["sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 6"]}).json["Id"]
    assert engine.api("POST", f"/exec/{key}/start", {"Detach": True}).status == 200
    new_keeper(engine, kill_keeper(engine))
    other = engine.api("POST", f"/containers/{ref}/exec", {"AttachStdout": True, "Cmd": ["sh", "-c", "touch /go; echo done"]}).json["Id"]
    assert b"done" in engine.api("POST", f"/exec/{other}/start", {"Detach": False}).body
    document = until(lambda: (d := engine.api("GET", f"/exec/{key}/json").json) and not d["Running"] and d, 60, "the exec's end")
    assert document["ExitCode"] == 6


@pytest.mark.parametrize("how", ["stop", "kill", "exit", "rm"])
def test_an_exit_at_the_hand_over_is_not_lost(engine: Engine, how: str) -> None:
    """The end comes while there is no keeper, as it once got lost."""
    refs = [engine.container("sh", "-c", SLEEPER, Tty=tty) for tty in (False, True)]
    pids = [ready(engine, ref) for ref in refs]
    if how == "exit":
        for ref in refs:
            engine.api("POST", f"/containers/{ref}/exec", {"Cmd": ["true"]})
    answers: list[Any] = []

    def ask(ref: str) -> None:
        if how == "rm":
            answers.append(engine.api("DELETE", f"/containers/{ref}?force=1").status)
        elif how == "kill":
            answers.append(engine.api("POST", f"/containers/{ref}/kill").status)
        elif how == "exit":
            answers.append(engine.api("POST", f"/containers/{ref}/kill?signal=TERM").status)
        else:
            answers.append(engine.api("POST", f"/containers/{ref}/stop?t=60").status)

    threads = [threading.Thread(target=ask, args=(ref,)) for ref in refs]
    kill_keeper(engine)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert answers == [204, 204]
    if how == "rm":
        assert all(engine.api("GET", f"/containers/{ref}/json").status == 404 for ref in refs)
    else:
        for ref in refs:
            assert engine.wait(ref) == (137 if how == "kill" else 3)
            now = state(engine, ref)
            assert (now["Error"], now["Pid"]) == ("", 0)
            assert stamp(now["FinishedAt"]) >= stamp(now["StartedAt"])
    assert all(gone(pid) for pid in pids)


def test_starts_and_execs_under_way_succeed(engine: Engine) -> None:
    host = engine.container("sh", "-c", SLEEPER)
    refs = [engine.create("sh", "-c", f"echo once; {SLEEPER}", Tty=tty) for tty in (False, True, False, True)]
    key = engine.api("POST", f"/containers/{host}/exec", {"Cmd": ["sh", "-c", "exit 8"]}).json["Id"]
    answers: list[int] = []
    work = [threading.Thread(target=lambda ref=ref: answers.append(engine.api("POST", f"/containers/{ref}/start").status)) for ref in refs]
    work.append(threading.Thread(target=lambda: answers.append(engine.api("POST", f"/exec/{key}/start", {"Detach": True}).status)))
    for thread in work:
        thread.start()
    old = kill_keeper(engine)
    for thread in work:
        thread.join(120)
    assert sorted(answers) == [200, 204, 204, 204, 204]
    new_keeper(engine, old)
    for ref in refs:
        ready(engine, ref)
        assert output(engine, ref, engine.inspect(ref)["Config"]["Tty"]).count(b"once\n") == 1
        assert engine.api("POST", f"/containers/{ref}/stop?t=60").status == 204
        assert state(engine, ref)["ExitCode"] == 3
    document = until(lambda: (d := engine.api("GET", f"/exec/{key}/json").json) and not d["Running"] and d, 60, "the exec's end")
    assert document["ExitCode"] == 8


def test_keeper_then_daemon_then_keeper(engine: Engine) -> None:
    refs = {tty: engine.container("sh", "-c", counting(3000), Tty=tty) for tty in (False, True)}
    for ref, tty in ((refs[False], False), (refs[True], True)):
        until(lambda ref=ref, tty=tty: len(numbers(output(engine, ref, tty))) > 50, 60, "lines")
    new_keeper(engine, kill_keeper(engine))
    engine.restart(signal.SIGKILL)
    new_keeper(engine, kill_keeper(engine))
    engine.restart(signal.SIGKILL)
    for tty, ref in refs.items():
        until(lambda ref=ref, tty=tty: b"ready" in output(engine, ref, tty), 60, "the end of the lines")
        assert numbers(output(engine, ref, tty)) == list(range(3000))
        assert engine.api("POST", f"/containers/{ref}/stop?t=60").status == 204
        assert state(engine, ref)["ExitCode"] == 3


def test_both_at_once_leave_containers_running(engine: Engine) -> None:
    """Their stdio is lost by design; they run on and can be stopped. (The exit code is whatever the kernel lets us learn.)"""
    ref = engine.container("sh", "-c", "trap 'exit 3' TERM; echo ready; exec >/dev/null 2>&1; while :; do sleep 1000 & wait; done")
    pid = ready(engine, ref)
    kill_keeper(engine)
    engine.restart(signal.SIGKILL)
    assert state(engine, ref)["Pid"] == pid
    assert engine.api("POST", f"/containers/{ref}/stop?t=60").status == 204
    assert state(engine, ref)["Status"] == "exited"
    assert engine.api("POST", f"/containers/{ref}/start").status == 204
    ready(engine, ref)
