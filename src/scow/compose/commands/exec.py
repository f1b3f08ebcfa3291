"""`exec`: a command in a running container of a service."""

from __future__ import annotations

from scow.cli import terminal
from scow.cli.flags import Options
from scow.compose.commands.verb import Verb
from scow.compose.session import Session

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


def options_of(command: Any, **given: Any) -> Options:
    """Flags for a command of the client; `a_b` is `--a-b`."""
    values = {flag[0]: list(flag[3]) if isinstance(flag[3], tuple) else flag[3] for flag in command.flags}
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return Options({**values, **named}, set(named))


def run(session: Session, options: Options, args: list[str]) -> int:
    """Runs it; its exit status is ours."""
    from scow.cli.commands.container.exec import EXEC

    one = session.container(args[0], options.number("index"))
    if session.would(f"run {args[1:]} in container {one.name}"):
        return 0
    no_tty = options.flag("no-TTY") or options.flag("no-tty") or (options.given("tty") and not options.flag("tty"))
    tty = not no_tty and terminal.is_terminal(1) and terminal.is_terminal(0)
    detach = options.flag("detach")
    given = options_of(
        EXEC,
        detach=detach,
        env=options.list("env"),
        interactive=options.flag("interactive") and not detach,
        privileged=options.flag("privileged"),
        tty=tty and not detach,
        user=options.text("user"),
        workdir=options.text("workdir"),
    )
    return EXEC.run(session.cli, given, [one.id, *args[1:]]) or 0


EXEC = Verb(
    " [OPTIONS] SERVICE COMMAND [ARGS...]",
    (
        ("detach", "d", "bool", False, "Run it in the background"),
        ("env", "e", "stringArray", (), "Set variables of its environment"),
        ("index", "", "int", 0, "Which container of the service"),
        ("interactive", "i", "bool", True, ""),
        ("no-TTY", "T", "bool", False, "Without a terminal (default: with one where there is one)"),
        ("no-tty", "", "bool", False, ""),
        ("privileged", "", "bool", False, "With all privileges"),
        ("tty", "t", "bool", True, ""),
        ("user", "u", "string", "", "User to run it as"),
        ("workdir", "w", "string", "", "Directory to run it in"),
    ),
    run,
    2,
    interspersed=False,
)
