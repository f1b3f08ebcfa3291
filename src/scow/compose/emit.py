"""Documents as text: YAML and JSON to the letter as the compose plugin writes them (its libraries' rules for quotes, numbers, indents),
so that `config` of both can be compared. Called by `model.py` and `hash.py`. Input: dicts (in the order to print), lists, texts, numbers,
None.
"""

from __future__ import annotations

import math

from scow.compose.codec import Single
from scow.compose.load.numbers import general, json_number
from scow.compose.load.yaml import scalar

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

_OLD_BOOLS = frozenset("y Y yes Yes YES on On ON n N no No NO off Off OFF".split())  # noqa: SIM905
_LEADING = frozenset("#,[]{}&*!|>'\"%@`")
_ESCAPES = {
    "\0": "\\0",
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
    '"': '\\"',
    "\\": "\\\\",
    "\x85": "\\N",
    "\xa0": "\\_",
    "\u2028": "\\L",
    "\u2029": "\\P",
}
_BREAKS = "\r\n\x85\u2028\u2029"


# ---------------------------------------------------------------- YAML


def yaml(value: Any) -> str:
    """A YAML document, two spaces a level, lists indented below their key."""
    out: list[str] = []
    if isinstance(value, (dict, list)) and value:
        _block(value, 0, out)
        return "".join(out)
    return _inline(value) + "\n"


def _block(value: Any, level: int, out: list[str]) -> None:
    pad = "  " * level
    if isinstance(value, dict):
        for key, one in value.items():
            out.append(f"{pad}{_key(key)}:")
            _value(one, level + 1, out)
        return
    for one in value:
        if isinstance(one, (dict, list)) and one:
            # the first line of the item stands behind its dash
            inner: list[str] = []
            _block(one, level + 1, inner)
            text = "".join(inner)
            out.append(f"{pad}- {text[2 * (level + 1) :]}")
        else:
            out.append(f"{pad}-")
            _value(one, level + 1, out)


def _value(value: Any, level: int, out: list[str]) -> None:
    if isinstance(value, (dict, list)) and value:
        out.append("\n")
        _block(value, level, out)
    elif isinstance(value, str) and "\n" in value and _literal(value):
        out.append(f" {_literal_text(value, level)}")
    else:
        out.append(f" {_inline(value)}\n")


def _key(key: str) -> str:
    return _inline(key) if "\n" not in key and key else _double(key) if key else '""'


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)


def _number(value: float) -> str:
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    if math.isnan(value):
        return ".nan"
    return general(value, 32 if isinstance(value, Single) else 64)


def _string(text: str) -> str:
    if "\n" in text or _resolves(text):
        return _double(text)
    plain, single = _analysed(text)
    if plain:
        return text
    return "'" + text.replace("'", "''") + "'" if single else _double(text)


def _resolves(text: str) -> bool:
    """Whether a plain text would be read as something else, now or by a reader of YAML 1.1."""
    if not isinstance(scalar(text), str) or text in _OLD_BOOLS or _is_timestamp(text):
        return True
    return _is_base60(text)


def _is_base60(text: str) -> bool:
    """`12:30`: a number to readers of YAML 1.1."""
    head, colon, rest = text.partition(":")
    if not colon or not head.lstrip("+-").replace("_", "").isdigit() or len(text) - len(text.lstrip("+-")) > 1:
        return False
    rest, _, fraction = rest.partition(".")
    if fraction and not fraction.replace("_", "").isdigit():
        return False
    return all(part.isdigit() and part.isascii() and len(part) <= 2 and int(part) < 60 for part in rest.split(":"))


def _is_timestamp(text: str) -> bool:
    """`2001-01-01`, with or without a time."""
    head = text[:4]
    if len(text) < 8 or not (head.isdigit() and head.isascii()) or text[4] != "-":
        return False
    day, _, clock = text.replace("T", " ").replace("t", " ").partition(" ")
    parts = day.split("-")
    if len(parts) != 3 or not all(part.isdigit() and 1 <= len(part) <= 2 for part in parts[1:]):
        return False
    if not 1 <= int(parts[1]) <= 12 or not 1 <= int(parts[2]) <= 31:
        return False
    return not clock or (clock[:1].isdigit() and clock.count(":") >= 2)


