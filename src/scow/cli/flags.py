"""The command line's grammar, as docker's: `-it` clusters, `-n5`, `--flag=value`, bool flags without value, repeatable flags, `--`
ends the flags.

A command's flags are a tuple of `(name, short, kind, default, help)`; kinds are the keys of `_CONVERT` plus bool and the list kinds.
Called by `cli/main.py` (the flags before a command) and `cli/execute.py`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost a tenth of a second of start-up on a slow machine; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Flag = tuple[str, str, str, object, str]

from scow.errors import InvalidArgument, ScowError

LIST_KINDS = frozenset(
    {
        "list",
        "strings",
        "map",
        "filter",
        "mount",
        "network",
        "ulimit",
        "gpu-request",
        "stringArray",
        "config",
        "external-ca",
        "port",
        "pref",
        "secret",
    }
)
_BOOL = {
    "1": True,
    "t": True,
    "T": True,
    "true": True,
    "TRUE": True,
    "True": True,
    "0": False,
    "f": False,
    "F": False,
    "false": False,
    "FALSE": False,
    "False": False,
}


class UsageError(ScowError):
    """A command line that can't be understood; `code` is the exit status, `usage` whether the usage line follows the message."""

    def __init__(self, message: str, code: int = 125) -> None:
        super().__init__(message)
        self.code = code


