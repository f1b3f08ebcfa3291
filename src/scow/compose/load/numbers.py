"""Numbers as Go prints them: what a YAML number becomes where a text is wanted, and how the plugin's documents show it."""

from __future__ import annotations

import math

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


def _digits(value: float, bits: int) -> str:
    """The shortest text that is read as the same number of that many bits."""
    if bits == 64:
        return repr(value)
    import struct

    packed = struct.pack("f", value)
    for precision in range(1, 10):
        text = f"{value:.{precision}g}"
        if struct.pack("f", float(text)) == packed:
            return text
    return repr(value)


def _parts(value: float, bits: int) -> tuple[str, str, int]:
    """(sign, digits, exponent of the first digit)."""
    text = _digits(abs(value), bits).lower()
    mantissa, _, exponent = text.partition("e")
    whole, _, part = mantissa.partition(".")
    power = int(exponent or 0) + len(whole)
    digits = (whole + part).lstrip("0")
    power -= len(whole + part) - len(digits)
    digits = digits.rstrip("0") or "0"
    return ("-" if value < 0 else ""), digits, power - 1 if digits != "0" else 0


def _special(value: float) -> str:
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def general(value: float, bits: int = 64, limit: int = 6) -> str:
    """Format `g` with the shortest digits; `limit` is the first power of ten that is written with an exponent."""
    if value != value or value in (float("inf"), float("-inf")):
        return _special(value)
    sign, digits, power = _parts(value, bits)
    return sign + (_scientific(digits, power) if power < -4 or power >= limit else _positional(digits, power))


def json_number(value: float, bits: int = 64) -> str:
    """As encoding/json writes a float."""
    sign, digits, power = _parts(value, bits)
    if power < -6 or power >= 21:
        text = _scientific(digits, power)
        return sign + text.replace("e-0", "e-").replace("e+0", "e+")
    return sign + _positional(digits, power)


def _scientific(digits: str, power: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _positional(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    if len(digits) <= power + 1:
        return digits + "0" * (power + 1 - len(digits))
    return f"{digits[: power + 1]}.{digits[power + 1 :]}"


def text_of(value: Any) -> str:
    """A YAML scalar where a text is wanted."""
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float):
        return "-0" if value == 0 and math.copysign(1, value) < 0 else general(value)
    return str(value)
