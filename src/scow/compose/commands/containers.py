"""`cp`, `commit` and `export`: what the client does with a container, with a service's."""

from __future__ import annotations

from scow.cli.flags import Options
from scow.compose.commands.exec import options_of
from scow.compose.commands.verb import Verb
from scow.compose.observe import ContainerInfo
from scow.compose.session import Session
from scow.errors import ScowError

_INDEX = ("index", "", "int", 0, "Which container of the service")


def _targets(session: Session, options: Options, service: str, all_: bool) -> list[ContainerInfo]:
    index = options.number("index")
    if index or not all_:
        return [session.container(service, index, running=False)]
    _, _, chosen = session.acting([service], everything=options.flag("all"))
    if not chosen:
        raise ScowError(f'no container found for service "{service}"')
    return chosen


def cp(session: Session, options: Options, args: list[str]) -> int:
    """Copies out of a service's container, or into all of its containers."""
    from scow.cli.commands.container.cp import CP as COPY
    from scow.cli.commands.container.cp import split_spec

    source, target = args
    from_service, from_path = split_spec(source)
    to_service, to_path = split_spec(target)
    if from_service and to_service:
        raise ScowError("copying between services is not supported")
    if not from_service and not to_service:
        raise ScowError("unknown copy direction")
    given = options_of(COPY, archive=options.flag("archive"), follow_link=options.flag("follow-link"))
    for one in _targets(session, options, from_service or to_service, bool(to_service)):
        words = [f"{one.id}:{from_path}", target] if from_service else [source, f"{one.id}:{to_path}"]
        if not session.would(f"copy {source} to {target} (container {one.name})"):
            COPY.run(session.cli, given, words)
    return 0


def commit(session: Session, options: Options, args: list[str]) -> int:
    """Makes an image of a container."""
    from scow.cli.commands.container.commit import COMMIT as MAKE

    one = session.container(args[0], options.number("index"), running=False)
    given = options_of(
        MAKE,
        author=options.text("author"),
        change=options.list("change"),
        message=options.text("message"),
        pause=options.flag("pause"),
    )
    if session.would(f"commit container {one.name}"):
        return 0
    return MAKE.run(session.cli, given, [one.id, *args[1:]]) or 0


def export(session: Session, options: Options, args: list[str]) -> int:
    """Writes a container's files."""
    from scow.cli.commands.container.commit import EXPORT as WRITE

    one = session.container(args[0], options.number("index"), running=False)
    if session.would(f"export container {one.name}"):
        return 0
    return WRITE.run(session.cli, options_of(WRITE, output=options.text("output")), [one.id]) or 0


CP = Verb(
    " [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-",
    (
        ("all", "", "bool", False, "Into one-off containers, too"),
        ("archive", "a", "bool", False, "Keep owners and modes"),
        ("follow-link", "L", "bool", False, "Follow a link that the source is"),
        _INDEX,
    ),
    cp,
    2,
    2,
)
COMMIT = Verb(
    " [OPTIONS] SERVICE [REPOSITORY[:TAG]]",
    (
        ("author", "a", "string", "", "Author of the image"),
        ("change", "c", "list", (), "Dockerfile instructions to apply"),
        _INDEX,
        ("message", "m", "string", "", "Message of the commit"),
        ("pause", "p", "bool", True, "Pause the container meanwhile"),
    ),
    commit,
    1,
    2,
)
EXPORT = Verb(" [OPTIONS] SERVICE", (_INDEX, ("output", "o", "string", "", "File to write to, in place of standard output")), export, 1, 1)
