"""`scow start`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli import terminal
from scow.cli.command import Command, ExitCode, each
from scow.cli.commands.container.interactive import check_terminal, detach_keys, joined, killer, resize, wait_begun
from scow.client.api import container_path
from scow.errors import ScowError


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Starts containers; with -a or -i joins the only one."""
    if options.flag("attach") or options.flag("interactive"):
        if len(args) > 1:
            raise ScowError("you cannot start and attach multiple containers at once")
        return _attached(cli, options, args[0])

    def act(name: str) -> None:
        cli.client.post(container_path(name, "start"))

    try:
        return each(cli, args, act)
    except ExitCode as exc:
        raise ExitCode(1, f"{exc.message}\nError: failed to start containers: {', '.join(_failed(args, exc.message))}") from None


def _failed(args: list[str], message: str) -> list[str]:
    return [name for name in args if name in message] or args


def _attached(cli: Cli, options: Options, name: str) -> int:
    from scow.cli.streams import Signals

    client = cli.client
    facts = client.get(container_path(name, "json"))
    config = facts.get("Config") or {}
    tty = bool(config.get("Tty"))
    stdin = options.flag("interactive") and bool(config.get("OpenStdin"))
    check_terminal(stdin, tty)
    text, keys = detach_keys(cli, options.text("detach-keys"))
    path = container_path(facts["Id"])
    params = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": text or None}
    conn, _ = client.hijack(f"{path}/attach", params)
    condition = "removed" if (facts.get("HostConfig") or {}).get("AutoRemove") else "next-exit"
    waiting = wait_begun(cli.redial(), facts["Id"], condition)
    side = cli.redial()
    send = killer(cli, facts["Id"]) if not tty else None
    with Signals(send, (lambda: resize(cli.redial(), path)) if tty else None):
        try:
            side.post(f"{path}/start")
        except ScowError:
            conn.close()
            raise
        if tty and terminal.is_terminal(1):
            resize(side, path)
        return joined(cli, facts["Id"], conn, params, tty, keys, waiting, condition)


START = Command(
    " [OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    (
        ("attach", "a", "bool", False, "Join its output, and hand it our signals"),
        ("checkpoint", "", "string", "", ""),
        ("checkpoint-dir", "", "string", "", ""),
        ("detach-keys", "", "string", "", "Keys that detach from the container"),
        ("interactive", "i", "bool", False, "Join its standard input"),
    ),
    run,
    1,
)
