"""`scow system df`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import time

from scow.cli.command import Command
from scow.cli.format import container as rows
from scow.cli.format.table import layout, render, short_id
from scow.units import human_size

HEADERS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
RAW = ("type=Type", "total=TotalCount", "active=Active", "size=Size", "reclaimable=Reclaimable")
COLUMNS = ("Type", "TotalCount", "Active", "Size", "Reclaimable")


def _row(kind: str, total: int, active: int, size: int, free: int) -> dict[str, str]:
    share = f" ({free * 100 // size}%)" if size > 0 and kind != "Build Cache" else ""
    return {
        "Active": str(active),
        "Reclaimable": human_size(free) + share,
        "Size": human_size(size),
        "TotalCount": str(total),
        "Type": kind,
    }


def summary(usage: dict[str, Any]) -> list[dict[str, str]]:
    """The four rows: what there is, what is in use, and what could go."""
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    layers = usage.get("LayersSize") or 0
    used = sum(
        one.get("Size", 0) - one.get("SharedSize", 0) for one in images if one.get("Containers", 0) != 0 and one.get("SharedSize", 0) != -1
    )
    live = [one for one in containers if any(word in (one.get("State") or "") for word in ("running", "paused", "restarting"))]
    sizes = [one.get("SizeRw") or 0 for one in containers]
    usages = [one.get("UsageData") or {"Size": 0, "RefCount": 0} for one in volumes]
    kept = [one for one in cache if not one.get("Shared")]
    return [
        _row("Images", len(images), sum(1 for one in images if one.get("Containers", 0) > 0), layers, max(layers - used, 0)),
        _row("Containers", len(containers), len(live), sum(sizes), sum(sizes) - sum(one.get("SizeRw") or 0 for one in live)),
        _row(
            "Local Volumes",
            len(volumes),
            sum(1 for one in usages if one["RefCount"] > 0),
            sum(max(one["Size"], 0) for one in usages),
            sum(max(one["Size"], 0) for one in usages if one["RefCount"] == 0),
        ),
        _row(
            "Build Cache",
            len(cache),
            sum(1 for one in cache if one.get("InUse")),
            sum(one.get("Size", 0) for one in kept),
            sum(one.get("Size", 0) for one in kept if not one.get("InUse")),
        ),
    ]


def verbose(usage: dict[str, Any]) -> str:
    """The lists behind the rows."""
    from scow.cli.commands.image.ls import rows_of

    now = time.time()
    images = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for image in usage.get("Images") or []:
        images += [
            [
                row["Repository"],
                row["Tag"],
                row["ID"],
                row["CreatedSince"],
                row["Size"],
                row["SharedSize"],
                row["UniqueSize"],
                row["Containers"],
            ]
            for row in rows_of(image, False, True, now)
        ]
    containers = [["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"]]
    for one in usage.get("Containers") or []:
        row = rows.row(one, True, now)
        containers.append(
            [
                row["ID"],
                row["Image"],
                row["Command"],
                row["LocalVolumes"],
                human_size(one.get("SizeRw") or 0, 3),
                row["RunningFor"],
                row["Status"],
                row["Names"],
            ]
        )
    volumes = [["VOLUME NAME", "LINKS", "SIZE"]]
    for one in usage.get("Volumes") or []:
        data = one.get("UsageData")
        volumes.append([one["Name"], str(data["RefCount"]) if data else "N/A", human_size(data["Size"]) if data else "N/A"])
    cache = [["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]]
    cached = usage.get("BuildCache") or []
    cache += [
        [
            short_id(one.get("ID") or ""),
            one.get("Type") or "",
            human_size(one.get("Size") or 0, 3),
            "",
            "",
            str(one.get("UsageCount") or 0),
            "true" if one.get("Shared") else "false",
        ]
        for one in cached
    ]
    total = human_size(sum(one.get("Size") or 0 for one in cached))
    parts = (("Images space usage", images), ("Containers space usage", containers), ("Local Volumes space usage", volumes))
    text = "\n".join(f"{title}:\n\n{layout(lines)}" for title, lines in parts)
    text = f"{text}\nBuild cache usage: {total}\n\n{layout(cache)}"
    return text + storage(usage["Storage"]) if usage.get("Storage") else text


def storage(rows: list[dict[str, Any]]) -> str:
    """Where the bytes on the engine's disk are; the sum is what `du` says of its data directory."""
    lines = [["ON THE DISK", "SIZE", "RECLAIMABLE"]]
    lines += [[str(row["Name"]), human_size(row["Size"], 4), human_size(row.get("Reclaimable") or 0, 4)] for row in rows]
    lines.append(["Total", human_size(sum(row["Size"] for row in rows), 4), ""])
    return f"\nSpace on the engine's disk:\n\n{layout(lines)}"


def _lists(usage: dict[str, Any]) -> dict[str, Any]:
    """The objects as a template of `df -v` sees them: rows of texts, as the lists show them."""
    from scow.cli.commands.image.ls import rows_of
    from scow.cli.commands.volume.volume import row as volume_row

    now = time.time()

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if not callable(value)}

    return {
        "Images": [plain(row) for one in usage.get("Images") or [] for row in rows_of(one, False, False, now)],
        "Containers": [plain(rows.row(one, False, now)) for one in usage.get("Containers") or []],
        "Volumes": [plain(volume_row(one)) for one in usage.get("Volumes") or []],
        "BuildCache": [
            {
                "CacheType": one.get("Type") or "",
                "CreatedSince": "",
                "Description": one.get("Description") or "",
                "ID": one.get("ID") or "",
                "InUse": str(bool(one.get("InUse"))).lower(),
                "LastUsedSince": "",
                "Shared": str(bool(one.get("Shared"))).lower(),
                "Size": human_size(one.get("Size") or 0, 3),
                "UsageCount": str(one.get("UsageCount") or 0),
            }
            for one in usage.get("BuildCache") or []
        ],
    }


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows what takes space on the disk."""
    usage = cli.client.get("/system/df", {"storage": True} if options.flag("verbose") else {})
    fmt = options.text("format")
    if options.flag("verbose") and fmt in ("", "table"):
        cli.out(verbose(usage))
    elif options.flag("verbose"):
        shown = _lists(usage)
        cli.out(render([shown], fmt, {}, (), kind="*formatter.diskUsageContext"))
    else:
        cli.out(render(summary(usage), fmt, HEADERS, COLUMNS, raw=RAW, kind="*formatter.diskUsageImagesContext"))
    return 0


DF = Command(
    " [OPTIONS]",
    "Show docker disk usage",
    (
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("verbose", "v", "bool", False, "Show each object"),
    ),
    run,
    0,
    0,
)
