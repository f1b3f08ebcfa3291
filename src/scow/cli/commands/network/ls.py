"""`scow network ls` and `rm`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, each
from scow.cli.format.table import parse_filters, short_id, show
from scow.client.api import filters_param, quote
from scow.errors import ScowError

HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which net2 comes before net10."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for char in text + "\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits[:18]), digits))
            digits = ""
        parts.append((1, ord(char), ""))
    return parts[:-1]


def _created(text: str) -> str:
    date, _, clock = text.partition("T")
    return f"{date} {clock.removesuffix('Z')} +0000 UTC" if clock.endswith("Z") else text


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists networks by name."""
    trunc = not options.flag("no-trunc")
    found = cli.client.get("/networks", {"filters": filters_param(parse_filters(options.list("filter")))}) or []
    rows = []
    for one in sorted(found, key=lambda network: natural(network.get("Name") or "")):
        labels = one.get("Labels") or {}
        rows.append(
            {
                "CreatedAt": _created(one.get("Created") or ""),
                "Driver": one.get("Driver"),
                "ID": short_id(one["Id"]) if trunc else one["Id"],
                "IPv4": "true" if one.get("EnableIPv4", True) else "false",
                "IPv6": "true" if one.get("EnableIPv6") else "false",
                "Internal": "true" if one.get("Internal") else "false",
                "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
                "Name": one.get("Name"),
                "Scope": one.get("Scope"),
                "Label": lambda key, labels=labels: labels.get(key, ""),
            }
        )
    fmt = options.text("format") or ("" if options.flag("quiet") else cli.setting("networksFormat"))
    show(
        rows,
        fmt,
        HEADERS,
        ("ID", "Name", "Driver", "Scope"),
        "ID" if options.flag("quiet") else "",
        ("network_id=ID", "name=Name", "driver=Driver", "scope=Scope"),
        "*network.networkContext",
    )
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes networks."""

    def act(name: str) -> str | None:
        try:
            cli.client.delete(f"/networks/{quote(name)}")
        except ScowError as exc:
            if options.flag("force") and getattr(exc, "status", 0) == 404:
                return ""
            raise
        return None

    return each(cli, args, act)


LS = Command(
    " [OPTIONS]",
    "List networks",
    (
        ("filter", "f", "filter", (), "Show only what matches ('driver=bridge')"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("quiet", "q", "bool", False, "Print only ids"),
    ),
    ls,
    0,
    0,
)
RM = Command(" NETWORK [NETWORK...]", "Remove one or more networks", (("force", "f", "bool", False, "Don't mind absent networks"),), rm, 1)
