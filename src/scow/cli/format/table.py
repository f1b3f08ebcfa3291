"""Columns and templates: docker's `--format` in all its forms (table, `table TEMPLATE`, json, TEMPLATE, raw), over rows of ready fields.

A row is a dict field → value; values that are functions take arguments (`.Label "x"`) and are left out of json.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Row = dict[str, Any]

from scow.errors import ScowError

PADDING = 3
MINIMUM = 10


def layout(rows: Sequence[Sequence[str]], minimum: int = MINIMUM) -> str:
    """Aligned columns as docker prints them; the last cell of a line is not padded. Lines with fewer cells end a column."""
    widths: dict[tuple[int, int], int] = {}
    blocks: list[list[int]] = []
    previous: list[int] = []
    ident = 0
    for cells in rows:
        current: list[int] = []
        for column in range(len(cells) - 1):
            if column < len(previous) and current == previous[:column]:
                block = previous[column]
            else:
                ident += 1
                block = ident
            current.append(block)
            key = (column, block)
            widths[key] = max(widths.get(key, minimum), len(cells[column]) + PADDING)
        blocks.append(current)
        previous = current
    lines = []
    for cells, owners in zip(rows, blocks, strict=True):
        text = "".join(cell.ljust(widths[column, owner]) for column, (cell, owner) in enumerate(zip(cells, owners, strict=False)))
        lines.append(text + (cells[-1] if cells else "") + "\n")
    return "".join(lines)


def show(
    rows: Iterable[Row], fmt: str, headers: dict[str, str], columns: Sequence[str], quiet: str = "", raw: Sequence[str] = (), kind: str = ""
) -> None:
    """Prints rows: `columns` are the fields of the default table, `headers` their titles, `quiet` the field that -q prints, `kind`
    what errors call a row."""
    sys.stdout.write(render(rows, fmt, headers, columns, quiet, raw, kind))


def render(
    rows: Iterable[Row], fmt: str, headers: dict[str, str], columns: Sequence[str], quiet: str = "", raw: Sequence[str] = (), kind: str = ""
) -> str:
    """The text that `show` prints. Raises TemplateError."""
    if fmt in ("", "table"):
        if quiet:
            return "".join(f"{row[quiet]}\n" for row in rows)
        cells = [[headers[column] for column in columns]]
        cells += [[_cell(row[column]) for column in columns] for row in rows]
        return layout(cells)
    if quiet and fmt == "raw":
        return "".join(f"{quiet.lower()}: {row[quiet]}\n" for row in rows)
    if fmt in ("json", "{{json .}}"):
        return "".join(_json(row) + "\n" for row in rows)
    if fmt == "raw":
        return "".join("".join(f"{name}: {row[field]}\n" for name, field in (one.split("=") for one in raw)) + "\n" for row in rows)
    from scow.gotemplate import Template, TemplateError

    table = fmt.startswith("table")
    text = fmt[5:].strip() if table else fmt
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    template = Template(text)
    try:
        lines = [template.render(row, "error", kind=kind) for row in rows]
    except TemplateError as exc:
        raise TemplateError(f"template parsing error: {exc.message}") from None
    if not table:
        return "".join(line + "\n" for line in lines)
    titles: dict[str, Any] = dict(headers)
    titles["Label"] = lambda key: key.rpartition(".")[2].replace("-", " ").replace("_", " ") if key else ""
    heads = Template(text, {name: _title for name in ("json", "truncate", "lower", "upper", "split", "join", "title", "pad")})
    return layout([cells.split("\t") for line in (heads.render(titles), *lines) for cells in line.split("\n")])


def _title(value: object, *_: object) -> str:
    return value if isinstance(value, str) else ""


def _json(row: Row) -> str:
    """A row as Go writes it: letters that HTML knows are escaped."""
    from scow.fastjson import dumps

    text = dumps({key: row[key] for key in sorted(row) if not callable(row[key])})
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cell(value: object) -> str:
    if not isinstance(value, str):
        from scow.gotemplate import go_print

        return go_print(value)
    return value.replace("\n", " ") if "\n" in value else value


def ellipsis(text: str, width: int) -> str:
    """At most `width` characters, the last one `…` where something was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"


def short_id(text: str) -> str:
    """Twelve digits of an id, without `sha256:`."""
    return text.removeprefix("sha256:")[:12]


def parse_filters(words: list[str]) -> dict[str, dict[str, bool]]:
    """`--filter` words. Raises ScowError with docker's text."""
    from scow.client.api import filters

    try:
        return filters([word for word in words if word])
    except ValueError as exc:
        raise ScowError(f'invalid argument "{exc}" for "-f, --filter" flag: invalid filter \'{exc}\'') from None
