"""`scow`: finds the command, or the plugin, and has it run; what no command handles becomes a sentence and an exit code.

Start-up cost is a feature: nothing is imported that the command at hand does not use (no os, re, json, argparse).
"""

from __future__ import annotations

import _codecs
import _signal  # type: ignore[import-not-found]  # signal itself imports enum
import posix
import sys

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.flags import Options

from scow.cli import flags as flaglib
from scow.cli.command import Cli
from scow.cli.engine import make_client
from scow.cli.environment import env, program
from scow.cli.execute import execute, near
from scow.cli.table import ALIASES, BUILDS, COMMANDS, GLOBAL_FLAGS, GROUPS, NOT_YET, OF_PLUGINS, find, load
from scow.errors import ScowError

LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")


def dispatch(argv: list[str]) -> int:
    """Runs one command line (without the program's name); the exit status."""
    try:
        options, words = flaglib.parse(GLOBAL_FLAGS, argv, interspersed=False)
    except flaglib.UsageError as exc:
        sys.stderr.write(
            f"{exc.message}\n{near(exc, GLOBAL_FLAGS)}\nUsage:  scow [OPTIONS] COMMAND [ARG...]\n\nRun 'scow --help' for more information\n"
        )
        return exc.code
    level = options.text("log-level")
    if level not in LEVELS:
        sys.stderr.write(f"Unable to parse logging level: {level}\n")
        return 1
    if options.flag("version"):
        import scow

        print(f"scow version {scow.__version__}")
        return 0
    if options.flag("help") or not words or words[0] == "help":
        from scow.cli import helping

        if len(words) > 1 and words[0] == "help" and words[1] == "compose":
            return _compose(options, [*words[2:], "--help"])
        if len(words) > 1 and words[0] == "help":
            return _help_of([*argv[: len(argv) - len(words)]], words[1:])
        # who asks for nothing gets help, but not where output is expected
        (sys.stdout if words or options.flag("help") else sys.stderr).write(helping.overview(_cli(options)))
        return 0
    if words[0] in ("__complete", "__completeNoDesc"):
        from scow.cli.completing import run as complete

        return complete(_cli(options), words[1:], words[0] == "__complete")
    if words[0] == "compose" and not _plugin_asked(options):
        return _compose(options, words[1:])
    name, rest = find(words)
    if not name or name in NOT_YET or (name in BUILDS and _by_plugin(_cli(options), words)):
        return _elsewhere(options, argv, words)
    typed = " ".join(words[: len(words) - len(rest)])
    cli = _cli(options)
    cli.hooks = _hooks(cli)
    return execute(cli, load(name), name, typed, rest)


def _compose(options: Options, words: list[str]) -> int:
    """`scow compose WORDS`."""
    run = __import__("scow.compose.commands.main", fromlist=["run"]).run
    code: int = run(_cli(options), words)
    return code


def _plugin_asked(options: Options) -> bool:
    """Whether SCOW_COMPOSE=plugin asks for docker's compose plugin in the place of our own, and it is there."""
    if env("SCOW_COMPOSE") != "plugin":
        return False
    from scow.cli import plugins

    return bool(plugins.find(_cli(options), "compose"))


def _hooks(cli: Cli) -> bool:
    """Whether plugins are asked for hints after the command: on a terminal, where the user has turned it on."""
    if not (env("DOCKER_CLI_HOOKS") or env("DOCKER_CLI_HINTS") or cli.config.get("features")) or not posix.isatty(1):
        return False
    from scow.cli.hooks import enabled

    return enabled(cli)


def _help_of(lead: list[str], words: list[str]) -> int:
    """`scow help COMMAND`: words after a command are no part of its help."""
    name, rest = find(words)
    if name and name not in NOT_YET and rest:
        sys.stderr.write(f"unknown help topic: {rest[0]}\n")
        return 1
    return dispatch([*lead, *words, "--help"])


def _cli(options: Options) -> Cli:
    home = options.text("config") or env("DOCKER_CONFIG") or f"{env('HOME') or '/root'}/.docker"
    host = (options.list("host") or [""])[0]
    cli = Cli(lambda: make_client(options, cli), env, home, host, options.text("context"))
    return cli


def _by_plugin(cli: Cli, words: list[str]) -> bool:
    """Whether a build goes to the plugin: when the configuration's alias of builder, --builder, BUILDX_BUILDER or SCOW_BUILDER ask for it."""
    aliases = cli.config.get("aliases")
    alias = isinstance(aliases, dict) and aliases.get("builder")
    if not (
        alias or env("BUILDX_BUILDER") or env("SCOW_BUILDER") == "buildx" or any(word.partition("=")[0] == "--builder" for word in words)
    ):
        return False
    from scow.cli import plugins

    wanted = plugins.redirected(words, env, aliases)
    return wanted is not words and bool(plugins.find(cli, wanted[0]))


