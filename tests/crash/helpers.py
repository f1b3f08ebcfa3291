"""What the crash tests share."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.support.engine import Engine, until

# a shell that handles SIGTERM; it says `ready` once it does
SLEEPER = "trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done"
SERVER = "trap 'exit 3' TERM; echo served > /var/www/index.html; echo ready; httpd -f -p 80 -h /var/www & wait"


def state(engine: Engine, ref: str) -> Any:
    """The container's State."""
    return engine.inspect(ref)["State"]


def ready(engine: Engine, ref: str) -> int:
    """Wait for the container's `ready`; its pid."""
    tty = engine.inspect(ref)["Config"]["Tty"]
    until(lambda: b"ready" in output(engine, ref, tty), 60, "a container's first words")
    return int(state(engine, ref)["Pid"])


def output(engine: Engine, ref: str, tty: bool = False) -> bytes:
    """What the container has written."""
    if tty:
        return engine.api("GET", f"/containers/{ref}/logs?stdout=1&stderr=1").body.replace(b"\r\n", b"\n")
    return engine.logs(ref)


def counting(lines: int, then: str = SLEEPER) -> str:
    """A script that writes `line 0` … slowly enough to be met in the middle, then goes on with `then`."""
    return f"i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); [ $((i%20)) = 0 ] && sleep 0.02; done; {then}"


def numbers(data: bytes) -> list[int]:
    """The numbers of `line N` lines."""
    return [int(line.split()[1]) for line in data.splitlines() if line.startswith(b"line ")]


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


def kill_keeper(engine: Engine) -> int:
    """kill -9 of the keeper; for `new_keeper`."""
    pid, before = int(engine.keeper_pid), _hand_overs(engine)
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), 60, "the keeper's end")
    return before


def new_keeper(engine: Engine, before: int) -> None:
    """Wait until another keeper holds the containers."""
    until(lambda: _hand_overs(engine) > before, 60, "a new keeper")


def _hand_overs(engine: Engine) -> int:
    return engine.log().count("a new keeper holds the containers")
