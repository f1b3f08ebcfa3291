"""The index of the build cache: which key made which trees.

Stored: table `build_cache`: key -> {"canonical", "refs", "partial"} (a record) or {"same": key} (another key of one). A record whose
trees have gone is forgotten. A *partial* key says "this work on these definitions, whatever the content": when no record has it, nobody
needs to compute content.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scow.build.solver.types import Ref, Result
from scow.metadata import Database


@dataclass(frozen=True, slots=True)
class Record:
    """A stored result. `canonical` stands for it in the keys of what is built on it."""

    key: str
    canonical: str
    refs: tuple[str, ...]
    """Ids of the trees, "" = an empty one."""


def combine(*parts: str | Iterable[str]) -> str:
    """One key of several."""
    hasher = hashlib.sha256()
    for part in parts:
        for one in (part,) if isinstance(part, str) else part:
            data = one.encode("utf-8", "surrogateescape")
            hasher.update(b"%d:" % len(data) + data)
        hasher.update(b";")
    return hasher.hexdigest()


class CacheStore:
    """Records by key. `find` gives a tree of an id, None when it has gone; `add_remote` asks imported caches."""

    def __init__(self, db: Database, find: Callable[[str], Ref | None]) -> None:
        self._db = db
        self._table = db.table("build_cache")
        self._find = find
        self._partials: Counter[str] = Counter()
        self._users: dict[str, set[str]] = {}
        for key, row in self._table.all().items():
            self._index(key, row.get("partial", ""), row.get("refs", ()))

    def _index(self, key: str, partial: str, refs: Sequence[str]) -> None:
        if partial:
            self._partials[partial] += 1
        for ref in refs:
            self._users.setdefault(ref, set()).add(key)

    def find(self, key: str) -> Record | None:
        """The record of a key whose trees are all there."""
        row = self._table.get(key)
        if row is not None and "same" in row:
            key = str(row["same"])
            row = self._table.get(key)
        if row is None or "refs" not in row:
            return None
        record = Record(key, str(row["canonical"]), tuple(str(ref) for ref in row["refs"]))
        if any(ref and self._find(ref) is None for ref in record.refs):
            self.forget(key)
            return None
        return record

    def results(self, record: Record) -> list[Result]:
        """The trees of a record that was found."""
        return [self._find(ref) if ref else None for ref in record.refs]

    def possible(self, partial: str) -> bool:
        """Whether any record was made by this work on these definitions."""
        return self._partials[partial] > 0

    def save(self, key: str, canonical: str, partial: str, results: Sequence[Result]) -> None:
        """Remember a result; an older one of the key is forgotten."""
        self.forget(key)
        refs = [result.id if result is not None else "" for result in results]
        self._table.put(key, {"canonical": canonical, "refs": refs, "partial": partial, "at": time.time_ns()})
        self._index(key, partial, refs)

    def alias(self, key: str, same: str) -> None:
        """`key` leads to the record `same`, too."""
        if key != same:
            self._table.put(key, {"same": same})

    def forget(self, key: str) -> None:
        """Drop a record; absent is fine."""
        row = self._table.get(key)
        if row is None:
            return
        self._table.delete(key)
        if partial := row.get("partial", ""):
            self._partials[partial] -= 1
            self._partials = +self._partials
        for ref in row.get("refs", ()):
            self._users.get(ref, set()).discard(key)

    def removed(self, ref: str) -> None:
        """A tree has gone: so have the records that name it."""
        for key in self._users.pop(ref, set()):
            self.forget(key)

    def uses(self, ref: str) -> bool:
        """Whether a record leads to the tree."""
        return bool(self._users.get(ref))

    def recover(self) -> int:
        """Drop records whose trees are not there, and keys that lead nowhere; how many."""
        dropped = 0
        with self._db.update():
            for key, row in self._table.all().items():
                if "refs" in row and any(ref and self._find(ref) is None for ref in row["refs"]):
                    self.forget(key)
                    dropped += 1
            rows = self._table.all()
            for key, row in rows.items():
                if "same" in row and row["same"] not in rows:
                    self._table.delete(key)
                    dropped += 1
        return dropped
