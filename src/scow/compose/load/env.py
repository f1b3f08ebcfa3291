"""Files of variables: `.env`, `--env-file` and `env_file`, and their `raw` format. The grammar is the compose plugin's: comments, `export`,
`KEY=value`, `KEY: value`, `KEY` alone (taken from the environment), single quotes (as they are), double quotes (escapes and variables, over
several lines), unquoted values up to ` #`."""

from __future__ import annotations

import os

from scow.compose.load.errors import LoadError
from scow.compose.load.interpolate import InvalidTemplate, Variables, substitute

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_FILE = 8 << 20
_SPACE = "\t\v\f\r \x85\xa0"
_BLANKS = frozenset(_SPACE)
_OCTAL = frozenset("01234567")
_PLAIN = {"a": "\a", "b": "\b", "c": "\\c", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$", '"': '"', "\\": "\\"}


def _unescaped(text: str) -> str:
    """What stands in double quotes, with its escapes carried out."""
    first, *pieces = text.split("\\")
    out = [first]
    following = iter(pieces)
    for piece in following:
        if not piece:  # two of them: one, and what follows the second is no escape
            out += _PLAIN["\\"], next(following, "")
        elif piece[0] == "0":
            end = 1
            while end < 4 and piece[end : end + 1] in _OCTAL:
                end += 1
            out.append((chr(int(piece[:end], 8) & 0xFF) if end > 1 else "\\0") + piece[end:])
        else:
            out.append(_PLAIN.get(piece[0], "\\" + piece[0]) + piece[1:])
    return "".join(out)


def parse(text: str, lookup: Callable[[str], str | None], file: str = "", unset: dict[str, None] | None = None) -> dict[str, str]:
    """The variables of a text. Values may name those of `lookup`, then those above them. Raises LoadError with file and line.

    `unset` is given the names that values use and nobody has."""
    reader = _Reader(text, lookup, file)
    while reader.skip():
        reader.line()
    if unset is not None:
        unset.update(reader.variables.unset)
    return reader.found


class _Reader:
    """A text that is read, and the variables that were found in it."""

    def __init__(self, text: str, lookup: Callable[[str], str | None], file: str) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._lookup = lookup
        self._file = file
        self._at = 0
        self.found: dict[str, str] = {}
        self.variables = Variables(self._value_of)

    def _value_of(self, name: str) -> str | None:
        outer = self._lookup(name)
        return outer if outer is not None else self.found.get(name)

    def _fail(self, message: str) -> LoadError:
        line = self._text.count("\n", 0, self._at) + 1
        return LoadError(f"failed to read {self._file}: line {line}: {message}" if self._file else f"line {line}: {message}")

    def _line_end(self) -> int:
        newline = self._text.find("\n", self._at)
        return newline if newline >= 0 else len(self._text)

    def skip(self) -> bool:
        """Go on to the next line that says something; whether there is one."""
        text, end = self._text, len(self._text)
        while True:
            while self._at < end and (text[self._at].isspace() or text[self._at] in _SPACE):
                self._at += 1
            if self._at >= end or text[self._at] != "#":
                return self._at < end
            self._at = self._line_end()

    def line(self) -> None:
        """Read `NAME=value`, or a `NAME` that is taken over from outside."""
        key, has_value = self._name()
        if not has_value:
            inherited = self._lookup(key)
            if inherited is not None:
                self.found[key] = inherited
            return
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1
        quote = self._text[self._at : self._at + 1]
        if quote and quote in "'\"":
            value, end = self._quoted(quote)
            self.found[key] = self._expanded(_unescaped(value)) if quote == '"' else value
            self._at = end
        else:
            end = self._line_end()
            self.found[key] = self._expanded(self._text[self._at : end].partition(" #")[0].rstrip())
            self._at = end

    def _name(self) -> tuple[str, bool]:
        """The name, and whether a value follows; behind them from here on."""
        text, end = self._text, self._line_end()
        if text.startswith("export", self._at) and text[self._at + 6 : self._at + 7] in _BLANKS:
            self._at += 7
            while text[self._at : self._at + 1] in _BLANKS:
                self._at += 1
        stop = self._at
        while stop < end and text[stop] not in "=:":
            char = text[stop]
            if not (char in _SPACE or char in "_.-[]" or char.isalpha() or char.isnumeric()):
                raise self._fail(f'unexpected character "{char}" in variable name "{text[self._at : end][:80]}"')
            stop += 1
        key = text[self._at : stop].rstrip()
        if " " in key:
            raise self._fail("key cannot contain a space")
        self._at = min(stop + 1, end)
        return key, stop < end

    def _quoted(self, quote: str) -> tuple[str, int]:
        """What stands between quotes, which may be several lines, and where it is over."""
        text, end = self._text, len(self._text)
        chars, stop = [], self._at + 1
        while stop < end and text[stop] != quote:
            if text[stop] == "\\" and stop + 1 < end:
                following = text[stop + 1]
                chars.append(following if following == quote else "\\" + following)
                stop += 2
                continue
            chars.append(text[stop])
            stop += 1
        if stop >= end:
            raise self._fail(f"unterminated quoted value {text[self._at :].partition(chr(10))[0][:80]}")
        return "".join(chars), stop + 1

    def _expanded(self, value: str) -> str:
        try:
            return substitute(value, self.variables)
        except InvalidTemplate as exc:
            raise self._fail(f'Invalid template: "{exc.message}"') from None
        except LoadError as exc:
            raise self._fail(exc.message) from None


def parse_raw(text: str, lookup: Callable[[str], str | None], file: str = "") -> dict[str, str]:
    """The variables of a text in format `raw`: nothing is done to values."""
    out = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.lstrip()
        if not line or line[0] == "#":
            continue
        key, sep, value = line.partition("=")
        if not key or any(char.isspace() for char in key):
            where = f"failed to read {file}: " if file else ""
            raise LoadError(f"{where}line {number}: variable '{key[:80]}' contains whitespaces")
        if sep:
            out[key] = value
        else:
            inherited = lookup(key)
            if inherited is not None:
                out[key] = inherited
    return out


def read(path: str) -> str:
    """The text of a file of variables. Raises LoadError; FileNotFoundError where it is not there."""
    try:
        if os.path.isdir(path):
            raise LoadError(f"{path} is a directory")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as exc:
        raise LoadError(f"failed to read {path}: {getattr(exc, 'strerror', None) or exc}") from None
    if len(data) > MAX_FILE:
        raise LoadError(f"failed to read {path}: larger than {MAX_FILE >> 20} MB")
    return data.decode("utf-8", "surrogateescape")


def dotenv(paths: Iterable[str], environ: Mapping[str, str], unset: dict[str, None] | None = None) -> dict[str, str]:
    """The variables of `.env` files, the later over the earlier; they may name those of `environ`. Raises LoadError."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            text = read(path)
        except FileNotFoundError:
            raise LoadError(f"couldn't find env file: {path}", code=1) from None
        found.update(parse(text, lambda name: environ.get(name, found.get(name)), path, unset))
    return found
