"""scow reads command lines as the docker CLI does: every command, alias and flag of cli_surface.json (made by tools/cli-surface, which
asks the real one) is there, takes and refuses the same values, and wants the same number of arguments."""

import json
from pathlib import Path
from typing import Any

import pytest

from scow.cli import execute, table
from scow.cli import flags as flaglib
from scow.cli.command import Cli, ExitCode
from scow.cli.table import COMMANDS
from scow.errors import ScowError

SURFACE = json.loads((Path(__file__).parent / "cli_surface.json").read_text())
VALUES: list[str] = SURFACE["values"]
TABLE: dict[str, dict[str, Any]] = SURFACE["commands"]
# where docker takes what can't be meant, and scow says so: (flag, value)
_SIZES = ("io-maxbandwidth", "kernel-memory", "limit-bytes", "memory", "memory-reservation", "memory-swap", "required-bytes", "shm-size")
_SIZES += ("limit-memory", "reserve-memory")
KINDER = {(flag, "99999999999999999999") for flag in _SIZES}  # docker makes another number of it
# commands that check words of their flags when they run; the engine is out of reach
RUN = ("volume create", "network create", "container exec", "network connect", "service create", "service update", "swarm init")
RUN += ("swarm join", "swarm update", "swarm ca", "secret create", "config create")


class NoEngine(ScowError):
    """The command has come as far as asking the engine."""


class _Client:
    def __getattr__(self, name: str) -> Any:
        raise NoEngine("no engine")


def _refusal(name: str, flag: str, value: str, config: str) -> str:
    """Why scow refuses the value; "" where it takes it."""
    command = table.load(name)
    try:
        options, _ = flaglib.parse(command.flags, [f"--{flag}={value}"], command.interspersed)
        if name in ("container run", "container create"):
            from scow.cli.commands.container.request import build

            build(options, ["busybox"], lambda _: None)
        elif name in RUN or flag == "docker":
            command.run(Cli(_Client, lambda _: "", config), options, ["xx"] * command.least)
    except flaglib.UsageError as exc:
        return exc.message
    except (ScowError, ExitCode):
        pass
    return ""


@pytest.mark.parametrize("name", TABLE)
def test_commands_and_their_other_names(name: str) -> None:
    assert name in COMMANDS
    for words in TABLE[name]["aliases"]:
        assert table.find(words.split())[0] == name, words


@pytest.mark.parametrize("name", TABLE)
def test_numbers_of_arguments(name: str) -> None:
    command = table.load(name)
    for count, wanted in enumerate(TABLE[name]["arguments"]):
        refused = execute.count_error(command, count)
        assert bool(refused) == bool(wanted), count
        if not wanted.startswith("accepts 1 arg(s)"):  # cobra's own words
            assert refused == wanted


@pytest.mark.parametrize("name", TABLE)
def test_flags_and_their_values(name: str, tmp_path: Path) -> None:
    known = {flag[0]: flag for flag in table.load(name).flags}
    wrong = []
    for flag, text in TABLE[name]["flags"].items():
        short, _, kind = text.partition(":")
        assert flag in known, f"docker has --{flag}"
        assert known[flag][1] == short, flag
        for value, wanted in zip(VALUES, SURFACE["kinds"][kind], strict=True):
            refused = _refusal(name, flag, value, str(tmp_path))
            if bool(refused) != bool(wanted) and (flag, value) not in KINDER:
                wrong.append((flag, value, wanted, refused))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("name", TABLE)
def test_no_flag_of_its_own_is_shown(name: str) -> None:
    own = {"show-secrets", "tree", "dry-run"}
    shown = {flag[0] for flag in table.load(name).flags if flag[4]}
    assert shown - set(TABLE[name]["flags"]) - own == set()
