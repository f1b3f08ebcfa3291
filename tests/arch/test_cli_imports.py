"""The client's start-up budget: what its commands may import. Imports are what costs, and unlike time they are countable."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
HEAVY = {
    "re",
    "json",
    "typing",
    "argparse",
    "socket",
    "dataclasses",
    "enum",
    "collections",
    "functools",
    "subprocess",
    "ssl",
    "http",
    "asyncio",
    "tarfile",
    "threading",
    "signal",
    "os",
    "pathlib",
    "logging",
    "inspect",
    "shutil",
    "contextlib",
}
PROBE = """
import sys
sys.path.insert(0, {src!r})
from scow.cli import main
code = main.main({argv!r})
print("MODULES", *sorted(sys.modules))
"""


def modules(*argv: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-IS", "-c", PROBE.format(src=str(SRC), argv=list(argv))], capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stdout.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize(
    "argv",
    [
        ["-H", "unix:///nonexistent.sock", "ps"],
        ["-H", "unix:///nonexistent.sock", "images"],
        ["-H", "unix:///nonexistent.sock", "stop", "x"],
        ["-H", "unix:///nonexistent.sock", "exec", "x", "true"],
        ["-H", "unix:///nonexistent.sock", "run", "-d", "x"],
        ["-H", "unix:///nonexistent.sock", "inspect", "x"],
        ["-H", "unix:///nonexistent.sock", "logs", "x"],
        ["--help"],
        ["--version"],
        ["container"],
        ["run", "--help"],
        ["completion", "bash"],
        ["-H", "unix:///nonexistent.sock", "__complete", "stop", ""],
        ["strat"],
    ],
)
def test_a_command_imports_only_what_it_needs(argv: list[str]) -> None:
    found = modules(*argv)
    assert not found & HEAVY
    ours = {name for name in found if name.startswith("scow")}
    assert len(ours) <= 30, sorted(ours)
    allowed = ("scow", "scow.cli", "scow.client", "scow.errors", "scow.fastjson", "scow.units", "scow.opts", "scow.gotemplate")
    assert all(name.startswith(allowed) for name in ours)


def test_neither_client_nor_cli_need_more_than_the_standard_library() -> None:
    assert not {
        name
        for name in modules("-H", "unix:///nonexistent.sock", "ps")
        if name.split(".")[0] in ("uvloop", "orjson", "httptools", "isal", "zstandard")
    }
