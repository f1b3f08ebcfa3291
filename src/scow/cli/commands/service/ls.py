"""`scow service ls`, `ps` and `inspect`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options

from scow.cli.command import Command, ExitCode
from scow.cli.commands.swarm import tasks
from scow.cli.commands.swarm.node import FORMAT, reference
from scow.cli.format.table import parse_filters, show
from scow.client.api import filters_param, quote
from scow.client.transport import ApiError
from scow.errors import ScowError

HEADERS = {"ID": "ID", "Name": "NAME", "Mode": "MODE", "Replicas": "REPLICAS", "Image": "IMAGE", "Ports": "PORTS"}
COLUMNS = ("ID", "Name", "Mode", "Replicas", "Image", "Ports")
RAW = ("id=ID", "name=Name", "mode=Mode", "replicas=Replicas", "image=Image", "ports=Ports")
MODES = {"Replicated": "replicated", "Global": "global", "ReplicatedJob": "replicated job", "GlobalJob": "global job"}


def mode_of(spec: dict[str, Any]) -> str:
    """`replicated`, `global job` …"""
    mode = spec.get("Mode") or {}
    return next((text for key, text in MODES.items() if mode.get(key) is not None), "")


def _replicas(service: dict[str, Any]) -> str:
    spec, status = service.get("Spec") or {}, service.get("ServiceStatus") or {}
    running, desired, done = (status.get(key) or 0 for key in ("RunningTasks", "DesiredTasks", "CompletedTasks"))
    mode = spec.get("Mode") or {}
    if mode.get("ReplicatedJob") is not None:
        total = mode["ReplicatedJob"].get("TotalCompletions") or 0
        return f"{running}/{mode['ReplicatedJob'].get('MaxConcurrent') or 0} ({done}/{total} completed)"
    if mode.get("GlobalJob") is not None:
        return f"{running}/{desired} ({done}/{desired + done} completed)"
    most = ((spec.get("TaskTemplate") or {}).get("Placement") or {}).get("MaxReplicas") or 0
    if mode.get("Replicated") is not None and most > 0:
        return f"{running}/{desired} (max {most} per node)"
    return f"{running}/{desired}"


def ports_of(ports: list[dict[str, Any]]) -> str:
    """`*:8080->80/tcp`, runs of ports as ranges."""
    runs: list[list[Any]] = []
    order = sorted(ports, key=lambda one: (one.get("Protocol") or "", one.get("PublishedPort") or 0, one.get("TargetPort") or 0))
    for port in order:
        if (port.get("PublishMode") or "ingress") != "ingress":
            continue
        published, target, protocol = port.get("PublishedPort") or 0, port.get("TargetPort") or 0, port.get("Protocol") or "tcp"
        last = runs[-1] if runs else None
        if last and last[4] == protocol and published == last[1] + 1 and target == last[3] + 1:
            last[1], last[3] = published, target
        else:
            runs.append([published, published, target, target, protocol])
    return ", ".join(f"*:{_span(low, high)}->{_span(first, last)}/{protocol}" for low, high, first, last, protocol in runs)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def display(cli: Cli, options: Options, services: list[dict[str, Any]]) -> None:
    """The table of services, by name."""
    from scow.cli.commands.network.ls import natural

    quiet = options.flag("quiet")
    rows = []
    for one in sorted(services, key=lambda service: natural((service.get("Spec") or {}).get("Name") or "")):
        spec = one.get("Spec") or {}
        labels = spec.get("Labels") or {}
        rows.append(
            {
                "ID": one["ID"][: tasks.SHORT],
                "Image": tasks.image_name(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or ""),
                "Mode": mode_of(spec),
                "Name": spec.get("Name") or "",
                "Ports": ports_of((one.get("Endpoint") or {}).get("Ports") or []),
                "Replicas": _replicas(one),
                "Label": lambda key, labels=labels: labels.get(key, ""),
            }
        )
    fmt = options.text("format") or ("" if quiet else cli.setting("servicesFormat"))
    show(rows, fmt, HEADERS, COLUMNS, "ID" if quiet else "", RAW, "*service.serviceContext")


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists services by name."""
    params = {"filters": filters_param(parse_filters(options.list("filter"))), "status": None if options.flag("quiet") else "true"}
    display(cli, options, cli.client.get("/services", params) or [])
    return 0


def ps(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists the tasks of services."""
    wanted = parse_filters(options.list("filter"))
    found: dict[str, dict[str, Any]] = {}
    by_id = cli.client.get("/services", {"filters": filters_param({"id": dict.fromkeys(args, True)})}) or []
    by_name = cli.client.get("/services", {"filters": filters_param({"name": dict.fromkeys(args, True)})}) or []
    missing = []
    for name in args:
        exact = [one for one in by_id if one["ID"] == name] or [one for one in by_name if (one.get("Spec") or {}).get("Name") == name]
        near = exact or [one for one in by_id if one["ID"].startswith(name)]
        if len(near) > 1:
            raise ScowError(f"multiple services found with provided prefix: {name}")
        if near:
            found[near[0]["ID"]] = near[0]
        else:
            missing.append(f"no such service: {name}")
    if found:
        wanted["service"] = dict.fromkeys(found, True)
        if "node" in wanted:
            wanted["node"] = {reference(cli, name): True for name in wanted["node"]}
        tasks.display(
            cli,
            options,
            cli.client.get("/tasks", {"filters": filters_param(wanted)}) or [],
            tasks.Names(cli, not options.flag("no-resolve")),
            whole=True,
        )
    if missing:
        raise ExitCode(1, "\n".join(missing))
    return 0


def inspect(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows everything about services, or what matters for people."""
    pretty = options.flag("pretty")
    if pretty and options.given("format"):
        raise ScowError("--format is incompatible with human friendly format")
    fmt = options.text("format") or cli.setting("serviceInspectFormat")
    found, errors = [], []
    for name in args:
        try:
            found.append(cli.client.get(f"/services/{quote(name)}", {"insertDefaults": "true"}))
        except ApiError as exc:
            if exc.status != 404:
                raise
            errors.append(f"Error: no such service: {name}")
    if pretty or fmt == "pretty":
        from scow.cli.commands.service.pretty import text

        cli.out("\n".join(text(cli, one) for one in found))
        if found:
            cli.out("\n")
    else:
        from scow.cli.commands.system.inspect import rendered

        shown, problem = rendered(found, fmt)
        cli.out(shown)
        if problem:
            errors.insert(0, f"template parsing error: {problem}")
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


_QUIET: Flag = ("quiet", "q", "bool", False, "Print only ids")
LS = Command(
    " [OPTIONS]",
    "List services",
    (("filter", "f", "filter", (), "Show only what matches ('name=web')"), FORMAT, _QUIET),
    ls,
    0,
    0,
)
PS = Command(" [OPTIONS] SERVICE [SERVICE...]", "List the tasks of one or more services", tasks.FLAGS, ps, 1)
INSPECT = Command(
    " [OPTIONS] SERVICE [SERVICE...]",
    "Display detailed information on one or more services",
    (
        ("format", "f", "string", "", "Format of the output: json, or a Go template"),
        ("pretty", "", "bool", False, "Print what matters, for people"),
    ),
    inspect,
    1,
)
