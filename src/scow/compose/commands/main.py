"""`scow compose WORDS` and the program `scow-compose`: finds the verb, parses its flags, runs it, turns errors into sentences and exit
codes: 14 without a file, 15 for a project that does not hold together, 16 for a line that can't be understood, else 1, as the plugin's."""

from __future__ import annotations

import sys

from scow.cli import flags as flaglib
from scow.cli.command import Cli, ExitCode, daemon_error
from scow.client.transport import ApiError
from scow.compose.commands.table import ALIASES, DRY_RUN, GLOBALS, UNSUPPORTED, VERBS
from scow.compose.commands.verb import Verb
from scow.compose.session import Session
from scow.errors import ScowError

SYNTAX = 16


def load(name: str) -> Verb:
    """The Verb of a name in the table."""
    module, attribute, _ = VERBS[name]
    verb: Verb = getattr(__import__(module, fromlist=[attribute]), attribute)
    return verb


def overview(program: str) -> str:
    """`scow compose --help`."""
    from scow.cli.helping import width

    wide = max(map(len, VERBS)) + 3
    rows = "".join(f"  {name:<{wide}}{flaglib.wrap(short, width() - wide - 2, wide + 2)}\n" for name, (_, _, short) in VERBS.items())
    return (
        f"Usage:  {program} [OPTIONS] COMMAND\n\nRuns applications of several containers\n\nOptions:\n{flaglib.describe(GLOBALS, width())}"
        f"\nCommands:\n{rows}\nRun '{program} COMMAND --help' for more information on a command.\n"
    )


def help_of(verb: Verb, name: str, program: str) -> str:
    """`scow compose up --help`."""
    from scow.cli.helping import width

    aliases = [other for other, target in ALIASES.items() if target == name]
    also = f"\nAliases:\n  {program} {name}, {', '.join(f'{program} {one}' for one in aliases)}\n" if aliases else ""
    return (
        f"Usage:  {program} {name}{verb.usage}\n\n{VERBS[name][2]}\n{also}\nOptions:\n{flaglib.describe((*verb.flags, DRY_RUN), width())}"
    )


def run(cli: Cli, argv: list[str], program: str = "scow compose") -> int:
    """Runs one line; its exit status."""
    try:
        given, words = flaglib.parse(GLOBALS, argv, interspersed=False)
    except flaglib.UsageError as exc:
        return _wrong(cli, exc.message, program)
    if given.flag("version"):
        words = ["version"]
    if given.flag("help") or not words or words[0] == "help":
        if len(words) > 1:
            return run(cli, [words[1], "--help"], program)
        cli.out(overview(program))
        return 0
    word, rest = words[0], words[1:]
    name = ALIASES.get(word, word)
    if name in UNSUPPORTED:
        cli.err(f"{program} {name}: {UNSUPPORTED[name]}\n")
        return 1
    if name not in VERBS:
        from scow.opts.suggest import nearest, text

        near = text(nearest(name, VERBS), f"{program} ")
        return _wrong(cli, f'unknown docker command: "compose {word}"' + (f"\n{near}" if near else ""), program)
    verb = load(name)
    try:
        options, args = flaglib.parse((*verb.flags, DRY_RUN), rest, verb.interspersed)
    except flaglib.UsageError as exc:
        return _wrong(cli, exc.message, f"{program} {name}")
    if options.flag("help"):
        cli.out(help_of(verb, name, program))
        return 0
    if len(args) < verb.least:
        cli.err(f"requires at least {verb.least} arg(s), only received {len(args)}\n\nUsage:  {program} {name}{verb.usage}\n")
        return 1
    if 0 <= verb.most < len(args):
        wanted = "accepts no arguments" if not verb.most else f"accepts at most {verb.most} arg(s), received {len(args)}"
        cli.err(f"{wanted}\n\nUsage:  {program} {name}{verb.usage}\n")
        return 1
    session = Session(cli, given, options.flag("dry-run"), program)
    return _run(session, verb, options, args, f"{program} {name}")


def _run(session: Session, verb: Verb, options: flaglib.Options, args: list[str], typed: str) -> int:
    cli = session.cli
    try:
        return verb.run(session, options, args) or 0
    except KeyboardInterrupt:
        session.end()
        cli.err("canceled\n")
        return 130
    except flaglib.UsageError as exc:
        session.end()
        return _wrong(cli, exc.message, typed)
    except ExitCode as exc:
        session.end()
        if exc.message:
            cli.err(exc.message.rstrip("\n") + "\n")
        return exc.code
    except ScowError as exc:
        session.end()
        cli.err((daemon_error(exc.message) if isinstance(exc, ApiError) else exc.message).rstrip("\n") + "\n")
        code = getattr(exc, "code", 1)
        return code if isinstance(code, int) and code else 1


def _wrong(cli: Cli, message: str, program: str) -> int:
    cli.err(f"{message}\nRun '{program} --help' for more information\n")
    return SYNTAX


def script() -> None:
    """The program `scow-compose`: a plugin of docker's command line, too."""
    from scow.cli import main as client

    if sys.argv[1:2] == ["docker-cli-plugin-metadata"]:
        from scow.compose.commands.version import metadata

        sys.stdout.write(metadata())
        return
    words = sys.argv[1:]
    at = 1 if words[:1] in (["__complete"], ["__completeNoDesc"]) else 0
    if words[at : at + 1] != ["compose"]:
        words.insert(at, "compose")
    sys.argv[1:] = words
    client.run()
