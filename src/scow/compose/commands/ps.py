"""`ps`: the containers of a project."""

from __future__ import annotations

import time

from scow.cli.flags import Options
from scow.cli.format import container as rows
from scow.cli.format.table import render
from scow.client.api import container_path
from scow.client.transport import ApiError
from scow.compose.commands.verb import Verb
from scow.compose.observe import ContainerInfo
from scow.compose.session import Session
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")
HEADERS = {
    **rows.HEADERS,
    "Name": "NAME",
    "Service": "SERVICE",
    "Project": "PROJECT",
    "Health": "HEALTH",
    "ExitCode": "EXIT CODE",
    "Publishers": "PUBLISHERS",
}
COLUMNS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")


def publishers(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Published ports, sorted."""
    found = [
        {
            "URL": port.get("IP") or "",
            "TargetPort": port.get("PrivatePort") or 0,
            "PublishedPort": port.get("PublicPort") or 0,
            "Protocol": port.get("Type") or "",
        }
        for port in summary.get("Ports") or []
    ]
    return sorted(found, key=lambda one: (str(one["URL"]), one["TargetPort"], one["PublishedPort"], str(one["Protocol"])))


def row(session: Session, one: ContainerInfo, project: str, trunc: bool, exact: bool) -> dict[str, Any]:
    """The fields of a container; `exact` asks the engine for the exit code and health."""
    found = rows.row(one.summary, trunc, time.time())
    code, health = 0, one.health
    if one.state in ("exited", "dead"):
        text = str(one.summary.get("Status") or "")
        inner = text.partition("(")[2].partition(")")[0]
        code = int(inner) if inner.lstrip("-").isdigit() else _code(session, one) if exact else 0
    found |= {
        "Name": one.name,
        "Names": one.name,
        "Service": one.service,
        "Project": project,
        "State": one.state,
        "Health": health,
        "ExitCode": code,
        "Publishers": publishers(one.summary),
        "Platform": found.get("Platform") or "",
    }
    return found


def _code(session: Session, one: ContainerInfo) -> int:
    try:
        return int((session.client.get(container_path(one.id, "json")).get("State") or {}).get("ExitCode") or 0)
    except ApiError:
        return 0


def run(session: Session, options: Options, args: list[str]) -> int:
    """Prints the containers that run, or all."""
    status = list(options.list("status"))
    if options.text("filter"):
        key, sep, value = options.text("filter").partition("=")
        if not sep:
            raise ScowError("arguments to --filter should be in form KEY=VAL")
        if key == "status":
            status.append(value)
        elif key == "source":
            raise ScowError("the source filter is not supported any more")
        else:
            raise ScowError(f"unknown filter {key}")
    project, _, chosen = session.acting(args, everything=options.flag("all"))
    if not options.flag("orphans"):
        chosen = [one for one in chosen if one.service in project.services]
    if status:
        chosen = [one for one in chosen if one.state in status]
    elif not options.flag("all"):
        chosen = [one for one in chosen if one.running]
    chosen.sort(key=lambda one: one.name)
    if options.flag("quiet"):
        session.cli.out("".join(f"{one.id}\n" for one in chosen))
        return 0
    if options.flag("services"):
        session.cli.out("".join(f"{name}\n" for name in dict.fromkeys(one.service for one in chosen)))
        return 0
    form = options.text("format")
    found = [row(session, one, project.name, not options.flag("no-trunc"), form not in ("", "table")) for one in chosen]
    session.cli.out(render(found, form, HEADERS, COLUMNS, kind="*formatter.ContainerContext"))
    return 0


PS = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("all", "a", "bool", False, "Stopped containers and those of `run`, too"),
        ("filter", "", "string", "", "Only those with a property (status=running)"),
        ("format", "", "string", "table", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("orphans", "", "bool", True, "Containers of services that the files don't know, too"),
        ("quiet", "q", "bool", False, "Print IDs only"),
        ("services", "", "bool", False, "Print the services' names"),
        ("status", "", "stringArray", (), f"Only those in a state ({', '.join(STATES)})"),
    ),
    run,
)
