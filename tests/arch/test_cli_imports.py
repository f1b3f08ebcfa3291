"""The client's start-up budget: what its commands may import. Imports are what costs, and unlike time they are countable."""

import subprocess
import sys
from pathlib import Path

import pytest

from scow.cli.table import COMMANDS, load

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


# what costs a command more is what it is for: archives, registries, terminals, threads
HEAVIER = {
    "container cp",
    "container stats",
    "image bootstrap",
    "image build",
    "image pull",
    "image push",
    "image tag",
    "network create",
    "plugin create",
    "plugin install",
    "plugin push",
    "plugin upgrade",
    "service create",
    "stack config",
    "stack deploy",
    "stack diff",
    "stack ls",
    "stack ps",
    "stack rm",
    "stack services",
}
HEAVIER_GROUPS = ("builder", "context", "login", "logout", "manifest", "registry", "search")
EVERY = """
import posix, sys
sys.path.insert(0, {src!r})
for line in {lines!r}:
    sys.stdout.flush()
    child = posix.fork()
    if not child:
        from scow.cli import main
        posix.dup2(posix.open("/dev/null", posix.O_RDWR), 2)
        main.main(["-H", "unix:///nonexistent.sock", *line])
        print()
        print("MODULES", " ".join(line), *sorted(sys.modules))
        sys.stdout.flush()
        posix._exit(0)
    posix.waitpid(child, 0)
"""


def test_no_command_imports_what_is_expensive_but_those_that_are_for_it(tmp_path: Path) -> None:
    light = [name for name in COMMANDS if name not in HEAVIER and name.split()[0] not in HEAVIER_GROUPS]
    lines = [[*name.split(), *["xx"] * load(name).least] for name in light]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", EVERY.format(src=str(SRC), lines=lines)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
    )
    found = {}
    for line, words in zip(lines, [text.split() for text in done.stdout.splitlines() if text.startswith("MODULES ")], strict=True):
        found[" ".join(line)] = sorted(set(words[len(line) + 1 :]) & HEAVY), len([one for one in words if one.startswith("scow.")])
    assert len(found) > 50
    assert {name: heavy for name, (heavy, _) in found.items() if heavy} == {}
    assert {name: count for name, (_, count) in found.items() if count > 30} == {}


def test_a_compose_file_is_read_without_what_is_expensive(tmp_path: Path) -> None:
    """60 ms for 50 services leave no room for these (tests/bench/compose_load.py)."""
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {image: x:1, ports: ['80:80'], volumes: ['./a:/a'], environment: {A: '${B:-c}'}}}\n")
    found = modules("compose", "-f", str(file), "config", "-q")
    assert "scow.compose.load.loader" in found
    assert not found & {"re", "typing", "enum", "dataclasses", "inspect", "json", "hashlib", "tarfile", "ipaddress", "yaml.reader"}
