"""What the build cache takes and how it is kept small: rows for `system df` and `buildx du`, prune with filters, the gc policy.

Nothing stored of its own (rows are `refs.py`'s). Filters are BuildKit's: `until`/`unused-for`, `id`, `parent(s)`, `type`,
`description`, `inuse`, `mutable`, `immutable`, `shared`, `private`.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scow import aio, log, units
from scow.build import refs as kinds
from scow.build.refs import Refs
from scow.errors import InvalidArgument

logger = log.get(__name__)

_HOUR = 3600 * 1_000_000_000
_GC_DELAY = 60.0
ACCEPTED = frozenset({
    "until", "unused-for", "id", "parent", "parents", "type", "description", "inuse", "mutable", "immutable", "shared", "private",
    "dangling", "label", "label!",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prune:
    """What to remove: trees that match `filters` (each key: any of the values), least used first, until the rest fits. Bytes, 0 = no
    bound."""

    all: bool = False
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unused_ns: int = 0
    reserved: int = 0
    """Keep this much (keep-storage)."""
    max_used: int = 0
    min_free: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One tree as users see it."""

    id: str
    parents: tuple[str, ...]
    type: str
    description: str
    in_use: bool
    shared: bool
    mutable: bool
    size: int
    created_ns: int
    used_ns: int
    count: int

    def view(self) -> dict[str, Any]:
        """Docker's BuildCache object."""
        found: dict[str, Any] = {"ID": self.id}
        if self.parents:
            found["Parents"] = list(self.parents)
        return found | {
            "Type": self.type,
            "Description": self.description,
            "InUse": self.in_use,
            "Shared": self.shared,
            "Size": self.size,
            "CreatedAt": units.rfc3339nano(self.created_ns),
            "LastUsedAt": units.rfc3339nano(self.used_ns) if self.used_ns else None,
            "UsageCount": self.count,
        }


def _switch(values: Sequence[str]) -> bool:
    return not values or values[0].lower() in ("", "1", "true", "t")


def matches(row: Row, filters: Mapping[str, Sequence[str]], now: int) -> bool:
    """Whether a tree fits all filters. Raises InvalidArgument for a value that makes no sense."""
    for key, values in filters.items():
        match key.removesuffix("!"):
            case "until" | "unused-for":
                ok = any(now - row.used_ns > _duration(value) for value in values)
            case "id":
                ok = any(_text(value, row.id) for value in values)
            case "parent" | "parents":
                ok = any(_text(value, parent) for value in values for parent in row.parents)
            case "type":
                ok = any(_text(value, row.type) for value in values)
            case "description":
                ok = any(_text(value, row.description) for value in values)
            case "inuse":
                ok = row.in_use == _switch(values)
            case "mutable":
                ok = row.mutable == _switch(values)
            case "immutable":
                ok = row.mutable != _switch(values)
            case "shared":
                ok = row.shared == _switch(values)
            case "private":
                ok = row.shared != _switch(values)
            case "dangling":
                ok = True
            case _:
                ok = False
        if ok == key.endswith("!"):
            return False
    return True


def _text(wanted: str, value: str) -> bool:
    if wanted.startswith("~="):
        if len(wanted) > 200:
            raise InvalidArgument("a filter's pattern is too long")
        try:
            return bool(re.search(wanted[2:], value))
        except re.error as error:
            raise InvalidArgument(f"invalid filter pattern {wanted[2:]!r}: {error}") from None
    return wanted.removeprefix("==") == value


def _duration(text: str) -> int:
    try:
        return units.parse_duration(text)
    except (ValueError, InvalidArgument):
        pass
    try:
        return max(0, time.time_ns() - units.parse_timestamp(text))
    except (ValueError, InvalidArgument):
        raise InvalidArgument(f"invalid filter 'until={text}': a duration like 24h is needed") from None


