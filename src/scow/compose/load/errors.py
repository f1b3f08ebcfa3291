"""What is wrong with a compose file, and where."""

from __future__ import annotations

from scow.compose.records import record
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable

    Path = tuple[str, ...]


@record(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1, 0 where they are not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


MAX_MESSAGE = 2000


def shown(text: str) -> str:
    """A sentence as a terminal may be given it, whatever it quotes: not endless, nothing that moves the cursor."""
    if len(text) > MAX_MESSAGE:
        text = text[:MAX_MESSAGE] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)


class LoadError(ScowError):
    """The files can't become a project. `.message` starts with the place where it is known; `code` is the exit status of commands
    (14 where a file is missing, else 15, as the plugin's)."""

    def __init__(self, message: str, place: Place | None = None, code: int = 15) -> None:
        super().__init__(shown(f"{place}: {message}" if place else message))
        self.place = place
        self.code = code


def unknown_service(name: str, known: Iterable[str]) -> LoadError:
    """The error for a word of the command line that is no service, with the nearest ones."""
    from scow.opts.suggest import nearest, text

    return LoadError(f"no such service: {name}{text(nearest(name, known))}".rstrip("\n"), code=1)


class InvalidProject(LoadError):
    """The files are well written, but what they say does not hold together."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(f"{message}: invalid compose project", place, 15)


class BadValue(Exception):
    """Something is wrong with the value at a path (with its last key, where `key` says so). Whoever knows the files makes a LoadError of
    it, with that exit status."""

    def __init__(self, path: Path, message: str, key: bool = False, code: int = 15) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.key = key
        self.code = code
