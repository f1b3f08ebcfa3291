"""Requests of a daemon to a keeper in a thread; the runtime is a shell."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.keeper import protocol
from scow.keeper.server import Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Path]:
    """A running keeper; the path of its socket."""
    path = tmp_path / "keeper.sock"
    (tmp_path / "exits").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(8)
        server = Keeper(str(tmp_path), listener)
        thread = threading.Thread(target=server.loop.run, daemon=True)
        thread.start()
        yield path
        with _connect(path) as daemon:
            protocol.send(daemon, {"op": "end", "n": 99})
            thread.join(60)
        assert not thread.is_alive()


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(str(path))
    return sock


def _answer(sock: socket.socket) -> dict[str, Any]:
    received = protocol.receive(sock)
    assert received is not None
    return received[0]


def _run(tmp_path: Path, script: str) -> dict[str, Any]:
    files = {"pid_file": str(tmp_path / "pid"), "log_file": str(tmp_path / "log")}
    return {"op": "run", "n": 1, "meta": {"id": "c1", "exec": "", "tty": False, "once": False}, "argv": ["/bin/sh", "-c", script], **files}


def test_the_next_daemon_hears_of_a_run_that_was_under_way(keeper: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "log").write_text("no such program")
    with _connect(keeper) as first:
        protocol.send(first, {"op": "hello", "n": 1})
        assert _answer(first)["version"] == protocol.VERSION
        protocol.send(first, _run(tmp_path, f"read x < {fifo}; exit 1"))
        writer = os.open(fifo, os.O_WRONLY)  # opens once the runtime runs
    with _connect(keeper) as second:
        protocol.send(second, {"op": "hello", "n": 7})
        second.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(_answer(second))
        second.settimeout(60)
        os.write(writer, b"go\n")
        os.close(writer)
        assert _answer(second)["re"] == 7


def test_a_failed_run_is_answered_with_the_runtimes_log(keeper: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("no such program")
    with _connect(keeper) as daemon:
        protocol.send(daemon, _run(tmp_path, "exit 1"))
        assert _answer(daemon)["failed"] == "no such program"


def test_a_bad_request_is_answered(keeper: Path) -> None:
    with _connect(keeper) as daemon:
        protocol.send(daemon, {"op": "nonsense", "n": 3})
        assert "error" in _answer(daemon)
        protocol.send(daemon, {"op": "resize", "n": 4, "id": "c9", "exec": "", "rows": 1, "cols": 1})
        assert "no such process" in _answer(daemon)["error"]
