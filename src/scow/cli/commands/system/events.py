"""`scow events`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import time

from scow.cli.command import Command, ExitCode
from scow.cli.format.table import parse_filters
from scow.cli.times import api_timestamp
from scow.client.api import filters_param


def line_of(event: dict[str, Any]) -> str:
    """`2024-01-01T00:00:00.000000000Z container create <id> (image=x, name=y)`."""
    nanos = event.get("timeNano") or (event.get("time") or 0) * 1_000_000_000
    moment = time.localtime(nanos // 1_000_000_000)
    zone = time.strftime("%z", moment)
    stamp = (
        time.strftime("%Y-%m-%dT%H:%M:%S", moment)
        + f".{nanos % 1_000_000_000:09d}"
        + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")
    )
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    words = f"{stamp} {event.get('Type')} {event.get('Action')} {actor.get('ID')}"
    if attributes:
        words += " (" + ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes)) + ")"
    return words


def _fields(event: dict[str, Any]) -> dict[str, Any]:
    """What a template may name: Go's fields."""
    actor = event.get("Actor") or {}
    return {
        "Status": event.get("status") or "",
        "ID": event.get("id") or "",
        "From": event.get("from") or "",
        "Type": event.get("Type") or "",
        "Action": event.get("Action") or "",
        "Actor": {"ID": actor.get("ID") or "", "Attributes": actor.get("Attributes") or {}},
        "Scope": event.get("scope") or "",
        "Time": event.get("time") or 0,
        "TimeNano": event.get("timeNano") or 0,
    }


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints events as they come, until the given end."""
    import sys

    params = {
        "since": api_timestamp(options.text("since")),
        "until": api_timestamp(options.text("until")),
        "filters": filters_param(parse_filters(options.list("filter"))),
    }
    fmt = options.text("format")
    if fmt == "{{json .}}":  # as the engine wrote it, not by the names of fields
        fmt = "json"
    template = None
    if fmt and fmt != "json":
        from scow.gotemplate import Template, TemplateError

        try:
            template = Template(fmt.replace("\\t", "\t").replace("\\n", "\n"))
            template.render(_fields({}), "error", kind="*events.Message", maps=("Attributes",))
        except TemplateError as exc:
            raise ExitCode(64, f"Error parsing format: {exc.message.removeprefix('template parsing error: ')}") from None
    elif fmt:
        from scow.fastjson import dumps
    for event in cli.client.stream("GET", "/events", params):
        if template is not None:
            cli.out(template.render(_fields(event), "error", maps=("Attributes",)) + "\n")
        else:
            cli.out((dumps(event) if fmt else line_of(event)) + "\n")
        sys.stdout.flush()
    return 0


EVENTS = Command(
    " [OPTIONS]",
    "Get real time events from the server",
    (
        ("filter", "f", "filter", (), "Show only what matches"),
        ("format", "", "string", "", "Format of the output: json, or a Go template"),
        ("since", "", "string", "", "Start with the events of that time"),
        ("until", "", "string", "", "End at that time"),
    ),
    run,
    0,
    0,
)
