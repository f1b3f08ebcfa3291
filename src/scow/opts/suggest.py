"""The nearest word to a mistyped one. Imported only when something was mistyped."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_WORD = 64


def distance(first: str, second: str) -> int:
    """Number of letters to change, add, drop, or swap with their neighbour."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for index, one in enumerate(first):
        older, before = before, row
        row = [index + 1]
        for at, other in enumerate(second):
            cost = min(before[at] + (one != other), before[at + 1] + 1, row[at] + 1)
            if index and at and one == second[at - 1] and other == first[index - 1]:
                cost = min(cost, older[at - 1] + 1)
            row.append(cost)
    return row[-1]


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that the typed one may stand for, best first."""
    if not word or len(word) > MAX_WORD:
        return []
    limit = 1 if len(word) < 4 else 2
    scored = []
    for one in set(known):
        off = distance(word.lower(), one)
        if len(word) > 1 and one.startswith(word.lower()):
            off = min(off, 1)
        if off <= limit and off < len(word):
            scored.append((off, one))
    return [one for _, one in sorted(scored)[:most]]


def text(found: list[str], lead: str = "") -> str:
    """The lines that offer them, "" for none."""
    return "\nDid you mean this?\n" + "".join(f"\t{lead}{one}\n" for one in found) if found else ""