def _analysed(text: str) -> tuple[bool, bool]:
    """(may stand without quotes, may stand in single quotes)."""
    plain = single = True
    if text.startswith(("---", "...")):
        plain = False
    if text[0] == " " or text[-1] == " ":
        plain = False
    before_blank = True
    for at, char in enumerate(text):
        after_blank = at + 1 == len(text) or text[at + 1] in " \t\r\n\x85\u2028\u2029"
        if at == 0:
            if char in _LEADING or (char in "?:-" and after_blank):
                plain = False
        elif (char == ":" and after_blank) or (char == "#" and before_blank):
            plain = False
        if char == "\t" or not _printable(char) or char in _BREAKS:
            return False, False
        before_blank = char in " \t"
    return plain, single


def _printable(char: str) -> bool:
    """What the plugin's YAML library takes for printable: nothing of four bytes."""
    code = ord(char)
    return (0x20 <= code <= 0x7E) or (0xA0 <= code <= 0xD7FF) or (0xE000 <= code <= 0xFFFD and code != 0xFEFF)


def _double(text: str) -> str:
    out = []
    for char in text:
        code = ord(char)
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif _printable(char):
            out.append(char)
        elif code <= 0xFF:
            out.append(f"\\x{code:02X}")
        else:
            out.append(f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}")
    return '"' + "".join(out) + '"'


def _literal(text: str) -> bool:
    """Whether a text of several lines may be a literal block."""
    before = ""
    for char in text:
        if char not in "\t\n" and not _printable(char):
            return False
        if char == "\n" and before == " ":
            return False
        before = char
    return text[-1] != " "


def _literal_text(text: str, level: int) -> str:
    hint = "2" if text[0] in " \n" else ""
    chomp = "" if text.endswith("\n") else "-"
    if text.endswith("\n\n") or text == "\n":
        chomp = "+"
    pad = "  " * level
    lines = text.removesuffix("\n").split("\n")
    return f"|{hint}{chomp}\n" + "".join(f"{pad}{line}\n" if line else "\n" for line in lines)


# ---------------------------------------------------------------- JSON


def json(value: Any, indent: str = "") -> str:
    """A JSON text as encoding/json writes it: `<`, `>` and `&` escaped; with an indent, one entry a line."""
    out: list[str] = []
    _json(value, indent, "\n", out)
    return "".join(out)


def _json(value: Any, indent: str, line: str, out: list[str]) -> None:
    if isinstance(value, (dict, list)):
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        if not value:
            out.append(opening + closing)
            return
        below = line + indent
        out.append(opening)
        separator = ""
        for one in value:
            out.append(separator)
            if indent:
                out.append(below)
            if isinstance(value, dict):
                out.append(_json_string(one) + (": " if indent else ":"))
                _json(value[one], indent, below, out)
            else:
                _json(one, indent, below, out)
            separator = ","
        if indent:
            out.append(line)
        out.append(closing)
    elif isinstance(value, str):
        out.append(_json_string(value))
    elif value is None:
        out.append("null")
    elif value is True or value is False:
        out.append("true" if value else "false")
    elif isinstance(value, float):
        out.append(json_number(value, 32 if isinstance(value, Single) else 64))
    else:
        out.append(str(value))


_JSON_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _json_string(text: str) -> str:
    if text.isascii() and text.isprintable() and not any(char in text for char in '"\\<>&'):
        return f'"{text}"'
    out = []
    for char in text:
        if char in _JSON_ESCAPES:
            out.append(_JSON_ESCAPES[char])
        elif char < " " or char in "<>&\u2028\u2029":
            out.append(f"\\u{ord(char):04x}")
        elif "\ud800" <= char <= "\udfff":
            out.append("\\ufffd")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'
