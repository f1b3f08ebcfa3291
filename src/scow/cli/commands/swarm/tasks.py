"""The table of tasks, which `service ps`, `node ps` and `stack ps` print; names of services and nodes by their ids."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options

from scow.cli.format.table import ellipsis, show
from scow.client.api import quote
from scow.client.transport import ApiError
from scow.units import human_duration, parse_rfc3339

HEADERS = {
    "ID": "ID",
    "Name": "NAME",
    "Image": "IMAGE",
    "Node": "NODE",
    "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE",
    "Error": "ERROR",
    "Ports": "PORTS",
}
COLUMNS = ("ID", "Name", "Image", "Node", "DesiredState", "CurrentState", "Error", "Ports")
RAW: tuple[str, ...] = (
    *("id=ID", "name=Name", "image=Image", "node=Node", "desired_state=DesiredState", "current_state=CurrentState"),
    *("error=Error", "ports=Ports"),
)
SHORT = 12
_ERROR_WIDTH = 30
FLAGS: tuple[Flag, ...] = (
    ("filter", "f", "filter", (), "Show only what matches ('desired-state=running')"),
    ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
    ("no-resolve", "", "bool", False, "Show ids in the place of names"),
    ("no-trunc", "", "bool", False, "Print in full length"),
    ("quiet", "q", "bool", False, "Print only ids"),
)


class Names:
    """Names of services and nodes; each is asked for once. Gone ones keep their id, as all do with `resolve` False."""

    def __init__(self, cli: Cli, resolve: bool = True) -> None:
        self._cli = cli
        self._resolve = resolve
        self._known: dict[tuple[str, str], str] = {}

    def service(self, ident: str) -> str:
        """A service's name."""
        return self._of("services", ident)

    def node(self, ident: str) -> str:
        """A node's name: its label `name`… where it has one, else the host's."""
        return self._of("nodes", ident)

    def _of(self, kind: str, ident: str) -> str:
        if not self._resolve or not ident:
            return ident
        key = (kind, ident)
        if key not in self._known:
            try:
                facts = self._cli.client.get(f"/{kind}/{quote(ident)}")
            except ApiError:
                self._known[key] = ident
            else:
                spec = facts.get("Spec") or {}
                name = spec.get("Name") or (facts.get("Description") or {}).get("Hostname") or ident
                self._known[key] = str(name)
        return self._known[key]


def ago(stamp: str) -> str:
    """`3 seconds ago` of a time stamp."""
    try:
        return human_duration(time.time_ns() - parse_rfc3339(stamp)) + " ago"
    except ValueError:
        return ""


def task_name(task: dict[str, Any], names: Names) -> str:
    """`web.1`, or `web.<node's id>` of a global service."""
    service = names.service(task.get("ServiceID") or "")
    return f"{service}.{task['Slot']}" if task.get("Slot") else f"{service}.{task.get('NodeID') or ''}"


def image_name(image: str) -> str:
    """An image without the digest that stands behind its tag."""
    name, at, _ = image.partition("@")
    return name if at and ":" in name.rpartition("/")[2] else image


def _ports(task: dict[str, Any]) -> str:
    ports = ((task.get("Status") or {}).get("PortStatus") or {}).get("Ports") or []
    return ",".join(f"*:{one.get('PublishedPort')}->{one.get('TargetPort')}/{one.get('Protocol')}" for one in ports)


def rows(tasks: list[dict[str, Any]], names: Names, trunc: bool, plain: bool = False) -> list[dict[str, Any]]:
    """Rows in docker's order: by name, the newest of a slot first and the older ones below it; `plain` leaves the marks out."""
    from scow.cli.commands.network.ls import natural

    named = [(task_name(task, names), task) for task in tasks]
    named.sort(key=lambda pair: str(pair[1].get("CreatedAt") or ""), reverse=True)
    named.sort(key=lambda pair: natural(pair[0]))
    found = []
    before = ""
    for name, task in named:
        status = task.get("Status") or {}
        error = status.get("Err") or ""
        if error and trunc:
            error = ellipsis(error.replace("\n", " "), _ERROR_WIDTH)
        image = ((task.get("Spec") or {}).get("ContainerSpec") or {}).get("Image") or ""
        found.append(
            {
                "ID": task["ID"][:SHORT] if trunc else task["ID"],
                "Name": f" \\_ {name}" if name == before and not plain else name,
                "Image": image_name(image) if trunc else image,
                "Node": names.node(task.get("NodeID") or ""),
                "DesiredState": (task.get("DesiredState") or "").title(),
                "CurrentState": f"{(status.get('State') or '').title()} {ago(status.get('Timestamp') or '').lower()}".strip(),
                "Error": f'"{error}"' if error else "",
                "Ports": _ports(task),
            }
        )
        before = name
    return found


def display(cli: Cli, options: Options, tasks: list[dict[str, Any]], names: Names, whole: bool = False) -> None:
    """Prints tasks as the flags of `ps` ask; `whole` ids with -q, as docker's `service ps` does."""
    quiet = options.flag("quiet")
    fmt = options.text("format") or ("" if quiet else cli.setting("tasksFormat"))
    found = rows(tasks, names, not options.flag("no-trunc") and not (whole and quiet), bool(fmt) and not fmt.startswith("table"))
    show(found, fmt, HEADERS, COLUMNS, "ID" if quiet else "", RAW, "*task.taskContext")
