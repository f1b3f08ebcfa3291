"""Clients that are many, slow, or gone: the engine answers the others and keeps nothing of them."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, can_run, engines, until

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")
MANY = 1000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    for engine in engines():
        first = engine.container("true")  # opens what stays open
        engine.wait(first)
        engine.api("DELETE", f"/containers/{first}")
        yield engine


def dial(engine: Engine, data: bytes = b"") -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(engine.socket)
    if data:
        sock.sendall(data)
    return sock


def open_files(engine: Engine) -> tuple[int, int]:
    return len(os.listdir(f"/proc/{engine.pid}/fd")), len(os.listdir(f"/proc/{engine.keeper_pid}/fd"))


@contextlib.contextmanager
def nothing_left(engine: Engine, streams: int = 0) -> Iterator[None]:
    """After the block both processes hold the descriptors that they held before it, and no helper runs on."""
    for path in ("/_ping", "/info", "/containers/json", "/images/json"):
        engine.api("GET", path)
    before, helpers = open_files(engine), len(engine.processes())
    yield

    def as_before() -> bool:
        now = open_files(engine)
        return now[0] <= before[0] and now[1] <= before[1] and len(engine.processes()) <= helpers

    try:
        until(as_before, what="the descriptors of before")
    except AssertionError as exc:
        links = [os.readlink(entry) for pid in (engine.pid, engine.keeper_pid) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        raise AssertionError(f"before: {before}, {helpers} processes; now: {links}, {engine.processes()}") from exc
    assert engine.api("GET", "/_ping").status == 200


def test_a_thousand_idle_connections(engine: Engine) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < MANY + 200:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with nothing_left(engine), contextlib.ExitStack() as stack:
        idle = [stack.enter_context(dial(engine)) for _ in range(MANY)]
        until(lambda: open_files(engine)[0] >= MANY, what="a thousand connections")
        container = engine.container("true")
        assert engine.wait(container) == 0
        engine.api("DELETE", f"/containers/{container}")
        idle[-1].sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")


def test_heads_and_bodies_that_come_slowly_or_never(engine: Engine) -> None:
    """Bytes one at a time are put together; heads and bodies that stop in the middle hold up nobody."""
    with nothing_left(engine), contextlib.ExitStack() as stack:
        for half in (
            b"G",
            b"GET /info HTTP/1.1\r\nHost:",
            b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
            b"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
            b"PUT /containers/none/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\nabc",
        ):
            for _ in range(20):
                stack.enter_context(dial(engine, half))
        slow = stack.enter_context(dial(engine))
        for byte in b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n":
            slow.sendall(bytes([byte]))
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")


def test_clients_that_leave_in_the_middle_of_a_stream(engine: Engine) -> None:
    big = engine.container("sh", "-c", "dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; while :; do echo line; sleep 0.05; done")
    until(lambda: b"line" in engine.logs(big), what="output")
    exec_id = engine.api("POST", f"/containers/{big}/exec", {"AttachStdout": True, "Cmd": ["head", "-c", "20000000", "/dev/zero"]}).json[
        "Id"
    ]
    paths = [
        "GET /events",
        f"GET /containers/{big}/logs?follow=1&stdout=1",
        f"GET /containers/{big}/stats",
        f"GET /containers/{big}/export",
        f"GET /containers/{big}/archive?path=/big",
        "GET /images/get?names=busybox",
        f"POST /containers/{big}/attach?stream=1&stdout=1",
    ]
    with nothing_left(engine):
        gone = [dial(engine, f"{path} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode()) for path in paths for _ in range(3)]
        head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        gone.append(dial(engine, head.encode()))
        for sock in gone:
            assert sock.recv(12).startswith(b"HTTP/1.1 ")
        for sock in gone:
            sock.close()
    until(lambda: engine.api("GET", f"/exec/{exec_id}/json").json["Running"] is False, what="the end of a program that lost its reader")
    engine.api("DELETE", f"/containers/{big}?force=1")


def test_a_reader_that_takes_nothing_holds_up_nobody(engine: Engine) -> None:
    """A stopped reader of a fast log and of events: bounded memory, others are served, its end is noticed."""
    # less than a log file holds: a rotation would open a descriptor for its compression
    loud = engine.container("sh", "-c", "yes | head -c 1500000; echo done >&2; sleep 1000")
    until(lambda: engine.api("GET", f"/containers/{loud}/logs?stderr=1").body, what="the end of the output")
    with nothing_left(engine), contextlib.ExitStack() as stack:
        for path in (f"/containers/{loud}/logs?follow=1&stdout=1", "/events", f"/containers/{loud}/export"):
            stack.enter_context(dial(engine, f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode()))
        for _ in range(30):
            assert engine.api("GET", f"/containers/{loud}/json").status == 200
        assert resident(engine) < 200
    engine.api("DELETE", f"/containers/{loud}?force=1")


def resident(engine: Engine) -> float:
    """The daemon's resident memory in MB."""
    text = Path(f"/proc/{engine.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def test_bodies_that_end_early(engine: Engine) -> None:
    with nothing_left(engine):
        for data in (
            b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
            b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\nabc",
            b"POST /images/create?fromSrc=-&repo=cut HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ):
            with dial(engine, data) as sock:
                sock.shutdown(socket.SHUT_WR)
                got = b""
                while piece := sock.recv(65536):
                    got += piece
                assert got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), got
                assert b"message" in got
    assert engine.api("GET", "/images/cut/json").status == 404
