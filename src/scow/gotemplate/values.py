"""Values as Go sees and prints them: truth, `%v`, quoting, Sprintf."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


class Missing:
    """What a missing map key gives: prints as Go's `<no value>`."""

    def __bool__(self) -> bool:
        return False


NO_VALUE = Missing()


def type_name(value: Any) -> str:
    """What Go calls the type of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, (list, tuple)) else "interface {}"


def truth(value: Any) -> bool:
    """Go's idea of truth: not the zero value, not empty."""
    return value is not NO_VALUE and bool(value)


def go_print(value: Any) -> str:
    """A value as fmt.Print shows it (`%v`)."""
    if isinstance(value, str):
        return value
    if value is NO_VALUE or value is None:
        return "<no value>" if value is NO_VALUE else "<nil>"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{go_print(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_print(one) for one in value) + "]"
    return str(value)


def go_float(value: float) -> str:
    """A float as `%v` prints it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        number = int(exponent)
        return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):02d}"
    if abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return text


def go_quote(text: str) -> str:
    """strconv.Quote."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\t":
            out.append("\\t")
        elif char == "\r":
            out.append("\\r")
        elif char.isprintable():
            out.append(char)
        elif ord(char) in _CONTROL:
            out.append(_CONTROL[ord(char)])
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return '"' + "".join(out) + '"'


_CONTROL = {7: "\\a", 8: "\\b", 12: "\\f", 11: "\\v"}


def printf(fmt: str, *args: Any) -> str:
    """Go's Sprintf for the verbs v s d q t x X f g e c %, with width and precision."""
    out = []
    at = 0
    used = 0
    while at < len(fmt):
        char = fmt[at]
        at += 1
        if char != "%":
            out.append(char)
            continue
        begin = at
        while at < len(fmt) and fmt[at] in "+-# 0":
            at += 1
        flags = fmt[begin:at]
        begin = at
        while at < len(fmt) and (fmt[at].isdigit() or fmt[at] == "."):
            at += 1
        width_text, _, precision_text = fmt[begin:at].partition(".")
        precise = "." in fmt[begin:at]
        verb = fmt[at : at + 1]
        at += 1
        if verb == "%":
            out.append("%")
            continue
        if not verb:
            out.append("%!(NOVERB)")
            break
        if used >= len(args):
            out.append(f"%!{verb}(MISSING)")
            continue
        value = args[used]
        used += 1
        width = min(int(width_text or 0), 10_000)
        precision = min(int(precision_text or 0), 1000) if precise else None
        text = _verb(verb, value, precision, flags)
        if "-" in flags:
            text = text.ljust(width)
        elif "0" in flags and verb in "dxXfeg":
            text = text.zfill(width)
        else:
            text = text.rjust(width)
        out.append(text)
    if used < len(args):
        out.append("%!(EXTRA " + ", ".join(f"{type_name(one)}={go_print(one)}" for one in args[used:]) + ")")
    return "".join(out)


def _verb(verb: str, value: Any, precision: int | None, flags: str) -> str:
    if verb in ("v", "s"):
        text = go_print(value)
        if verb == "s" and not isinstance(value, (str, list, tuple, dict)):
            return f"%!s({type_name(value)}={text})"
        return text if precision is None else text[:precision]
    if verb == "q":
        return go_quote(go_print(value))
    if verb == "t" and isinstance(value, bool):
        return go_print(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb == "d" and isinstance(value, int) and number:
        return f"{value:+d}" if "+" in flags else str(value)
    if verb in "xX" and isinstance(value, int) and number:
        return format(value, verb)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb == "c" and isinstance(value, int):
        return chr(value)
    if verb in "feg" and isinstance(value, float):
        return f"{value:.{6 if precision is None else precision}{verb}}" if verb != "g" or precision is not None else go_float(value)
    return f"%!{verb}({type_name(value)}={go_print(value)})"
