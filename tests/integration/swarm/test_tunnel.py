"""Two ends of the tunnel of encrypted networks on one wire: nothing of what passes can be read there, and packets are not lost while keys
change."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.network.encryption import devices
from scow.network.encryption.keys import LIFE_NS, OVERLAP_NS

PROGRAM = Path(__file__).with_name("tunnelend.py")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
why = "namespaces need root" if os.geteuid() != 0 else devices.missing() or ("" if shutil.which("ip", path=PATH) else "needs ip")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why), reason=why)]
numbers = itertools.count()
_GREETING_SECONDS = 6
"""What stands for the minutes in which hosts greet each other with a new key before it is used; a lost greeting is said again after 5 s."""


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "PATH": PATH})


class End:
    """A process in a namespace; `host` is its address on the wire."""

    def __init__(self, name: str, host: str, folder: Path) -> None:
        self.name, self.host = name, host
        self._process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{name}", sys.executable, str(PROGRAM), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": PATH},
        )  # fmt: skip

    def __call__(self, command: str, value: Any = None) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([command, value]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[End, End]]:
    names = [f"scow-t{os.getpid()}-{next(numbers)}" for _ in range(2)]
    made: list[End] = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", names[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", names[1])
        for number, name in enumerate(names, 1):
            run("ip", "-n", name, "address", "add", f"192.0.2.{number}/24", "dev", "wire")
            run("ip", "-n", name, "link", "set", "wire", "up")
            made.append(End(name, f"192.0.2.{number}", tmp_path / name))
        yield made[0], made[1]
    finally:
        for end in made:
            try:
                end("forget")
            finally:
                end.end()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], env={**os.environ, "PATH": PATH}, check=False, capture_output=True)


def meet(one: End, two: End, rows: Any) -> None:
    """Let `two` know the keys of `one`."""
    two("lead", {"host": one.host, "rows": rows})


def links(end: End) -> list[str]:
    done = subprocess.run(
        ["ip", "-n", end.name, "-br", "link"], env={**os.environ, "PATH": PATH}, capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in done.stdout.splitlines() if line.startswith("swg-")]


def test_nothing_is_read_on_the_wire_and_little_is_lost_while_keys_change(ends: tuple[End, End]) -> None:
    one, two = ends
    rows = {end: end("ensure")["rows"] for end in ends}
    meet(one, two, rows[one])
    meet(two, one, rows[two])
    one("ask", 12)
    two("ask", 12)
    old = rows[two]
    two("known")
    fresh = two("skip", LIFE_NS)["rows"]  # a second key, told before it is used
    assert fresh[0] == old[0] and len(fresh) == 2 and len(links(two)) == 2
    meet(two, one, fresh)
    two("known")
    time.sleep(_GREETING_SECONDS)
    used = two("skip", OVERLAP_NS)["rows"]  # sends by it from now on, and is told to be sent to by it a little later
    assert used == fresh[::-1]
    meet(two, one, used)
    two("known")
    time.sleep(1)  # what is under way by the old key arrives
    last = two("skip", OVERLAP_NS)["rows"]
    assert last == [used[0]] and len(links(two)) == 1
    meet(two, one, last)
    counts = [end("asked") for end in ends]
    for count in counts:
        # a change without an overlap would lose hundreds; a loaded machine loses one or two by itself
        assert count["sent"] > 100 and count["answered"] >= count["sent"] * 0.99
        assert count["seen"] == 0 and count["packets"] > 100
    one("forget")
    assert links(one) == []
