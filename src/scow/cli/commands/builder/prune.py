"""`scow builder prune` and `scow builder du`: the build cache."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.client.api import filters_param
from scow.errors import ScowError
from scow.units import human_size

_SURE = "Are you sure you want to continue? [y/N] "


def prune(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes build cache."""
    import sys

    everything = options.flag("all")
    filters: dict[str, dict[str, bool]] = {}
    for word in options.list("filter"):
        key, has, value = word.partition("=")
        if not has:
            raise ScowError(f'invalid argument "{word}" for "--filter" flag: invalid filter \'{word}\'')
        filters.setdefault(key.strip(), {})[value.strip()] = True
    if not options.flag("force"):
        what = "all build cache" if everything else "all dangling build cache"
        cli.out(f"WARNING! This will remove {what}. {_SURE}")
        cli.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    params = {"all": everything, "filters": filters_param(filters), "keep-storage": options.number("keep-storage") or None}
    params |= {flag: options.number(flag) or None for flag in ("reserved-space", "max-used-space", "min-free-space")}
    found = cli.client.post("/build/prune", params) or {}
    deleted = found.get("CachesDeleted") or []
    text = "Deleted build cache objects:\n" + "".join(f"{one}\n" for one in deleted) + "\n" if deleted else ""
    cli.out(f"{text}Total reclaimed space: {human_size(found.get('SpaceReclaimed') or 0)}\n")
    return 0


def du(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists the build cache."""
    from scow.units import human_duration, parse_rfc3339

    rows = (cli.client.get("/system/df", {"type": "build-cache"}) or {}).get("BuildCache") or []
    import time

    now = time.time_ns()

    def used(row: dict[str, Any]) -> str:
        text = row.get("LastUsedAt")
        if not text:
            return ""
        return human_duration(now - parse_rfc3339(str(text))) + " ago"

    wide = options.flag("verbose")
    table = [["ID", "TYPE", "RECLAIMABLE", "SIZE", "LAST ACCESSED", *(["DESCRIPTION"] if wide else [])]]
    for row in sorted(rows, key=lambda one: -(one.get("Size") or 0)):
        more = [str(row.get("Description") or "")] if wide else []
        reclaimable = "false" if row.get("InUse") else "true"
        table.append([str(row.get("ID")), str(row.get("Type")), reclaimable, human_size(row.get("Size") or 0), used(row), *more])
    widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
    for line in table:
        cli.out("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
    shared = sum(row.get("Size") or 0 for row in rows if row.get("Shared"))
    total = sum(row.get("Size") or 0 for row in rows)
    free = sum(row.get("Size") or 0 for row in rows if not row.get("InUse"))
    if shared:
        cli.out(f"Shared:\t\t{human_size(shared)}\nPrivate:\t{human_size(total - shared)}\n")
    cli.out(f"Reclaimable:\t{human_size(free)}\nTotal:\t\t{human_size(total)}\n")
    return 0


PRUNE = Command(
    " [OPTIONS]",
    "Remove build cache",
    (
        ("all", "a", "bool", False, "Remove all unused build cache, not only dangling"),
        ("filter", "", "filter", (), "Remove only what matches ('until=24h')"),
        ("force", "f", "bool", False, "Don't ask"),
        ("keep-storage", "", "bytes", 0, "Amount of cache to keep"),
        ("reserved-space", "", "bytes", 0, "Amount of cache that is always kept"),
        ("max-used-space", "", "bytes", 0, "Amount of cache that is removed down to"),
        ("min-free-space", "", "bytes", 0, "Free space on the disk that is aimed at"),
    ),
    prune,
    0,
    0,
)
DU = Command(" [OPTIONS]", "Show the build cache", (("verbose", "", "bool", False, "Say what each row is"),), du, 0, 0)
