"""Finding commands, help, usage errors, a daemon that isn't there."""

import posix

import pytest

from scow.cli import main, plugins
from scow.cli.table import ALIASES, COMMANDS


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch, tmp_path):
    monkeypatch.setitem(posix.environ, b"DOCKER_CONFIG", str(tmp_path).encode())
    monkeypatch.setattr(plugins, "SYSTEM", ())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_loads_and_describes_itself(name, capsys):
    assert main.dispatch([*name.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage:  scow {name}")


def test_aliases_lead_somewhere():
    from scow.cli.table import NOT_YET

    assert all(target in COMMANDS or target in NOT_YET for target in ALIASES.values())


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (
            ["rm"],
            1,
            "scow: 'scow rm' requires at least 1 argument\n\nUsage:  scow rm [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'scow rm --help'",
        ),
        (["rename", "a"], 1, "scow: 'scow rename' requires 2 arguments"),
        (["ps", "x"], 1, "scow: 'scow ps' accepts no arguments"),
        (["run", "--foo"], 125, "unknown flag: --foo\n\nUsage:  scow run [OPTIONS] IMAGE"),
        (["foo"], 1, "scow: unknown command: scow foo\n\nRun 'scow --help' for more information"),
        (["container", "foo"], 1, "scow: unknown command: scow container foo"),
        (["pss"], 1, "scow: unknown command: scow pss\n\nDid you mean this?\n\tscow ps\n\nRun 'scow --help'"),
        (["container", "strat"], 1, "\n\nDid you mean this?\n\tscow container start\n"),
        (["ps", "--al"], 125, "unknown flag: --al\n\nDid you mean this?\n\t--all\n\nUsage:  scow ps [OPTIONS]\n"),
        (["compose", "alpha"], 1, "SCOW_COMPOSE=plugin"),
        (["-x"], 125, "unknown shorthand flag: 'x' in -x"),
        (["-H", "unix:///nonexistent.sock", "run", "x"], 125, "scow: Cannot connect to the Docker daemon at unix:///nonexistent.sock."),
        (
            ["-H", "unix:///nonexistent.sock", "ps"],
            1,
            "Cannot connect to the Docker daemon at unix:///nonexistent.sock. Is the docker daemon running?",
        ),
        (["-H", "foo://x", "ps"], 1, "unable to parse docker host"),
        (["-H", "tcp://x:y", "ps"], 1, "the port is no number"),
        (["-H", "unix:///a", "-H", "unix:///b", "ps"], 1, "specify only one -H"),
        (["run", "-it", "x"], 1, "the input device is not a TTY"),
    ],
)
def test_errors(argv, code, text, capsys):
    assert main.main(argv) == code
    assert text in capsys.readouterr().err


def test_overview(capsys):
    assert main.dispatch([]) == 0 and main.dispatch(["container"]) == 0 and main.dispatch(["--version"]) == 0
    shown = capsys.readouterr()  # who asks for nothing gets help, but not where output is expected
    assert "Common Commands:" in shown.err and "  ls " in shown.err and "scow version " in shown.out
    assert main.dispatch(["--help"]) == 0 and "Common Commands:" in capsys.readouterr().out
