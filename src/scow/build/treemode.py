"""`--chmod`: an octal mode, or chmod's symbolic language (`u=rwX,go=rX`). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a mode: `octal` when not negative, else `clauses` of (who, operator, what)."""

    octal: int = -1
    clauses: tuple[tuple[str, str, str], ...] = ()

    def apply(self, mode: int, is_dir: bool) -> int:
        """The mode (12 bits) after the change."""
        if self.octal >= 0:
            return self.octal
        for who, operator, what in self.clauses:
            mode = _one(mode, who or "ugo", operator, what, is_dir)
        return mode & 0o7777


def _one(mode: int, who: str, operator: str, what: str, is_dir: bool) -> int:
    executable = is_dir or bool(mode & 0o111)
    bits = special = 0
    if what and what in "ugo":
        bits = mode >> _SHIFT[what] & 7
    else:
        for letter in what:
            bits |= _BITS.get(letter, 0)
            if letter == "X" and executable:
                bits |= 1
    touched = affected = 0
    for one in "ugo":
        if one in who or "a" in who:
            affected |= 7 << _SHIFT[one]
            touched |= bits << _SHIFT[one]
            if "s" in what and what not in ("u", "g", "o"):
                special |= {"u": 0o4000, "g": 0o2000, "o": 0}[one]
            if operator == "=" and not is_dir:
                affected |= {"u": 0o4000, "g": 0o2000, "o": 0}[one]
    if "t" in what:
        special |= 0o1000
    match operator:
        case "+":
            return mode | touched | special
        case "-":
            return mode & ~(touched | special)
        case _:
            return mode & ~affected | touched | special


def parse(octal: int, symbolic: str = "") -> Change | None:
    """The change that `--chmod` asks for, None for none. Raises ValueError for what chmod would not understand."""
    if symbolic:
        if symbolic.isdigit():
            if not re.fullmatch(r"[0-7]{1,5}", symbolic) or int(symbolic, 8) > 0o7777:
                raise ValueError(f"invalid chmod parameter: '{symbolic}'. it should be octal string and between 0 and 07777")
            return Change(int(symbolic, 8))
        clauses: list[tuple[str, str, str]] = []
        for text in symbolic.split(","):
            found = _CLAUSE.match(text)
            if found is None:
                raise ValueError(f"invalid chmod parameter: '{symbolic}'")
            clauses += [(found[1], operator, what) for operator, what in _ACTION.findall(found[2])]
        return Change(clauses=tuple(clauses))
    return Change(octal & 0o7777) if octal >= 0 else None
