"""`scow network exposed` and `scow network repair` (beyond docker: only scowd answers them)."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.format.table import show

HEADERS = {
    "Container": "CONTAINER ID",
    "Name": "NAME",
    "Network": "NETWORK",
    "Host": "HOST",
    "Port": "PORT",
    "Reach": "REACHED BY",
    "Sources": "SOURCES",
}
_REACH = {
    "world": "everybody",
    "host": "this host",
    "address": "who reaches the address",
    "user chain": "whom chain published lets in",
    "sources": "the sources",
}


def _host(row: dict[str, Any]) -> str:
    address = f"[{row['HostIp']}]" if ":" in row["HostIp"] else row["HostIp"]
    return f"{address}:{row['HostPort'] or '*'}"


def exposed(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists what can be reached, most exposed first unless all is asked for: ports of the host only are left out."""
    rows = []
    for one in cli.client.get("/scow/exposed") or []:
        if one["Reach"] == "host" and not options.flag("all"):
            continue
        rows.append(
            {
                "Container": one["Container"] if options.flag("no-trunc") else one["Container"][:12],
                "Name": one["Name"],
                "Network": one["Network"],
                "Host": _host(one),
                "Port": f"{one['Port'] or '*'}/{one['Protocol']}",
                "Reach": _REACH.get(one["Reach"], one["Reach"]),
                "Sources": ",".join(one["Sources"]) or "-",
            }
        )
    show(rows, options.text("format"), HEADERS, ("Name", "Network", "Host", "Port", "Reach", "Sources"), "")
    return 0


def repair(cli: Cli, options: Options, args: list[str]) -> int:
    """Repairs links and rules."""
    cli.client.post("/scow/networks/repair", None, None)
    return 0


EXPOSED = Command(
    " [OPTIONS]",
    "List what can be reached from outside: published ports, host networks, networks without protection",
    (
        ("all", "a", "bool", False, "Show ports that only this host reaches too"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-trunc", "", "bool", False, "Print in full length"),
    ),
    exposed,
    0,
    0,
)
REPAIR = Command("", "Make the kernel's networks equal to what the engine has stored", (), repair, 0, 0)
