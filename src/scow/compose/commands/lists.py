"""`ls`, `images`, `volumes`, `port`, `top` and `stats`: looking at what there is."""

from __future__ import annotations

from scow import fastjson
from scow.cli.flags import Options
from scow.cli.format.table import layout, parse_filters, render, short_id
from scow.client.api import container_path, filters_param, image_path
from scow.client.transport import ApiError
from scow.compose import labels, observe
from scow.compose.commands.exec import options_of
from scow.compose.commands.verb import Verb
from scow.compose.observe import ContainerInfo
from scow.compose.session import Session
from scow.errors import ScowError
from scow.units import human_size

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


def ls(session: Session, options: Options, args: list[str]) -> int:
    """Lists projects."""
    filters = parse_filters(options.list("filter"))
    if filters.keys() - {"name"}:
        raise ScowError(f"invalid filter '{min(filters.keys() - {'name'})}'")
    wanted = filters_param({"label": {labels.PROJECT: True, labels.HASH: True}})
    found: dict[str, list[dict[str, Any]]] = {}
    for one in session.client.get("/containers/json", {"all": options.flag("all"), "filters": wanted}) or []:
        found.setdefault((one.get("Labels") or {}).get(labels.PROJECT, ""), []).append(one)
    rows = []
    for name in sorted(found):
        if filters.get("name") and not any(part in name for part in filters["name"]):
            continue
        states: dict[str, int] = {}
        for one in found[name]:
            states[str(one.get("State"))] = states.get(str(one.get("State")), 0) + 1
        files: dict[str, None] = {}
        for one in found[name]:
            files.update(dict.fromkeys(str((one.get("Labels") or {}).get(labels.FILES) or "N/A").split(",")))
        if len(files) > 1:
            files.pop("N/A", None)
        status = ", ".join(f"{state}({count})" for state, count in sorted(states.items()))
        rows.append({"Name": name, "Status": status, "ConfigFiles": ",".join(files)})
    if options.flag("quiet"):
        session.cli.out("".join(f"{one['Name']}\n" for one in rows))
        return 0
    _show(session, rows, options.text("format"), {"Name": "NAME", "Status": "STATUS", "ConfigFiles": "CONFIG FILES"})
    return 0


def _show(session: Session, rows: list[dict[str, Any]], form: str, headers: dict[str, str]) -> None:
    if form == "json":
        session.cli.out(fastjson.dumps(rows) + "\n")
    elif form in ("", "table", "pretty"):
        cells = [[str(one[name]) for name in headers] for one in rows]
        session.cli.out(layout([list(headers.values()), *cells], minimum=20))
    else:
        raise ScowError(f'format value "{form}" could not be parsed: use table or json')


