"""`attach`: joins a container's streams."""

from __future__ import annotations

from scow.cli.flags import Options
from scow.compose.commands.exec import options_of
from scow.compose.commands.verb import Verb
from scow.compose.session import Session


def run(session: Session, options: Options, args: list[str]) -> int:
    """The container's exit status is ours, unless the user detached."""
    from scow.cli.commands.container.attach import ATTACH as JOIN

    one = session.container(args[0], options.number("index"))
    if session.would(f"attach to container {one.name}"):
        return 0
    given = options_of(
        JOIN, detach_keys=options.text("detach-keys"), no_stdin=options.flag("no-stdin"), sig_proxy=options.flag("sig-proxy")
    )
    return JOIN.run(session.cli, given, [one.id]) or 0


ATTACH = Verb(
    " [OPTIONS] SERVICE",
    (
        ("detach-keys", "", "string", "", "Keys that detach from the container"),
        ("index", "", "int", 0, "Which container of the service"),
        ("no-stdin", "", "bool", False, "Leave standard input alone"),
        ("sig-proxy", "", "bool", True, "Hand received signals to the process"),
    ),
    run,
    1,
    1,
)
