"""Ids of the swarm's objects: 25 characters of base 36, as swarmkit's."""

import secrets

LENGTH = 25
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def base36(number: int, width: int) -> str:
    """A number in base 36, padded with zeros to `width`."""
    out = []
    while number:  # two digits a step: long numbers divide slowly
        number, pair = divmod(number, 1296)
        out.append(_PAIRS[pair])
    return "".join(reversed(out)).lstrip("0").rjust(width, "0")


def new_id() -> str:
    """A fresh id."""
    return base36(secrets.randbits(124) + (1 << 124), LENGTH)[-LENGTH:]