def _elsewhere(options: Options, argv: list[str], words: list[str]) -> int:
    """A command that is a plugin's, one that is to come, or none."""
    from scow.cli import plugins

    cli = _cli(options)
    wanted = plugins.redirected(words, env, cli.config.get("aliases"))
    path = plugins.find(cli, wanted[0]) if wanted[0] not in GROUPS or wanted[0] in OF_PLUGINS else ""
    wrong = plugins.refused(path) if path else ""
    if path and not wrong:
        cli.hooks = _hooks(cli)
        code = plugins.run(cli, path, [*argv[: len(argv) - len(words)], *wanted], program())
        if cli.hooks:
            from scow.cli import hooks

            flags = {word.lstrip("-"): "" for word in wanted if word.startswith("-")}
            hooks.run(cli, " ".join(wanted), flags, wanted[1:], None, f"exit status {code}" if code else "")
        return code
    if wrong:
        sys.stderr.write(f"scow: the plugin {path} is not valid: {wrong}\n")
    name, rest = find(words)
    if name in NOT_YET:
        sys.stderr.write(f"scow: '{' '.join(words[: len(words) - len(rest)])}' is not supported yet\n")
        return 1
    return _no_command(words)


def _told(exc: OSError) -> str:
    """The sentence for an error that no command expected: with the path, or that it was standard output."""
    why = (exc.strerror or str(exc)).lower()
    if isinstance(exc, (ConnectionError, TimeoutError)):
        return f"error during connect: {exc}"
    if exc.filename is not None:
        return f"scow: {exc.filename}: {why}"
    if exc.errno in (5, 9, 27, 28, 122):  # EIO, EBADF, EFBIG, ENOSPC, EDQUOT: who writes to files of the user's names them himself
        return f"write /dev/stdout: {why}"
    return f"scow: {why}"


def _no_command(words: list[str]) -> int:
    group = words[0]
    if group in NOT_YET:
        sys.stderr.write(f"scow: '{group}' is not supported yet\n")
        return 1
    if group in GROUPS:
        from scow.cli import helping

        rest = words[1:]
        if not rest or rest[0] in ("--help", "-h", "help"):
            (sys.stdout if rest else sys.stderr).write(helping.group(group))
            return 0
        if rest[0].startswith("-"):
            sys.stderr.write(f"unknown flag: {rest[0]}\n\nUsage:  scow {group} COMMAND\n\nRun 'scow {group} --help' for more information\n")
            return 125
        from scow.opts.suggest import nearest, text

        inner = [words.split(" ")[1] for words in (*COMMANDS, *ALIASES, *NOT_YET) if words.startswith(group + " ")]
        near = text(nearest(rest[0], inner), f"scow {group} ")
        sys.stderr.write(
            f"scow: unknown command: scow {group} {rest[0]}\n{near}\nUsage:  scow {group}\n\n"
            f"Run 'scow {group} --help' for more information\n"
        )
        return 1
    from scow.opts.suggest import nearest, text

    known = {words for words in (*COMMANDS, *ALIASES, *GROUPS, *NOT_YET) if " " not in words}
    sys.stderr.write(
        f"scow: unknown command: scow {group}\n{text(nearest(group, known), 'scow ')}\nRun 'scow --help' for more information\n"
    )
    return 1


def main(argv: list[str]) -> int:
    """`dispatch` with the ends that no command handles: interrupts, closed pipes, lost connections."""
    try:
        code = dispatch(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        posix.dup2(posix.open("/dev/null", posix.O_WRONLY), 1)
        return 141
    except ScowError as exc:
        sys.stderr.write(exc.message + "\n")
        return 1
    except OSError as exc:
        sys.stderr.write(_told(exc) + "\n")
        return 1
    except RecursionError:
        sys.stderr.write("scow: the input is nested too deep\n")
        return 1
    except Exception as exc:
        if "-D" in argv or "--debug" in argv:
            raise
        if isinstance(exc, (AttributeError, LookupError, TypeError, ValueError)) and "scow.client.api" in sys.modules:
            sys.stderr.write(f"scow: the engine's answer can't be understood: {type(exc).__name__}: {exc} (-D shows where)\n")
            return 1
        sys.stderr.write(f"scow: this should not have happened: {type(exc).__name__}: {exc} (-D shows where)\n")
        return 1


def _open_streams() -> None:
    """Standard streams that the caller closed get something behind them; without that, the engine's socket would take their numbers.
    Writing to a closed standard output stays an error."""
    for number in (0, 1, 2):
        try:
            posix.fstat(number)
        except OSError:
            posix.open("/dev/null", posix.O_RDONLY if number == 1 else posix.O_RDWR)  # takes the lowest number that is free
    for name, mode, number in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # as long as the program


def _as_bytes(exc: UnicodeError) -> tuple[bytes, int]:
    """How texts that are no Unicode are written: an argument's bytes as they came, anything else as U+FFFD."""
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    wrong = exc.object[exc.start : exc.end]
    return b"".join(bytes((ord(c) - 0xDC00,)) if "\udc80" <= c <= "\udcff" else b"\xef\xbf\xbd" for c in wrong), exc.end


def run() -> None:
    """The entry point. Ends without the interpreter's tear-down, which costs more than some commands."""
    _open_streams()
    try:
        _signal.signal(2, _signal.default_int_handler)
        _codecs.register_error("scow", _as_bytes)
        sys.stdout.reconfigure(encoding="utf-8", errors="scow")  # type: ignore[union-attr]  # names are bytes to the system
        sys.stderr.reconfigure(encoding="utf-8", errors="scow")  # type: ignore[union-attr]
        code = main(sys.argv[1:])
        _signal.signal(2, _signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = 130
    except OSError:
        code = 1
    posix._exit(code)


if __name__ == "__main__":
    run()
