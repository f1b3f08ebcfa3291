"""`scow`: finds the command, parses its flags, runs it, turns errors into sentences and exit codes. The only part of the client that
reads the environment.

Start-up cost is a feature: nothing is imported that the command at hand does not use (no os, re, json, argparse).
"""

from __future__ import annotations

import _codecs
import _signal  # type: ignore[import-not-found]  # signal itself imports enum
import posix
import sys

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.flags import Flag, Options
    from scow.client.api import Client

from scow.cli import flags as flaglib
from scow.cli.command import Cli, Command, ExitCode, daemon_error
from scow.cli.table import ALIASES, BUILDS, COMMANDS, GROUPS, NOT_YET, OF_PLUGINS
from scow.errors import ScowError

SOCKETS = ("/run/scow/scow.sock", "/var/run/docker.sock")
LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
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
GLOBAL_FLAGS: tuple[Flag, ...] = (
    ("config", "", "string", "", "Directory of the configuration files"),
    ("context", "c", "string", "", "Name of the context to use"),
    ("debug", "D", "bool", False, "Show more about errors"),
    ("host", "H", "list", (), "Daemon to talk to: unix://PATH, tcp://HOST:PORT, ssh://USER@HOST"),
    ("log-level", "l", "string", "info", 'Least level to log ("debug", "info", "warn", "error", "fatal")'),
    ("tls", "", "bool", False, "Use TLS"),
    ("tlscacert", "", "string", "", "Trust only this authority"),
    ("tlscert", "", "string", "", "Own TLS certificate"),
    ("tlskey", "", "string", "", "Own TLS key"),
    ("tlsverify", "", "bool", False, "Use TLS and check the daemon's certificate"),
    ("version", "v", "bool", False, "Print the version and quit"),
)


def env(name: str) -> str:
    """A variable of the environment, "" where unset."""
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def exists(path: str) -> bool:
    """Whether there is something at the path."""
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def default_host() -> str:
    """The address where nothing names one: scowd's socket, else docker's."""
    return "unix://" + next((path for path in SOCKETS if exists(path)), SOCKETS[0])


