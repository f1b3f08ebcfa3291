"""`scow stop`, `kill`, `restart`, `pause`, `unpause`, `rename`, `rm` and `wait`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options
    from scow.client.api import Client

from scow.cli.command import Command, ExitCode, daemon_error, each
from scow.cli.commands.container.interactive import awaited, wait_again, wait_begun, when_back
from scow.client.api import container_path
from scow.client.transport import BrokenOff
from scow.errors import ScowError

MAX_AT_ONCE = 50


def _each(cli: Cli, args: list[str], verb: str, params: dict[str, Any] | None = None) -> int:
    return _together(cli, args, lambda client, name: client.post(container_path(name, verb), params))


def _together(cli: Cli, names: list[str], work: Callable[[Client, str], str | None]) -> int:
    """Does `work` for all names at once, as docker does; prints their results in the given order."""
    if len(names) == 1:
        return each(cli, names, lambda name: _or_name(work(cli.client, name)))
    import threading

    room = threading.Semaphore(MAX_AT_ONCE)
    done: list[str | Exception | None] = [None] * len(names)

    def one(index: int, name: str) -> None:
        with room:
            try:
                client = cli.redial()
                done[index] = _or_name(work(client, name))
                client.close()
            except (ScowError, OSError) as exc:
                done[index] = exc

    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(names)]
    for thread in threads:
        thread.start()
    at = iter(range(len(names)))

    def act(_name: str) -> str | None:
        index = next(at)
        threads[index].join()
        result = done[index]
        if isinstance(result, Exception):
            raise result
        return result

    return each(cli, names, act)


def _or_name(answer: object) -> str | None:
    return answer if isinstance(answer, str) else None


def _grace(options: Options) -> dict[str, Any]:
    old = options.given("time") and not options.given("timeout")  # docker's name of it until 28
    seconds = options.number("time" if old else "timeout") if old or options.given("timeout") else None
    return {"t": seconds, "signal": options.text("signal") or None}


def stop(cli: Cli, options: Options, args: list[str]) -> int:
    """Stops containers."""
    return _each(cli, args, "stop", _grace(options))


def restart(cli: Cli, options: Options, args: list[str]) -> int:
    """Stops and starts containers, one after the other."""
    params = _grace(options)

    def act(name: str) -> None:
        cli.client.post(container_path(name, "restart"), params)

    return each(cli, args, act)


def kill(cli: Cli, options: Options, args: list[str]) -> int:
    """Sends a signal."""
    return _each(cli, args, "kill", {"signal": options.text("signal") or None})


def pause(cli: Cli, options: Options, args: list[str]) -> int:
    """Freezes containers."""
    return _each(cli, args, "pause")


def unpause(cli: Cli, options: Options, args: list[str]) -> int:
    """Thaws containers."""
    return _each(cli, args, "unpause")


def rename(cli: Cli, options: Options, args: list[str]) -> int:
    """Renames a container."""
    old, new = args[0].strip(), args[1].strip()
    if not old or not new:
        raise ScowError("Error: Neither old nor new names may be empty")
    try:
        cli.client.post(container_path(old, "rename"), {"name": new})
    except ScowError as exc:
        if not hasattr(exc, "status"):
            raise
        raise ExitCode(1, f"{daemon_error(exc.message)}\nError: failed to rename container named {old}") from None
    return 0


def remove(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes containers."""
    params = {"force": options.flag("force"), "link": options.flag("link"), "v": options.flag("volumes")}

    def act(client: Client, name: str) -> str:
        name = name.strip("/") or name
        try:
            client.delete(container_path(name), params)
        except ScowError as exc:
            if options.flag("force") and getattr(exc, "status", 0) == 404:
                cli.err(f"Error response from daemon: {exc.message}\n")
                return ""
            raise
        return name

    return _together(cli, args, act)


def wait(cli: Cli, options: Options, args: list[str]) -> int:
    """Waits, and prints the exit codes."""

    def act(name: str) -> str:
        try:
            waiting = wait_begun(cli.client, name, "")
        except BrokenOff as exc:
            waiting, _ = when_back(cli, lambda client: wait_again(client, name, ""), exc)
        try:
            return str(awaited(cli, name, waiting, ""))
        except ExitCode as exc:
            raise ScowError(exc.message) from None

    return each(cli, args, act)


_SIGNAL = ("signal", "s", "string", "", "Signal to send")
_TIMEOUT = ("timeout", "t", "int", 0, "Seconds to wait before killing")
_TIME = ("time", "", "int", 0, "")
_MANY = " CONTAINER [CONTAINER...]"
STOP = Command(" [OPTIONS]" + _MANY, "Stop one or more running containers", (_SIGNAL, _TIMEOUT, _TIME), stop, 1)
RESTART = Command(" [OPTIONS]" + _MANY, "Restart one or more containers", (_SIGNAL, _TIMEOUT, _TIME), restart, 1)
KILL = Command(" [OPTIONS]" + _MANY, "Kill one or more running containers", (_SIGNAL,), kill, 1)
PAUSE = Command(_MANY, "Pause all processes within one or more containers", (), pause, 1)
UNPAUSE = Command(_MANY, "Unpause all processes within one or more containers", (), unpause, 1)
RENAME = Command(" CONTAINER NEW_NAME", "Rename a container", (), rename, 2, 2)
WAIT = Command(_MANY, "Block until one or more containers stop, then print their exit codes", (), wait, 1)
RM = Command(
    " [OPTIONS]" + _MANY,
    "Remove one or more containers",
    (
        ("force", "f", "bool", False, "Remove running containers too, by killing them"),
        ("link", "l", "bool", False, "Remove the given link"),
        ("volumes", "v", "bool", False, "Remove the container's anonymous volumes"),
    ),
    remove,
    1,
)
