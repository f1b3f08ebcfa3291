"""`scow ps`."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options
    from scow.cli.format.table import Row

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
    size = options.flag("size") or ".Size" in fmt or "json .}" in fmt or "json . " in fmt
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
    if options.flag("quiet") and fmt not in ("", "table"):
        cli.err("WARNING: Ignoring custom format, because both --format and --quiet are set.\n")
    if options.flag("quiet"):
        cli.out("".join((short_id(one["Id"]) if trunc else one["Id"]) + "\n" for one in found))
        return 0
    now = time.time()
    if fmt in ("", "table"):
        columns = [*container.COLUMNS, *(["Size"] if size else [])]
        rows = [[container.HEADERS[column] for column in columns]]
        rows += [container.table_row(one, trunc, now) + ([container.size_of(one)] if size else []) for one in found]
        cli.out(layout(rows))
        return 0
    full = [container.row(one, trunc, now) for one in found]
    from scow.errors import InvalidArgument

    try:
        if not full:
            _check(fmt, container.row({"Id": ""}, trunc, now))
        show(full, fmt, container.HEADERS, container.COLUMNS, "", container.RAW)
    except InvalidArgument:
        _check(fmt, container.row({"Id": ""}, trunc, now))
        raise
    return 0


def _check(fmt: str, empty: Row) -> None:
    """docker looks at the fields of a template before it asks for containers. Raises ScowError for fields that ps has not."""
    if fmt in ("json", "raw"):
        return
    from scow.errors import ScowError
    from scow.gotemplate import Template, TemplateError

    try:
        Template(fmt).render(empty, "error", kind="*formatter.ContainerContext")
    except TemplateError as exc:
        lead = "template parsing error: "
        if exc.message.startswith(lead):
            raise ScowError(f"failed to parse template: {exc.message.removeprefix(lead)}") from None
        if "can't evaluate field" in exc.message:
            raise ScowError(f"failed to execute template: {exc.message}") from None


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