def _int(text: str, bits: int = 64) -> int:
    try:
        value = int(text, 0) if text.strip() == text and "_" not in text else int("x")
    except ValueError:
        raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def _uint(text: str, bits: int = 64) -> int:
    if text.startswith("-") or not text.strip("0123456789") == "":
        raise InvalidArgument(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    try:
        value = int(text)
    except ValueError:
        raise InvalidArgument(f'strconv.ParseUint: parsing "{text}": invalid syntax') from None
    if value >= 1 << bits:
        raise InvalidArgument(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


def _bytes(text: str) -> int:
    from scow.units import parse_size

    return parse_size(text)


def _swap(text: str) -> int:
    return -1 if text == "-1" else _bytes(text)


def _duration(text: str) -> int:
    from scow.units import parse_duration

    return parse_duration(text)


def _decimal(text: str) -> int:
    """Billionths of a decimal number (`--cpus 1.5`)."""
    from fractions import Fraction

    try:
        value = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise InvalidArgument(f"failed to parse {text} as a rational number") from None
    if value.denominator != 1:
        raise InvalidArgument("value is too precise")
    return int(value)


def _float(text: str) -> float:
    try:
        if text.strip() != text or "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise InvalidArgument(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None


_CONVERT: Mapping[str, Callable[[str], object]] = {
    "string": str,
    "command": str,
    "float": _float,
    "int": _int,
    "uint": _uint,
    "uint16": lambda text: _uint(text, 16),
    "bytes": _bytes,
    "swap": _swap,
    "duration": _duration,
    "decimal": _decimal,
}
_SHOWN = {"swap": "bytes", "stringArray": "stringArray", "strings": "strings"}


class Options:
    """The parsed flags of one command; absent flags give their defaults."""

    __slots__ = ("_given", "_values")

    def __init__(self, values: dict[str, object], given: set[str]) -> None:
        self._values = values
        self._given = given

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._given

    @property
    def names(self) -> set[str]:
        """The flags on the command line."""
        return self._given

    def shown(self, name: str) -> str:
        """A flag's value as a text."""
        value = self._values.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "[" + ",".join(value) + "]" if isinstance(value, list) else str(value or "")

    def flag(self, name: str) -> bool:
        """A bool flag."""
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """A string flag."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """A numeric flag (int, bytes, duration in ns, decimal in billionths)."""
        value = self._values.get(name)
        return value if isinstance(value, int) else 0

    def fraction(self, name: str) -> float:
        """A flag of kind float."""
        value = self._values.get(name)
        return float(value) if isinstance(value, (int, float)) else 0.0

    def list(self, name: str) -> list[str]:
        """A repeatable flag."""
        value = self._values.get(name)
        return value if isinstance(value, list) else []


def every(label: str, words: list[str], parse: Callable[[str], Any]) -> list[Any]:
    """`parse` of each word of a repeatable flag. Raises UsageError, which names the flag by `label`."""
    found = []
    for word in words:
        try:
            found.append(parse(word))
        except InvalidArgument as exc:
            raise UsageError(f'invalid argument "{word}" for "{label}" flag: {exc.message}') from None
    return found


def label_of(flag: Flag) -> str:
    """`-n, --last` as error messages write a flag."""
    return f"-{flag[1]}, --{flag[0]}" if flag[1] else f"--{flag[0]}"


def _convert(flag: Flag, text: str) -> object:
    _name, _, kind, _, _ = flag
    try:
        if kind == "bool":
            if text not in _BOOL:
                raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')
            return _BOOL[text]
        return _CONVERT[kind](text)
    except InvalidArgument as exc:
        raise UsageError(f'invalid argument "{text}" for "{label_of(flag)}" flag: {exc.message}') from None


def parse(flags: tuple[Flag, ...], argv: list[str], interspersed: bool = True) -> tuple[Options, list[str]]:
    """Options and positional arguments. Raises UsageError. Without `interspersed` the first positional ends the flags (run, exec)."""
    line = _Line(flags, argv)
    while line.words and "help" not in line.given:
        word = line.words.pop()
        if word == "--":
            line.end()
        elif len(word) < 2 or word[0] != "-":
            line.rest.append(word)
            if not interspersed:
                line.end()
        elif word[1] == "-":
            line.long(word)
        else:
            line.cluster(word)
    return Options(line.values, line.given), line.rest


class _Line:
    """A command line that is read, and what was found in it. `words`: those to come, the next one last."""

    __slots__ = ("flags", "given", "rest", "values", "words")

    def __init__(self, flags: tuple[Flag, ...], argv: list[str]) -> None:
        self.flags = flags
        self.words = argv[::-1]
        self.values: dict[str, object] = {flag[0]: list(flag[3]) if isinstance(flag[3], tuple) else flag[3] for flag in flags}
        self.given: set[str] = set()
        self.rest: list[str] = []

    def end(self) -> None:
        """No flags from here on."""
        self.rest += self.words[::-1]
        self.words.clear()

    def long(self, word: str) -> None:
        """`--name`, `--name=value`, `--name value`."""
        name, sep, text = word[2:].partition("=")
        if not name or name[0] == "-":
            raise UsageError(f"bad flag syntax: {word}")
        flag = next((one for one in self.flags if one[0] == name), None)
        if flag is None:
            if name != "help":
                raise UsageError(f"unknown flag: --{name}")
            self._help()
        elif sep:
            self._put(flag, text)
        else:
            self._put(flag, "true" if flag[2] == "bool" else self._value(f"--{name}"))

    def cluster(self, word: str) -> None:
        """`-abc`: flags without a value, the last one perhaps with one (`-p80`, `-p=80`, `-p 80`)."""
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = next((one for one in self.flags if one[1] == letter), None)
            if flag is None:
                if letter != "h":
                    raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
                self._help()
                return
            if flag[2] == "bool" and not letters.startswith("="):
                self._put(flag, "true")
                continue
            self._put(flag, letters.removeprefix("=") if letters else self._value(f"{letter!r} in {word}"))
            return

    def _help(self) -> None:
        self.values["help"] = True
        self.given.add("help")

    def _value(self, label: str) -> str:
        if not self.words:
            raise UsageError(f"flag needs an argument: {label}")
        return self.words.pop()

    def _put(self, flag: Flag, text: str) -> None:
        name, _, kind, _, _ = flag
        if kind in LIST_KINDS:
            if kind == "filter" and text and "=" not in text:
                why = "bad format of filter (expected name=value)"
                raise UsageError(f'invalid argument "{text}" for "{label_of(flag)}" flag: {why}')
            held = self.values[name] if name in self.given else []
            assert isinstance(held, list)
            held.append(text)
            self.values[name] = held
        else:
            self.values[name] = _convert(flag, text)
        self.given.add(name)


def wrap(text: str, room: int, indent: int) -> str:
    """`text` in lines of at most `room` columns, those after the first with `indent` blanks before them."""
    if room < 16 or len(text) <= room:
        return text
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return ("\n" + " " * indent).join([*lines, line])


def describe(flags: tuple[Flag, ...], width: int = 80) -> str:
    """The options block of a command's help, for a terminal of `width` columns."""
    rows = []
    for name, short, kind, default, text in sorted(flags):
        if not text:
            continue
        left = (f"  -{short}, --{name}" if short else f"      --{name}") + ("" if kind == "bool" else " " + _SHOWN.get(kind, kind))
        if kind == "bool" and default:
            text += " (default true)"
        elif isinstance(default, str) and default:
            text += f' (default "{default}")'
        elif isinstance(default, int) and default and kind != "bool":
            text += f" (default {default})"
        rows.append((left, text))
    widest = max((len(left) for left, _ in rows), default=0) + 3
    return "".join(f"{left:<{widest}}{wrap(text, width - widest, widest)}\n" for left, text in rows)