class Usage:
    """Rows and removal."""

    def __init__(self, refs: Refs) -> None:
        self._refs = refs
        self.policy: tuple[Prune, ...] = ()
        self._tasks = aio.Supervisor("build gc")
        self._waiting: asyncio.Task[None] | None = None
        self._pruning = asyncio.Lock()

    async def rows(self) -> list[Row]:
        """Every tree, the newest last."""
        table = self._refs.table
        await self._refs.sizes(list(table))
        shared = {name for image in self._refs.images.store.all() for name in image.layers}
        found = []
        for id, row in table.all().items():
            found.append(
                Row(
                    id,
                    tuple(row["parents"]),
                    str(row["type"]),
                    str(row["description"]),
                    self._refs.held(id),
                    str(row["snapshot"]) in shared,
                    bool(row["dir"]),
                    max(0, int(row["size"])),
                    int(row["created"]),
                    int(row["used"]),
                    int(row["count"]),
                )
            )
        return found

    async def prune(self, what: Prune) -> list[Row]:
        """Remove what fits, least recently used first and never one that another stands on or a build uses. The removed rows."""
        async with self._pruning:
            return await self._prune(what)

    async def _prune(self, what: Prune) -> list[Row]:
        rows = await self.rows()
        now = time.time_ns()
        known = {row.id: row for row in rows}
        total = sum(row.size for row in rows if not row.shared)
        removed: list[Row] = []
        bounded = bool(what.reserved or what.max_used or what.min_free)
        candidates = {
            row.id
            for row in rows
            if matches(row, what.filters, now)
            and now - row.used_ns >= what.unused_ns
            and (what.all or not (row.shared or row.type in (kinds.INTERNAL, kinds.FRONTEND)))
        }
        standing = Counter(parent for row in rows for parent in row.parents)
        while candidates:
            if bounded and not self._exceeds(what, total):
                break
            free = [known[id] for id in candidates if not standing[id]]
            if not free:
                break
            row = min(free, key=lambda one: one.used_ns)
            candidates.discard(row.id)
            if self._refs.held(row.id) or self._refs.carries(row.id):  # a build has come upon it meanwhile
                continue
            await self._refs.remove(row.id)
            standing.subtract(row.parents)
            removed.append(row)
            if not row.shared:
                total -= row.size
        return removed

    def _exceeds(self, what: Prune, total: int) -> bool:
        if total <= what.reserved:
            return False
        if what.max_used or what.min_free:
            over = bool(what.max_used) and total > what.max_used
            if what.min_free:
                disk = os.statvfs(self._refs.run.parent if not self._refs.run.exists() else self._refs.directory(0).parent.parent)
                over = over or disk.f_bavail * disk.f_frsize < what.min_free
            return over
        return True

    def gc_later(self) -> None:
        """Apply the policy in a while, once for all builds that end until then."""
        if self.policy and (self._waiting is None or self._waiting.done()):
            self._waiting = self._tasks.start(self._gc(), "gc")

    async def _gc(self) -> None:
        await asyncio.sleep(_GC_DELAY)
        await self.gc()

    async def gc(self) -> None:
        """Apply the policy now."""
        for rule in self.policy:
            removed = await self.prune(rule)
            if removed:
                logger.info("build cache: %d trees removed, %d bytes", len(removed), sum(row.size for row in removed))

    async def close(self) -> None:
        """End the waiting."""
        await self._tasks.close()


def policy(config: Mapping[str, Any], disk: int) -> tuple[Prune, ...]:
    """The rules of `builder.gc` in the daemon's file (`disk`: bytes of the file system): its own, or those that Docker has when there
    are none.

    Raises InvalidArgument."""
    gc = config.get("gc") or {}
    if not isinstance(gc, Mapping):
        raise InvalidArgument("builder.gc must be an object")
    if gc.get("enabled") is False:
        return ()
    keep = _size(gc.get("defaultReservedSpace") or gc.get("defaultKeepStorage") or "", min(disk // 10, 20 << 30))
    given = gc.get("policy") or ()
    if given:
        return tuple(_rule(one, keep) for one in given)
    temporary = {"type": (kinds.SOURCE, kinds.CACHE_MOUNT, kinds.GIT)}
    return (
        Prune(filters=temporary, unused_ns=48 * _HOUR, reserved=min(keep, 512 << 20)),
        Prune(unused_ns=60 * 24 * _HOUR, reserved=keep),
        Prune(reserved=keep),
        Prune(all=True, reserved=keep),
    )


def entitlements(config: Mapping[str, Any]) -> frozenset[str]:
    """What builds may ask for, by `builder.entitlements` of the daemon's file: the host's network unless it is forbidden, an insecure step
    when it is allowed. Raises InvalidArgument."""
    given = config.get("entitlements") or {}
    if not isinstance(given, Mapping):
        raise InvalidArgument("builder.entitlements must be an object")
    found = set()
    for key, name, default in (("network-host", "network.host", True), ("security-insecure", "security.insecure", False)):
        value = given.get(key, default)
        if not isinstance(value, bool):
            raise InvalidArgument(f"builder.entitlements.{key} must be true or false")
        if value:
            found.add(name)
    return frozenset(found)


def _rule(given: Any, keep: int) -> Prune:
    if not isinstance(given, Mapping):
        raise InvalidArgument("builder.gc.policy must be a list of objects")
    filters: dict[str, list[str]] = {}
    listed = given.get("filter") or ()
    if isinstance(listed, Mapping):
        filters = {str(key): [str(one) for one in values] for key, values in listed.items()}
    else:
        for text in listed:
            key, _, value = str(text).partition("=")
            filters.setdefault(key, []).append(value)
    unknown = set(filters) - ACCEPTED
    if unknown:
        raise InvalidArgument(f"builder.gc.policy: unknown filter {sorted(unknown)[0]!r}")
    return Prune(
        all=bool(given.get("all")),
        filters=filters,
        reserved=_size(given.get("reservedSpace") or given.get("keepStorage") or "", keep),
        max_used=_size(given.get("maxUsedSpace") or "", 0),
        min_free=_size(given.get("minFreeSpace") or "", 0),
    )


def _size(given: Any, default: int) -> int:
    if given == "" or given is None:
        return default
    return given if isinstance(given, int) else int(units.parse_size(str(given)))
