"""kill -9 of the daemon under clients that wait for a program's end: they hear its exit code from the next daemon."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.helpers import SLEEPER, ready
from tests.support.cli import SCOW, Cli
from tests.support.engine import Engine, until

SCRIPT = "echo begun; while [ ! -e /go/now ]; do sleep 0.05; done; echo last words; exit 9"


@pytest.fixture
def go(engine: Engine) -> Iterator[Path]:
    """The directory in which `now` ends the programs."""
    folder = engine.dir / "go"
    folder.mkdir(exist_ok=True)
    yield folder
    (folder / "now").unlink(missing_ok=True)


def _ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("when", ["while it is away", "afterwards"])
def test_clients_of_a_killed_daemon_end_with_the_programs_code(engine: Engine, go: Path, when: str) -> None:
    cli, bind = Cli(engine, SCOW), f"{go}:/go"
    sleeper = engine.container("sh", "-c", SLEEPER, HostConfig={"Binds": [bind]})
    ready(engine, sleeper)
    stopped, waited = (engine.create("sh", "-c", SCRIPT, HostConfig={"Binds": [bind]}) for _ in range(2))
    gone = engine.container("sh", "-c", SCRIPT, name="gone", HostConfig={"Binds": [bind], "AutoRemove": True})
    with ExitStack() as stack:

        def begin(*words: str) -> "subprocess.Popen[bytes]":
            return stack.enter_context(cli.background(*words))

        shown = [
            begin("run", "-v", bind, "busybox", "sh", "-c", SCRIPT),
            begin("run", "--rm", "-v", bind, "busybox", "sh", "-c", SCRIPT),
            begin("start", "-a", stopped),
            begin("exec", sleeper, "sh", "-c", SCRIPT),
        ]
        for process in shown:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
        assert engine.api("POST", f"/containers/{waited}/start").status == 204
        silent = [begin("wait", waited), begin("wait", gone), begin("wait", "gone")]
        until(lambda: all(_asked(process.pid) for process in silent), 60, "clients that wait")
        engine.kill()
        if when == "while it is away":
            (go / "now").touch()
            until(lambda: len(list((engine.run / "exits").glob("*[0-9a-f]"))) >= 6, 60, "the ends of the programs")
        engine.start()
        (go / "now").touch()
        for process in shown:
            code, out, err = _ended(process)
            assert (code, out) == (9, b"last words\n"), (process.args, code, out, err)
        for process in silent:
            code, out, err = _ended(process)
            assert (code, out) == (0, b"9\n"), (process.args, code, out, err)


def _asked(pid: int) -> bool:
    """Whether a client sleeps in a read from its socket: its request is sent, the answer's head is there or to come."""
    try:
        return "unix_stream" in Path(f"/proc/{pid}/wchan").read_text() or Path(f"/proc/{pid}/syscall").read_text().startswith("45 ")
    except OSError:
        return False


def test_an_interrupt_while_the_daemon_is_away_ends_the_client(engine: Engine, go: Path) -> None:
    cli = Cli(engine, SCOW)
    with cli.background("run", "--name", "left", "-v", f"{go}:/go", "busybox", "sh", "-c", SCRIPT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        engine.kill()
        process.send_signal(2)
        assert _ended(process)[0] == 130
    engine.start()
    assert engine.inspect("left")["State"]["Running"]
