"""What a template may call: Go's own functions and docker's."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

from scow.gotemplate.lexer import TemplateError
from scow.gotemplate.values import NO_VALUE, go_print, printf, truth, type_name


def _json(value: Any) -> str:
    from scow.fastjson import dumps

    return dumps(None if value is NO_VALUE else _plain(value), html=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not callable(one)}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "" if all(isinstance(one, str) for one in value.values()) else NO_VALUE)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int):
                raise TemplateError(f"cannot index slice/array with type {type_name(key)}")
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        elif value is None or value is NO_VALUE:
            raise TemplateError("index of untyped nil")
        else:
            raise TemplateError(f"can't index item of type {type_name(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"index out of range: {high if high > len(value) else low}")
    return value[low:high]


def _length(value: Any) -> int:
    if value is None or value is NO_VALUE:
        raise TemplateError("len of nil pointer")
    return len(value)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any((type(one) is type(first) and one == first) or (one is None and first is None) for one in others)


def _order(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        if isinstance(first, str) != isinstance(second, str):
            raise TemplateError("incompatible types for comparison")
        return check(first, second)

    return compare


def _truncate(value: str, length: int) -> str:
    return value if length < 0 or len(value) < length else value[:length]


def _pad(text: str, before: int, after: int) -> str:
    return text if not text else " " * min(before, 10_000) + text + " " * min(after, 10_000)


def _println(*args: Any) -> str:
    return " ".join(go_print(one) for one in args) + "\n"


def _print(*args: Any) -> str:
    out = []
    for index, one in enumerate(args):
        if index and not isinstance(one, str) and not isinstance(args[index - 1], str):
            out.append(" ")
        out.append(go_print(one))
    return "".join(out)


def _html(*args: Any) -> str:
    text = _print(*args)
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(char, name)
    return text


def _title(text: str) -> str:
    return "".join(char.upper() if not index or text[index - 1] in " \t\n-" else char for index, char in enumerate(text))


def _join(values: Any, separator: str) -> str:
    return separator.join(go_print(one) for one in values or [])


TEXTS = frozenset(("split", "title", "lower", "upper", "pad", "truncate"))  # functions whose first argument is a text


def wrong_count(function: Callable[..., Any], count: int, name: str) -> str:
    """Go's sentence where `count` arguments are too few or too many for the function; "" where they are right."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    method = 1 if hasattr(function, "__self__") else 0
    most = code.co_argcount - method
    least = most - len(getattr(function, "__defaults__", None) or ())
    many = bool(code.co_flags & 4)  # *args
    if least <= count and (many or count <= most):
        return ""
    want = f"at least {least}" if many or least < most else str(least)
    return f"wrong number of args for {name}: want {want} got {count}"


BUILTINS: dict[str, Callable[..., Any]] = {
    "and": lambda *args: args[-1],
    "or": lambda *args: args[-1],
    "not": lambda value: not truth(value),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": printf,
    "println": _println,
    "html": _html,
    "js": lambda *a: _json(_print(*a))[1:-1],
    "urlquery": lambda *args: "".join(
        chr(b) if chr(b).isalnum() or chr(b) in "-_.~" else "+" if b == 32 else f"%{b:02X}" for b in _print(*args).encode()
    ),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _order(lambda a, b: a < b),
    "le": _order(lambda a, b: a <= b),
    "gt": _order(lambda a, b: a > b),
    "ge": _order(lambda a, b: a >= b),
    "json": _json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": _join,
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
    "table": lambda value: value,
}
