"""JSON without the json package's import cost (it pulls in re: 10 ms on a slow machine): the standard library's own C scanner and
encoder."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost a tenth of a second of start-up on a slow machine; type checkers know the name
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring as _quote
    from _json import make_scanner as _make_scanner
except ImportError:  # another Python than CPython
    _make_scanner = None  # type: ignore[assignment,misc]


class _Context:
    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


try:
    _scan = _make_scanner(_Context) if _make_scanner is not None else None  # type: ignore[arg-type]
except AttributeError:  # a later Python wants more of its context
    _scan = None


def whole(text: str) -> str:
    """The text with U+FFFD in the place of what is no Unicode (bytes of arguments that are no UTF-8, lone surrogates), as Go writes it."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _wholes(value: Any) -> Any:
    """`whole` of all texts in a value that came from JSON."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(key): _wholes(one) for key, one in value.items()}
    return [_wholes(one) for one in value] if isinstance(value, list) else value


def _has_surrogates(text: str, start: int, end: int) -> bool:
    """Whether the JSON may hold escapes that are no Unicode."""
    return text.find("\\ud", start, end) >= 0 or text.find("\\uD", start, end) >= 0


def loads(data: bytes | str) -> Any:
    """The value of one JSON text; lone surrogates become U+FFFD. Raises ValueError."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    if _scan is None:
        import json

        return json.loads(text)
    start = len(text) - len(text.lstrip())
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError):  # the scanner finds no json.decoder to raise the error of
        raise ValueError("no JSON value") from None
    if text[end:].strip():
        raise ValueError("text after the JSON value")
    return _wholes(value) if _has_surrogates(text, start, end) else value


def raw(text: str, start: int) -> tuple[Any, int]:
    """The value that starts at `start` and where it ends. Raises ValueError where none is complete."""
    if _scan is None:
        import json

        return json.JSONDecoder(strict=False).raw_decode(text, start)
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError):  # the scanner finds no json.decoder to raise the error of
        raise ValueError("no JSON value") from None
    return (_wholes(value) if _has_surrogates(text, start, end) else value), end


def go_escape(text: str) -> str:
    """A JSON string as Go's encoder writes it with HTML escaping on."""
    text = whole(text)
    quoted: str = _quote(text) if _make_scanner is not None else __import__("json").dumps(text, ensure_ascii=False)
    for char, code in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        if char in quoted:
            quoted = quoted.replace(char, code)
    return quoted


def dumps(value: Any, html: bool = True) -> str:
    """Compact JSON as Go writes it (`html` escapes & < > as json.Marshal does)."""
    if isinstance(value, str):
        return go_escape(value) if html else (_quote(whole(value)) if _make_scanner is not None else __import__("json").dumps(whole(value)))
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "{" + ",".join(dumps(str(k), html) + ":" + dumps(v, html) for k, v in value.items()) + "}"
    return "[" + ",".join(dumps(v, html) for v in value) + "]"


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return text.replace("e-0", "e-").replace("e+0", "e+")


def pretty(value: Any, indent: str = "    ", level: str = "", html: bool = False) -> str:
    """Indented JSON as docker inspect prints it."""
    inner = level + indent
    if isinstance(value, dict):
        if not value:
            return "{}"
        items = ",\n".join(f"{inner}{dumps(str(k), html)}: {pretty(v, indent, inner, html)}" for k, v in value.items())
        return "{\n" + items + f"\n{level}}}"
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        return "[\n" + ",\n".join(inner + pretty(v, indent, inner, html) for v in value) + f"\n{level}]"
    return dumps(value, html)
