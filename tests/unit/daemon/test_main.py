"""What is read before the socket opens, and the program's exits that need no engine."""

import subprocess
import sys

import pytest

from scow.daemon import main

BEFORE_LISTENING = """
import sys, asyncio, uvloop
standard = set(sys.modules)
from scow import log
from scow.aio import Supervisor, in_pool
from scow.api.app import App
from scow.daemon import config, listeners, pidfile
from scow.daemon.lifecycle import Lifecycle, Step
from scow.daemon.reload import Reloader
from scow.http.server import Server
config.load({"config_file": "/dev/null"})
print(*sorted(set(sys.modules) - standard))
"""


def test_the_way_to_the_first_ping_is_short():
    done = subprocess.run([sys.executable, "-c", BEFORE_LISTENING], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    heavy = {
        "orjson",
        "sqlite3",
        "email.utils",
        "aiohttp",
        "cryptography",
        "yaml",
        "scow.daemon.wiring",
        "scow.model.codec",
        "scow.filters",
    }
    assert not heavy & set(found), heavy & set(found)
    assert not [
        name for name in found if name.startswith(("scow.containers", "scow.images", "scow.network", "scow.runtime", "scow.keeper"))
    ]


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["--help"], 0, "Usage:  scowd [OPTIONS]"),
        (["--version"], 0, "Scow version "),
        (["--validate", "--config-file=/dev/null"], 0, "configuration OK"),
        (["--validate", "--config-file=/dev/null", "--log-driver=mystery"], 1, 'plugin "mystery" not found'),
        (["--validate", "--config-file=/dev/null", "--log-opt=max-size=much"], 1, "invalid value for max-size"),
        (["--validate", "--config-file=/dev/null", "--seccomp-profile=/nowhere"], 1, "opening seccomp profile (/nowhere) failed"),
        (["--nonsense"], 125, "scowd: unknown flag: --nonsense\nSee 'scowd --help'."),
        (["--config-file=/dev/null", "--log-level=loud"], 1, "invalid logging level: loud"),
        (["--config-file=/nowhere/at.all"], 1, "no such file"),
    ],
)
def test_exits(argv, code, text, capsys):
    assert main.run(argv) == code
    out, err = capsys.readouterr()
    assert text in (out if code == 0 else err)
