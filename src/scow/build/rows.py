"""The rows of the trees of the build cache, and who is found by what: by snapshot, equal layer, context key and parent, without a scan.

Stored: table `build_refs`. The indexes live in memory and are hints that every look-up holds against the row: a transaction that was undone
leaves nothing wrong behind. Callers: `refs.py`, and whoever it lends its `table` to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scow.metadata import Database

SNAPSHOT, LAYER, KEY, PARENT = "snapshot", "layer", "key", "parents"


def _terms(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in (SNAPSHOT, LAYER, KEY):
        if row.get(field):
            yield field, str(row[field])
    for parent in row[PARENT]:
        yield PARENT, str(parent)


class Rows:
    """The table with its indexes."""

    def __init__(self, db: Database) -> None:
        self._table = db.table("build_refs")
        self._ids: dict[tuple[str, str], set[str]] = {}
        for id, row in self._table.all().items():
            self._note(id, row)

    def _note(self, id: str, row: dict[str, Any]) -> None:
        for term in _terms(row):
            self._ids.setdefault(term, set()).add(id)

    def __contains__(self, id: str) -> bool:
        return id in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.keys())

    def __len__(self) -> int:
        return len(self._table)

    def all(self) -> dict[str, dict[str, Any]]:
        """Every row by id."""
        return self._table.all()

    def get(self, id: str) -> dict[str, Any] | None:
        """One row."""
        return self._table.get(id)

    def put(self, id: str, row: dict[str, Any]) -> None:
        """Write a row."""
        self._table.put(id, row)
        self._note(id, row)

    def delete(self, id: str) -> None:
        """Remove a row; absent is fine."""
        self._table.delete(id)

    def by(self, field: str, value: str) -> dict[str, dict[str, Any]]:
        """Rows by id that have `value` as (one of) their `field`: SNAPSHOT, LAYER, KEY or PARENT."""
        term = (field, value)
        found: dict[str, dict[str, Any]] = {}
        for id in tuple(self._ids.get(term, ())):
            row = self._table.get(id)
            if row is not None and term in _terms(row):
                found[id] = row
            else:
                self._ids[term].discard(id)
        if not found:
            self._ids.pop(term, None)
        return found
