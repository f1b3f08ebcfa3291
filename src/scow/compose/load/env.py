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
    """The variables of a text. Values may name those of `lookup`, then those above them. Raises LoadError with file and line."""
    out: dict[str, str] = {}

    def value_of(name: str) -> str | None:
        found = lookup(name)
        return found if found is not None else out.get(name)

    variables = Variables(value_of)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    at, end = 0, len(text)

    def fail(message: str) -> LoadError:
        line = text.count("\n", 0, at) + 1
        return LoadError(f"failed to read {file}: line {line}: {message}" if file else f"line {line}: {message}")

    def expand(value: str) -> str:
        try:
            return substitute(value, variables)
        except InvalidTemplate as exc:
            raise fail(f'Invalid template: "{exc.message}"') from None
        except LoadError as exc:
            raise fail(exc.message) from None

    while True:
        while at < end and (text[at].isspace() or text[at] in _SPACE):
            at += 1
        if at >= end:
            break
        newline = text.find("\n", at)
        newline = end if newline < 0 else newline
        if text[at] == "#":
            at = newline
            continue
        if text.startswith("export", at) and text[at + 6 : at + 7] in _BLANKS:
            at += 7
            while text[at : at + 1] in _BLANKS:
                at += 1
        stop = at
        while stop < newline and text[stop] not in "=:":
            char = text[stop]
            if not (char in _SPACE or char in "_.-[]" or char.isalpha() or char.isnumeric()):
                raise fail(f'unexpected character "{char}" in variable name "{text[at:newline][:80]}"')
            stop += 1
        key = text[at:stop].rstrip()
        if " " in key:
            raise fail("key cannot contain a space")
        if stop >= newline:
            inherited = lookup(key)
            if inherited is not None:
                out[key] = inherited
            at = newline
            continue
        at = stop + 1
        while at < end and text[at] in _SPACE:
            at += 1
        quote = text[at : at + 1]
        if quote not in ("'", '"') or not quote:
            newline = text.find("\n", at)
            newline = end if newline < 0 else newline
            out[key] = expand(text[at:newline].partition(" #")[0].rstrip())
            at = newline
            continue
        chars, stop = [], at + 1
        while stop < end and text[stop] != quote:
            if text[stop] == "\\" and stop + 1 < end:
                following = text[stop + 1]
                chars.append(following if following == quote else "\\" + following)
                stop += 2
                continue
            chars.append(text[stop])
            stop += 1
        if stop >= end:
            raise fail(f"unterminated quoted value {text[at:].partition(chr(10))[0][:80]}")
        value = "".join(chars)
        out[key] = expand(_unescaped(value)) if quote == '"' else value
        at = stop + 1
    if unset is not None:
        unset.update(variables.unset)
    return out


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
