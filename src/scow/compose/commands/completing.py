"""What could come next on a line of `scow compose`: called by `cli/completing.py`."""

from __future__ import annotations

from scow.cli import completing
from scow.cli.command import Cli
from scow.compose.commands.main import load
from scow.compose.commands.table import ALIASES, DRY_RUN, GLOBALS, VERBS
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Words = list[tuple[str, str]]

_FILES = frozenset({"file", "env-file", "project-directory", "workdir", "output", "env-from-file", "volume"})
_VALUES = {
    "progress": ("auto", "json", "plain", "quiet", "tty"),
    "ansi": ("always", "auto", "never"),
    "pull": ("always", "build", "missing", "never"),
    "policy": ("always", "missing"),
    "rmi": ("all", "local"),
    "format": ("json", "table"),
    "protocol": ("tcp", "udp"),
    "status": ("created", "dead", "exited", "paused", "removing", "restarting", "running"),
    "signal": ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"),
}
_OF_SERVICES = frozenset({"attach", "no-attach", "exit-code-from"})
_ONE = frozenset({"exec", "run", "attach", "port", "cp", "commit", "export"})
_NONE = frozenset({"ls", "version", "publish"})


def candidates(cli: Cli, words: list[str]) -> tuple[Words, int]:
    """(word, description) pairs for the place of the last word, and whether files may stand there too."""
    before, typed = words[:-1], words[-1]
    at = completing.skip_globals(before, GLOBALS)
    if at < 0:
        return _value(cli, before, completing.awaiting(before, GLOBALS))
    line = before[at:]
    if not line:
        if typed.startswith("-"):
            return completing.flag_words(GLOBALS), completing.NO_FILES
        return [(name, short) for name, (_, _, short) in VERBS.items()], completing.NO_FILES
    name = ALIASES.get(line[0], line[0])
    if name not in VERBS:
        return [], completing.NO_FILES
    verb = load(name)
    flags = (*verb.flags, DRY_RUN)
    waiting = completing.awaiting(line[1:], flags)
    if waiting:
        return _value(cli, before[:at], waiting)
    args = completing.positional(line[1:], flags)
    if typed.startswith("-") and (verb.interspersed or not args):
        return completing.flag_words(flags), completing.NO_FILES
    if name in _NONE or (verb.most >= 0 and len(args) >= verb.most):
        return [], completing.NO_FILES
    if name in _ONE and args:
        return [], completing.FILES
    found = [(f"{one}:" if name == "cp" else one, "") for one in services(cli, before[:at]) if one not in args]
    return found, completing.FILES if name == "cp" else completing.NO_FILES


def _value(cli: Cli, lead: list[str], flag: str) -> tuple[Words, int]:
    if flag in _FILES:
        return [], completing.FILES
    if flag == "profile":
        return [(one, "") for one in _profiles(cli, lead)], completing.NO_FILES
    if flag in _OF_SERVICES:
        return [(one, "") for one in services(cli, lead)], completing.NO_FILES
    return [(one, "") for one in _VALUES.get(flag, ())], completing.NO_FILES


def _project(cli: Cli, lead: list[str]) -> Any:
    from scow.cli import flags, libraries

    libraries.load()
    from scow.compose.load.loader import load as read
    from scow.compose.session import Session

    try:
        given, _ = flags.parse(GLOBALS, lead, interspersed=False)
        return read(Session(cli, given).load_options())
    except ScowError:
        return None


def services(cli: Cli, lead: list[str]) -> list[str]:
    """The services of the files that the flags before the verb name."""
    project = _project(cli, lead)
    return sorted({*project.services, *project.disabled}) if project else []


def _profiles(cli: Cli, lead: list[str]) -> list[str]:
    project = _project(cli, lead)
    every = (*project.services.values(), *project.disabled.values()) if project else ()
    return sorted({one for service in every for one in service.profiles})