def images(session: Session, options: Options, args: list[str]) -> int:
    """Lists the images of containers."""
    _, _, chosen = session.acting(args, everything=True)
    known: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for one in sorted(chosen, key=lambda one: one.name):
        ident = str(one.summary.get("ImageID") or "")
        if ident not in known:
            try:
                known[ident] = session.client.get(image_path(ident, "json"))
            except ApiError:
                known[ident] = {}
        facts = known[ident]
        name, tag = _named(str(one.summary.get("Image") or ""), facts)
        size = facts.get("Size") or 0
        rows.append({"ID": ident, "ContainerName": one.name, "Repository": name, "Tag": tag, "Size": size})
    if options.flag("quiet"):
        session.cli.out("".join(f"{ident}\n" for ident in dict.fromkeys(one["ID"].removeprefix("sha256:") for one in rows)))
        return 0
    if options.text("format") == "json":
        session.cli.out(fastjson.dumps(rows) + "\n")
        return 0
    shown = [{**one, "ID": short_id(one["ID"]), "Size": human_size(one["Size"], 3)} for one in rows]
    headers = {"ContainerName": "CONTAINER", "Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "Size": "SIZE"}
    _show(session, shown, options.text("format"), headers)
    return 0


def _named(image: str, facts: dict[str, Any]) -> tuple[str, str]:
    from scow.reference import Reference

    tags = facts.get("RepoTags") or []
    try:
        reference = Reference.parse(image if not image.startswith("sha256:") else str(tags[0]))
    except (ScowError, IndexError):
        return "<none>", "<none>"
    return reference.familiar_name, reference.tag or ("<none>" if reference.digest else "latest")


def volumes(session: Session, options: Options, args: list[str]) -> int:
    """Lists the project's volumes; with services, those that they use."""
    project, _, chosen = session.acting(args)
    found = observe.volumes(session.client, project.name)
    if args:
        used = {str(mount.get("Name")) for one in chosen for mount in one.mounts if mount.get("Type") == "volume"}
        found = {name: one for name, one in found.items() if name in used}
    if options.flag("quiet"):
        session.cli.out("".join(f"{name}\n" for name in sorted(found)))
        return 0
    rows = []
    for name in sorted(found):
        one = found[name]
        marks = one.get("Labels") or {}
        rows.append(
            {
                "Name": name,
                "Driver": one.get("Driver") or "",
                "Labels": ",".join(f"{key}={marks[key]}" for key in sorted(marks)),
                "Mountpoint": one.get("Mountpoint") or "",
                "Scope": one.get("Scope") or "",
            }
        )
    headers = {"Name": "VOLUME NAME", "Driver": "DRIVER", "Labels": "LABELS", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE"}
    session.cli.out(render(rows, options.text("format"), headers, ("Driver", "Name")))
    return 0


def port(session: Session, options: Options, args: list[str]) -> int:
    """Prints where a port of a service is published."""
    service, number = args
    number, _, kind = number.partition("/")
    protocol = (kind or options.text("protocol")).lower()
    if not number.isdigit():
        raise ScowError(f'"{number}" is not a port number')
    one = session.container(service, options.number("index"))
    for found in one.summary.get("Ports") or []:
        if found.get("PrivatePort") == int(number) and found.get("Type") == protocol and found.get("PublicPort"):
            address = str(found.get("IP") or "")
            session.cli.out(f"[{address}]:{found['PublicPort']}\n" if ":" in address else f"{address}:{found['PublicPort']}\n")
            return 0
    raise ScowError(f"no port {number}/{protocol} for container {one.name}: {_ports(one)}")


def _ports(one: ContainerInfo) -> str:
    from scow.cli.format.container import ports_of

    return ports_of(one.summary.get("Ports")) or "it publishes none"


def top(session: Session, options: Options, args: list[str]) -> int:
    """Prints the processes of running containers, those of `run`, too."""
    _, _, chosen = session.acting(args, everything=True)
    for one in sorted((one for one in chosen if one.state == "running"), key=lambda one: one.name):
        found = session.client.get(container_path(one.id, "top"))
        session.cli.out(f"{one.name}\n{layout([found['Titles'], *(found.get('Processes') or [])], minimum=0)}\n")
    return 0


def stats(session: Session, options: Options, args: list[str]) -> int:
    """Prints what the project's containers use."""
    from scow.cli.commands.container.stats import COLUMNS, HEADERS
    from scow.cli.commands.container.stats import STATS as LIVE

    _, _, chosen = session.acting(args)
    if not options.flag("all"):
        chosen = [one for one in chosen if one.state == "running"]
    if not chosen:
        session.cli.out(render([], options.text("format"), HEADERS, COLUMNS))
        return 0
    given = options_of(LIVE, format=options.text("format"), no_stream=options.flag("no-stream"), no_trunc=options.flag("no-trunc"))
    return LIVE.run(session.cli, given, [one.id for one in chosen]) or 0


_FORMAT = ("format", "", "string", "table", "Format of the output (table, json)")
LS = Verb(
    " [OPTIONS]",
    (
        ("all", "a", "bool", False, "Projects that don't run, too"),
        ("filter", "", "filter", (), "Only those with a property (name=part)"),
        _FORMAT,
        ("quiet", "q", "bool", False, "Print names only"),
    ),
    ls,
    0,
    0,
)
IMAGES = Verb(" [OPTIONS] [SERVICE...]", (_FORMAT, ("quiet", "q", "bool", False, "Print IDs only")), images)
VOLUMES = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("format", "", "string", "table", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("quiet", "q", "bool", False, "Print names only"),
    ),
    volumes,
)
PORT = Verb(
    " [OPTIONS] SERVICE PRIVATE_PORT",
    (("index", "", "int", 0, "Which container of the service"), ("protocol", "", "string", "tcp", "tcp or udp")),
    port,
    2,
    2,
)
TOP = Verb(" [SERVICES...]", (), top)
STATS = Verb(
    " [OPTIONS] [SERVICE]",
    (
        ("all", "a", "bool", False, "Stopped containers, too"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-stream", "", "bool", False, "Print once and end"),
        ("no-trunc", "", "bool", False, "Print in full length"),
    ),
    stats,
)
