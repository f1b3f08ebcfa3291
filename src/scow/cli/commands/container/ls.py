"""`scow ps`."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists containers."""
    from scow.cli.format import container
    from scow.cli.format.table import layout, parse_filters, short_id, show
    from scow.client.api import filters_param

    fmt = options.text("format") or ("" if options.flag("quiet") else cli.setting("psFormat"))
    last = options.number("last")
    if options.flag("latest") and not options.given("last"):
        last = 1
    size = options.flag("size") or ".Size" in fmt
    found = cli.client.get(
        "/containers/json",
        {
            "all": options.flag("all"),
            "limit": last if last > 0 else None,
            "size": size,
            "filters": filters_param(parse_filters(options.list("filter"))),
        },
    )
    trunc = not options.flag("no-trunc")
    if options.flag("quiet") and fmt in ("", "table"):
        cli.out("".join((short_id(one["Id"]) if trunc else one["Id"]) + "\n" for one in found))
        return 0
    now = time.time()
    if fmt in ("", "table"):
        columns = [*container.COLUMNS, *(["Size"] if size else [])]
        rows = [[container.HEADERS[column] for column in columns]]
        rows += [container.table_row(one, trunc, now) + ([container.size_of(one)] if size else []) for one in found]
        cli.out(layout(rows))
        return 0
    show(
        [container.row(one, trunc, now) for one in found],
        fmt,
        container.HEADERS,
        container.COLUMNS,
        "ID" if options.flag("quiet") else "",
        container.RAW,
    )
    return 0


LS = Command(
    " [OPTIONS]",
    "List containers",
    (
        ("all", "a", "bool", False, "Show all containers, not only running ones"),
        ("filter", "f", "filter", (), "Show only what matches (key=value)"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("last", "n", "int", -1, "Show the last n created containers, in any state"),
        ("latest", "l", "bool", False, "Show the last created container, in any state"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("quiet", "q", "bool", False, "Print only ids"),
        ("size", "s", "bool", False, "Show sizes"),
    ),
    run,
    0,
    0,
)
