"""Ids of engine objects: 64 lower-case hex digits, and looking them up by what a user types."""

import re
import secrets
from collections.abc import Iterable

from scow.errors import InvalidArgument

_HEX = re.compile(r"[0-9a-f]{1,64}\Z")


class Ambiguous(InvalidArgument):
    """A prefix names several objects."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"multiple IDs found with provided prefix: {prefix}")


def new_id() -> str:
    """A fresh random id. The first twelve digits are never all decimal: such a short id could be read as a number (as in Docker)."""
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdigit():
            return value


def short(full: str) -> str:
    """The twelve digits that people read."""
    return full.removeprefix("sha256:")[:12]


def by_prefix(ids: Iterable[str], prefix: str) -> str | None:
    """The only id that starts with `prefix`, or None. Raises Ambiguous."""
    if not _HEX.match(prefix):
        return None
    found = [candidate for candidate in ids if candidate.startswith(prefix)]
    if len(found) > 1:
        if prefix in found:
            return prefix
        raise Ambiguous(prefix)
    return found[0] if found else None
