"""`scow exec`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli import terminal
from scow.cli.command import Command, ExitCode
from scow.cli.commands.container.interactive import check_terminal, detach_keys, resize, when_back
from scow.client.api import container_path
from scow.client.transport import BrokenOff, CannotConnect


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Runs a command in a running container; its exit code is ours."""
    client = cli.client
    tty, stdin, detach = options.flag("tty"), options.flag("interactive"), options.flag("detach")
    text, keys = detach_keys(cli, options.text("detach-keys"))
    body: dict[str, Any] = {
        "User": options.text("user"),
        "Privileged": options.flag("privileged"),
        "Tty": tty,
        "Cmd": args[1:],
        "WorkingDir": options.text("workdir"),
        "AttachStdin": stdin and not detach,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "Detach": detach,
        "DetachKeys": text,
    }
    if options.list("env") or options.list("env-file"):
        from scow.cli.flags import every
        from scow.opts.checks import variable
        from scow.opts.env import environment

        body["Env"] = environment(
            every("-e, --env", options.list("env"), variable), options.list("env-file"), lambda name: cli.env(name) or None
        )
    if not detach:
        try:
            check_terminal(stdin, tty)
        except ExitCode:
            client.get(container_path(args[0], "json"))  # that there is no such container is said first
            raise
    size = terminal.size()
    if tty and all(size):
        body["ConsoleSize"] = list(size)
    ident = client.post(container_path(args[0], "exec"), None, body)["Id"]
    if not ident:
        raise ExitCode(1, "exec ID empty")
    start: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if "ConsoleSize" in body:
        start["ConsoleSize"] = body["ConsoleSize"]
    if detach:
        client.post(f"/exec/{ident}/start", None, start)
        return 0
    from scow.cli.streams import OutputGone, Signals, relay

    conn, _ = client.hijack(f"/exec/{ident}/start", None, start)
    path = f"/exec/{ident}"
    with Signals(None, (lambda: resize(cli.redial(), path)) if tty else None):
        if tty and terminal.is_terminal(0):
            resize(cli.redial(), path)
        try:
            if relay(conn, tty, stdin, keys):
                return 0
        except OutputGone:
            return 141
    try:
        found = client.get(f"{path}/json")
    except (BrokenOff, CannotConnect, OSError) as exc:
        found = when_back(cli, lambda other: other.get(f"{path}/json"), exc)
    code = found.get("ExitCode")
    return code if isinstance(code, int) else 0


EXEC = Command(
    " [OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    (
        ("detach", "d", "bool", False, "Run in the background"),
        ("detach-keys", "", "string", "", "Keys that detach from the command"),
        ("env", "e", "list", (), "Set an environment variable"),
        ("env-file", "", "list", (), "Read environment variables from a file"),
        ("interactive", "i", "bool", False, "Keep standard input open"),
        ("privileged", "", "bool", False, "Give extended privileges to the command"),
        ("tty", "t", "bool", False, "Give it a terminal"),
        ("user", "u", "string", "", "User name or UID (<name|uid>[:<group|gid>])"),
        ("workdir", "w", "string", "", "Working directory inside the container"),
    ),
    run,
    2,
    -1,
    interspersed=False,
)