def _headers(cli: Cli) -> dict[str, str]:
    """Headers for every request: HttpHeaders of the configuration, or DOCKER_CUSTOM_HEADERS (`name=value,…`) in their place."""
    custom = env("DOCKER_CUSTOM_HEADERS")
    if custom:
        pairs = [one.partition("=") for one in custom.split(",")]
        if any(not name.strip() or not sep for name, sep, _ in pairs):
            raise ScowError("failed to parse custom headers from DOCKER_CUSTOM_HEADERS: they are written as name=value,name=value")
        found = {name.strip(): value for name, _, value in pairs}
    else:
        headers = cli.config.get("HttpHeaders")
        found = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
    where = "DOCKER_CUSTOM_HEADERS" if custom else f"HttpHeaders of {cli.config_dir}/config.json"
    for name, value in found.items():
        if not name or any(not (char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~")) for char in name):
            raise ScowError(f"error during connect: invalid header field name {name!r}: correct {where}")
        if any((char < " " and char != "\t") or char == "\x7f" for char in value):
            raise ScowError(f"error during connect: invalid header field value for {name!r}: correct {where}")
    return {k: v for k, v in found.items() if k.lower() not in ("user-agent", "host", "content-length", "transfer-encoding")}


def make_client(options: Options, cli: Cli) -> Client:
    """The client for the host that flags, environment and context name. Raises ScowError."""
    from scow.client.api import Client
    from scow.client.endpoint import Endpoint

    hosts = options.list("host")
    if len(hosts) > 1:
        raise ScowError("specify only one -H")
    if hosts and options.text("context"):
        raise ScowError("conflicting options: cannot specify both --host and --context")
    url = hosts[0] if hosts else ""
    tls_files: tuple[str, str, str, bool] | None = None
    if not url and not options.text("context"):
        url = env("SCOW_HOST") or env("DOCKER_HOST")
    if not url and cli.context != "default":
        from scow.cli.contexts import endpoint_of

        try:
            url, tls_files = endpoint_of(cli.config_dir, cli.context)
        except ScowError as exc:
            raise ScowError(f"Failed to initialize: unable to resolve docker endpoint: {exc.message}") from None
    url = url or default_host()
    extra = _headers(cli)
    tls = None
    verify = options.flag("tlsverify") or (not options.given("tlsverify") and env("DOCKER_TLS_VERIFY") != "")
    if tls_files is not None or options.flag("tls") or verify or env("DOCKER_TLS"):
        from scow.client.endpoint import TLS

        folder = env("DOCKER_CERT_PATH") or cli.config_dir
        named = any(options.given(flag) for flag in ("tlscacert", "tlscert", "tlskey"))
        empty = not any(exists(f"{folder}/{name}.pem") for name in ("ca", "cert", "key"))
        if env("DOCKER_CERT_PATH") and tls_files is None and empty and not named and url.startswith(("tcp", "http")):
            raise ScowError(f"DOCKER_CERT_PATH={folder}: there is no ca.pem, cert.pem or key.pem: correct it, or unset it")
        if tls_files is not None:
            tls = TLS(*tls_files)
        else:
            chosen = [options.text(f"tls{kind}") or (f"{folder}/{kind.replace('cacert', 'ca')}.pem") for kind in ("cacert", "cert", "key")]
            ca, cert, key = (
                path if options.given(flag) or exists(path) else ""
                for path, flag in zip(chosen, ("tlscacert", "tlscert", "tlskey"), strict=True)
            )
            tls = TLS(ca, cert, key, verify)
    version = env("DOCKER_API_VERSION")
    major, _, minor = version.removeprefix("v").partition(".")
    if version and not (version.isascii() and major.isdigit() and minor.isdigit()):
        raise ScowError(f"DOCKER_API_VERSION={version!r} is no API version: write it as 1.47, or unset it to use the engine's newest")
    return Client(Endpoint(url, tls if url.startswith(("tcp", "http")) else None), version, extra)


def find(words: list[str]) -> tuple[str, list[str]]:
    """The table's name of the command that `words` starts with, and the words after it; "" when there is none."""
    for count in (2, 1):
        if len(words) < count or any(word.startswith("-") for word in words[:count]):
            continue
        name = " ".join(words[:count])
        name = ALIASES.get(name, name)
        if name in COMMANDS or (name in NOT_YET and (count == 2 or name not in GROUPS)):
            return name, words[count:]
    return "", words


def load(name: str) -> Command:
    """The Command object of a table entry."""
    module, attribute, _ = COMMANDS[name]
    loaded = __import__(module, fromlist=[attribute])
    command: Command = getattr(loaded, attribute)
    return command


def dispatch(argv: list[str]) -> int:
    """Runs one command line (without the program's name); the exit status."""
    try:
        options, words = flaglib.parse(GLOBAL_FLAGS, argv, interspersed=False)
    except flaglib.UsageError as exc:
        sys.stderr.write(
            f"{exc.message}\n{_near(exc, GLOBAL_FLAGS)}\nUsage:  scow [OPTIONS] COMMAND [ARG...]\n\nRun 'scow --help' for more information\n"
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


def program() -> str:
    """The path of this program, for plugins that call it again."""
    name = sys.argv[0] if sys.argv else ""
    if "/" in name:
        return name if name.startswith("/") else f"{posix.getcwd()}/{name}"
    return next((f"{folder}/{name}" for folder in env("PATH").split(":") if folder and exists(f"{folder}/{name}")), name or "scow")


def execute(cli: Cli, command: Command, name: str, typed: str, rest: list[str]) -> int:
    """Parses the flags, checks the number of arguments and runs the command; the exit status."""
    usage = f"Usage:  scow {typed}{command.usage}"
    try:
        given, args = flaglib.parse(command.flags, rest, command.interspersed)
    except flaglib.UsageError as exc:
        sys.stderr.write(f"{exc.message}\n{_near(exc, command.flags)}\n{usage}\n\nRun 'scow {typed} --help' for more information\n")
        return exc.code
    if given.flag("help"):
        from scow.cli import helping

        print(helping.command(command, name, usage), end="")
        return 0
    wanted = _count_error(command, len(args))
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
        return exc.code, f"{exc.message}\n{_near(exc, command.flags)}\n{usage}\n\nRun 'scow {typed} --help' for more information"
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


def _near(exc: flaglib.UsageError, known: tuple[Flag, ...]) -> str:
    """The flags that an unknown one may stand for, as lines."""
    lead = "unknown flag: --"
    if not exc.message.startswith(lead):
        return ""
    from scow.opts.suggest import nearest, text

    return text(nearest(exc.message[len(lead) :], [flag[0] for flag in known if flag[4]]), "--")


def _count_error(command: Command, count: int) -> str:
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
