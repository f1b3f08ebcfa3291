"""`events`: what happens to a project's containers."""

from __future__ import annotations

import time

from scow import fastjson
from scow.cli.flags import Options
from scow.cli.times import api_timestamp
from scow.client.api import filters_param
from scow.compose import labels
from scow.compose.commands.verb import Verb
from scow.compose.session import Session

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

_SKIPPED = ("top", "exec_create", "exec_start", "exec_die")


def run(session: Session, options: Options, args: list[str]) -> int:
    """Prints events as they come."""
    _, name = session.known()
    wanted = {"label": {labels.of_project(name): True}, "type": {"container": True}}
    params = {
        "filters": filters_param(wanted),
        "since": api_timestamp(options.text("since")),
        "until": api_timestamp(options.text("until")),
    }
    for event in session.client.stream("GET", "/events", params):
        action = str(event.get("Action") or "")
        attributes: dict[str, Any] = dict((event.get("Actor") or {}).get("Attributes") or {})
        service = str(attributes.get(labels.SERVICE) or "")
        oneoff = str(attributes.get(labels.ONEOFF) or "").lower() == "true"
        if oneoff or (args and service not in args) or action.split(":")[0] in _SKIPPED:
            continue
        shown = {key: value for key, value in attributes.items() if not key.startswith(labels.PREFIX)}
        nanos = int(event.get("timeNano") or 0)
        moment = time.localtime(nanos // 1_000_000_000)
        ident = str((event.get("Actor") or {}).get("ID") or "")
        if options.flag("json"):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment) + f".{nanos % 1_000_000_000:09d}"
            zone = time.strftime("%z", moment)
            row = {
                "action": action,
                "attributes": shown,
                "id": ident,
                "service": service,
                "time": stamp + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"),
                "type": "container",
            }
            session.cli.out(fastjson.dumps(row) + "\n")
        else:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", moment) + f".{nanos % 1_000_000_000 // 1000:06d}"
            words = ", ".join(f"{key}={shown[key]}" for key in sorted(shown))
            session.cli.out(f"{stamp} container {action} {ident} ({words})\n")
        session.cli.flush()
    return 0


EVENTS = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("json", "", "bool", False, "As JSON objects, one a line"),
        ("since", "", "string", "", "What happened after a time"),
        ("until", "", "string", "", "What happened before a time"),
    ),
    run,
)
