"""Ids of the swarm's objects: 25 characters of base 36, as swarmkit's."""

import re
import secrets

LENGTH = 25
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID = re.compile(r"[0-9a-z]{25}\Z")


def base36(number: int, width: int) -> str:
    """A number in base 36, padded with zeros to `width`."""
    out = []
    while number:
        number, digit = divmod(number, 36)
        out.append(_DIGITS[digit])
    return "".join(reversed(out)).rjust(width, "0")


def new_id() -> str:
    """A fresh id."""
    return base36(secrets.randbits(124) + (1 << 124), LENGTH)[-LENGTH:]


def is_id(text: str) -> bool:
    """Whether a text is a whole id."""
    return bool(_ID.match(text))
