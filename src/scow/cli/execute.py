"""Runs one command: its flags, the number of its arguments, and its errors as sentences and exit codes. Called by `main.py`."""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli, Command
    from scow.cli.flags import Flag, Options

from scow.cli import flags as flaglib
from scow.cli.command import ExitCode, daemon_error
from scow.cli.environment import env
from scow.errors import ScowError

# flags that an engine may be too old for: cli/gates.py says since when (API 1.25, as old as any engine in use, is asked nowhere)
GATED = frozenset(
    (
        *("annotation", "availability", "cgroupns", "checkpoint", "checkpoint-dir", "cluster", "cpu-count", "cpu-percent", "gpus"),
        *("group", "health-start-interval", "io-maxbandwidth", "io-maxiops", "limit-bytes", "platform", "required-bytes", "scope"),
        *("cap-add", "cap-drop", "limit-pids", "max-concurrent", "oom-score-adj", "replicas-max-per-node", "sysctl", "sysctl-add"),
        *("ulimit", "ulimit-add"),
        *("secret", "sharing", "topology-preferred", "topology-required", "tree", "type"),
    )
)


def execute(cli: Cli, command: Command, name: str, typed: str, rest: list[str]) -> int:
    """Parses the flags, checks the number of arguments and runs the command; the exit status."""
    usage = f"Usage:  scow {typed}{command.usage}"
    try:
        given, args = flaglib.parse(command.flags, rest, command.interspersed)
    except flaglib.UsageError as exc:
        sys.stderr.write(f"{exc.message}\n{near(exc, command.flags)}\n{usage}\n\nRun 'scow {typed} --help' for more information\n")
        return exc.code
    if given.flag("help"):
        from scow.cli import helping

        print(helping.command(command, name, usage), end="")
        return 0
    wanted = count_error(command, len(args))
    if wanted:
        run = "See" if command.least != command.most and command.most < 0 else "Run"
        more = f"{run} 'scow {typed} --help' for more information"
        sys.stderr.write(f"scow: 'scow {typed}' {wanted}\n\n{usage}\n\n{more}\n")
        return 1
    code, message = _run(cli, command, name, typed, usage, given, args)
    if message:
        sys.stdout.flush()
        sys.stderr.write(message.rstrip("\n") + "\n")
    if cli.hooks:
        from scow.cli import hooks

        flags = {flag[0]: given.shown(flag[0]) if flag[2] == "bool" else "" for flag in command.flags if given.given(flag[0])}
        hooks.run(cli, typed, flags, args, given, message or (f"exited with code {code}" if code else ""))
    return code


def _run(cli: Cli, command: Command, name: str, typed: str, usage: str, given: Options, args: list[str]) -> tuple[int, str]:
    """(exit status, what to say of it on standard error)."""
    code = command.error_code
    try:
        if not given.names.isdisjoint(GATED) or env("DOCKER_API_VERSION") or name.startswith(("checkpoint ", "volume prune")):
            from scow.cli.gates import check

            try:
                check(cli, name, typed, given)
            except ScowError as exc:
                return 1, exc.message
        return command.run(cli, given, args) or 0, ""
    except flaglib.UsageError as exc:
        return exc.code, f"{exc.message}\n{near(exc, command.flags)}\n{usage}\n\nRun 'scow {typed} --help' for more information"
    except ExitCode as exc:
        return exc.code, exc.message
    except (ScowError, FileNotFoundError) as exc:
        if isinstance(exc, ScowError):
            message = daemon_error(exc.message) if hasattr(exc, "status") else exc.message
        elif _no_folder(exc):
            message = "getwd: no such file or directory: the working directory was removed, go to another one"
        else:
            raise
        if code == 125:
            message = f"scow: {message}\n\nRun 'scow {typed} --help' for more information"
        return code, message


def _no_folder(exc: OSError) -> bool:
    """Whether the error is that the working directory is no longer there."""
    if exc.filename is not None:
        return False
    try:
        posix.getcwd()
    except FileNotFoundError:
        return True
    return False


def near(exc: flaglib.UsageError, known: tuple[Flag, ...]) -> str:
    """The flags that an unknown one may stand for, as lines."""
    lead = "unknown flag: --"
    if not exc.message.startswith(lead):
        return ""
    from scow.opts.suggest import nearest, text

    return text(nearest(exc.message[len(lead) :], [flag[0] for flag in known if flag[4]]), "--")


def count_error(command: Command, count: int) -> str:
    """What is wrong with a number of arguments, "" where nothing is."""

    def words(number: int) -> str:
        return f"{number} argument{'' if number == 1 else 's'}"

    if command.least == command.most:
        if count == command.least:
            return ""
        return "accepts no arguments" if command.most == 0 else f"requires {words(command.least)}"
    if 0 < command.least < command.most and not command.least <= count <= command.most:
        return f"requires at least {command.least} and at most {words(command.most)}"
    if count < command.least:
        return f"requires at least {words(command.least)}"
    if 0 <= command.most < count:
        return f"requires at most {words(command.most)}"
    return ""
