"""`scow node ls`, `inspect`, `ps`, `update`, `promote`, `demote` and `rm`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options

from scow.cli.command import Command, ExitCode, daemon_error, each
from scow.cli.commands.swarm import tasks
from scow.cli.format.table import parse_filters, show
from scow.client.api import filters_param, quote
from scow.client.transport import ApiError
from scow.errors import ScowError

HEADERS = {
    "ID": "ID",
    "Self": "SELF",
    "Hostname": "HOSTNAME",
    "Status": "STATUS",
    "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS",
    "EngineVersion": "ENGINE VERSION",
    "TLSStatus": "TLS STATUS",
}
COLUMNS = ("Marked", "Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion")
RAW = ("node_id=ID", "hostname=Hostname", "status=Status", "availability=Availability", "manager_status=ManagerStatus")


def reference(cli: Cli, name: str) -> str:
    """A node's id or name; `self` is this engine's. Raises ScowError where that is none."""
    if name != "self":
        return name
    swarm = (cli.client.get("/info") or {}).get("Swarm") or {}
    if not swarm.get("NodeID"):
        if not swarm.get("ControlAvailable"):
            # asking is what says why: no manager, or no swarm
            cli.client.get("/nodes")
        raise ScowError("node ID not found in /info")
    return str(swarm["NodeID"])


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists nodes by name of their host."""
    from scow.cli.commands.network.ls import natural

    quiet = options.flag("quiet")
    nodes = cli.client.get("/nodes", {"filters": filters_param(parse_filters(options.list("filter")))}) or []
    info = {} if quiet or not nodes else cli.client.get("/info") or {}
    swarm = info.get("Swarm") or {}
    trust = (swarm.get("Cluster") or {}).get("TLSInfo") or {}
    rows = []
    for node in sorted(nodes, key=lambda one: natural((one.get("Description") or {}).get("Hostname") or "")):
        description = node.get("Description") or {}
        own = node["ID"] == swarm.get("NodeID")
        rows.append(
            {
                "Availability": ((node.get("Spec") or {}).get("Availability") or "").title(),
                "EngineVersion": (description.get("Engine") or {}).get("EngineVersion") or "",
                "Hostname": description.get("Hostname") or "",
                "ID": node["ID"],
                "ManagerStatus": _manager(node),
                "Self": own,
                "Status": ((node.get("Status") or {}).get("State") or "").title(),
                "TLSStatus": _tls(description.get("TLSInfo") or {}, trust),
            }
        )
    fmt = options.text("format") or ("" if quiet else cli.setting("nodesFormat"))
    if fmt in ("", "table") and not quiet:
        for row in rows:
            # the mark has its column even where no node is this one
            row["Marked"] = f"{row['ID']} {'*' if row['Self'] else ' '}"
    show(rows, fmt, {**HEADERS, "Marked": "ID"}, COLUMNS, "ID" if quiet else "", RAW, "*node.nodeContext")
    return 0


def _manager(node: dict[str, Any]) -> str:
    status = node.get("ManagerStatus") or {}
    if not status:
        return ""
    return "Leader" if status.get("Leader") else str(status.get("Reachability") or "").title()


def _tls(own: dict[str, Any], trust: dict[str, Any]) -> str:
    if not own or not trust:
        return "Unknown"
    return "Ready" if own == trust else "Needs Rotation"


def inspect(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows everything about nodes, or what matters for people."""
    if options.flag("pretty"):
        if options.given("format"):
            raise ScowError("--format is incompatible with human friendly format")
        texts, errors = _collect([*args], lambda name: _pretty(cli.client.get(f"/nodes/{quote(reference(cli, name))}")))
        cli.out("\n".join(texts))
        if errors:
            raise ExitCode(1, "\n".join(errors))
        return 0
    from scow.cli.commands.system.inspect import inspect as show_all

    return show_all(cli, options, [reference(cli, name) for name in args], ("node",))


def _collect(names: list[str], act: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """(texts, errors) of each name."""
    texts, errors = [], []
    for name in names:
        try:
            texts.append(act(name))
        except ApiError as exc:
            errors.append(daemon_error(exc.message))
    return texts, errors


def stamp(text: str) -> str:
    """A time stamp as the pretty prints show it: `2024-01-02 03:04:05.1 +0000 utc`."""
    return text.replace("T", " ").removesuffix("Z") + " +0000 utc" if text.endswith("Z") else text


def _pretty(node: dict[str, Any]) -> str:
    from scow.units import bytes_size

    spec, description = node.get("Spec") or {}, node.get("Description") or {}
    status, manager = node.get("Status") or {}, node.get("ManagerStatus") or {}
    platform, resources = description.get("Platform") or {}, description.get("Resources") or {}
    engine = description.get("Engine") or {}
    lines = [f"ID:\t\t\t{node['ID']}"]
    if spec.get("Name"):
        lines.append(f"Name:\t\t\t{spec['Name']}")
    labels = spec.get("Labels") or {}
    if labels:
        lines += ["Labels:", *(f" - {key}={labels[key]}" for key in sorted(labels))]
    lines += [
        f"Hostname:              \t{description.get('Hostname') or ''}",
        f"Joined at:             \t{stamp(node.get('CreatedAt') or '')}",
        "Status:",
        f" State:\t\t\t{(status.get('State') or '').title()}",
        *([f" Message:\t\t{status['Message'].title()}"] if status.get("Message") else []),
        f" Availability:         \t{(spec.get('Availability') or '').title()}",
        *([f" Address:\t\t{status['Addr']}"] if status.get("Addr") else []),
    ]
    if manager:
        lines += [
            "Manager Status:",
            f" Address:\t\t{manager.get('Addr') or ''}",
            f" Raft Status:\t\t{(manager.get('Reachability') or '').title()}",
            f" Leader:\t\t{'Yes' if manager.get('Leader') else 'No'}",
        ]
    lines += [
        "Platform:",
        f" Operating System:\t{platform.get('OS') or ''}",
        f" Architecture:\t\t{platform.get('Architecture') or ''}",
        "Resources:",
        f" CPUs:\t\t\t{(resources.get('NanoCPUs') or 0) // 1_000_000_000}",
        f" Memory:\t\t{bytes_size(resources.get('MemoryBytes') or 0)}",
    ]
    kinds: dict[str, list[str]] = {}
    for plugin in engine.get("Plugins") or []:
        kinds.setdefault(str(plugin.get("Type")), []).append(str(plugin.get("Name")))
    shown = [kind for kind in ("Log", "Network", "Volume") if kind in kinds]
    if shown:
        lines += ["Plugins:", *(f" {kind}:\t\t{', '.join(kinds[kind])}" for kind in shown)]
    lines.append(f"Engine Version:\t\t{engine.get('EngineVersion') or ''}")
    labels = engine.get("Labels") or {}
    if labels:
        lines += ["Engine Labels:", *(f" - {key}={labels[key]}" for key in sorted(labels))]
    tls = description.get("TLSInfo") or {}
    if tls:
        lines += [
            "TLS Info:",
            " TrustRoot:",
            tls.get("TrustRoot") or "",
            f" Issuer Subject:\t{tls.get('CertIssuerSubject') or ''}",
            f" Issuer Public Key:\t{tls.get('CertIssuerPublicKey') or ''}",
        ]
    return "\n".join(lines) + "\n"


def ps(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists the tasks of nodes, of this one where none is named."""
    found: list[dict[str, Any]] = []
    errors = []
    for name in args or ["self"]:
        try:
            node = cli.client.get(f"/nodes/{quote(reference(cli, name))}")
            wanted = parse_filters(options.list("filter"))
            wanted.setdefault("node", {})[node["ID"]] = True
            found += cli.client.get("/tasks", {"filters": filters_param(wanted)}) or []
        except ApiError as exc:
            errors.append(daemon_error(exc.message))
    if found or not errors:
        tasks.display(cli, options, found, tasks.Names(cli, not options.flag("no-resolve")))
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


def change(cli: Cli, names: list[str], edit: Callable[[dict[str, Any]], None], done: Callable[[str], None]) -> None:
    """Reads, edits and writes the spec of each node; `done` says so. An edit may raise Unchanged."""
    for name in names:
        node = cli.client.get(f"/nodes/{quote(name)}")
        spec = node.get("Spec") or {}
        try:
            edit(spec)
        except Unchanged as exc:
            cli.out(exc.message.format(name=name) + "\n")
            continue
        version = (node.get("Version") or {}).get("Index") or 0
        cli.client.call("POST", f"/nodes/{quote(node['ID'])}/update", {"version": version}, spec).read()
        done(name)


class Unchanged(ScowError):
    """A node is what it is to become."""


def update(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes a node's labels, role or availability."""

    def edit(spec: dict[str, Any]) -> None:
        if options.given("role"):
            spec["Role"] = options.text("role").lower()
        if options.given("availability"):
            spec["Availability"] = options.text("availability").lower()
        labels = spec.get("Labels") or {}
        for word in options.list("label-add"):
            key, _, value = word.partition("=")
            labels[key] = value
        for key in options.list("label-rm"):
            if key not in labels:
                raise ScowError(f"key {key} doesn't exist in node's labels")
            del labels[key]
        spec["Labels"] = labels

    change(cli, args, edit, lambda name: cli.out(name + "\n"))
    return 0


def _role(cli: Cli, names: list[str], role: str, already: str, said: str) -> int:
    def edit(spec: dict[str, Any]) -> None:
        if spec.get("Role") == role:
            raise Unchanged(already)
        spec["Role"] = role

    change(cli, names, edit, lambda name: cli.out(said.format(name=name) + "\n"))
    return 0


def promote(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes nodes managers."""
    return _role(cli, args, "manager", "Node {name} is already a manager.", "Node {name} promoted to a manager in the swarm.")


def demote(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes managers workers."""
    return _role(cli, args, "worker", "Node {name} is already a worker.", "Manager {name} demoted in the swarm.")


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes nodes from the swarm."""

    def act(name: str) -> None:
        cli.client.delete(f"/nodes/{quote(name)}", {"force": options.flag("force")})

    return each(cli, args, act)


FORMAT: Flag = ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template")
LS = Command(
    " [OPTIONS]",
    "List nodes in the swarm",
    (
        ("filter", "f", "filter", (), "Show only what matches ('role=manager')"),
        FORMAT,
        ("quiet", "q", "bool", False, "Print only ids"),
    ),
    ls,
    0,
    0,
)
INSPECT = Command(
    " [OPTIONS] self|NODE [NODE...]",
    "Display detailed information on one or more nodes",
    (
        ("format", "f", "string", "", "Format of the output: json, or a Go template"),
        ("pretty", "", "bool", False, "Print what matters, for people"),
    ),
    inspect,
    1,
)
PS = Command(" [OPTIONS] [NODE...]", "List tasks running on one or more nodes, defaults to current node", tasks.FLAGS, ps)
UPDATE = Command(
    " [OPTIONS] NODE",
    "Update a node",
    (
        ("availability", "", "string", "", 'Availability of the node ("active", "pause", "drain")'),
        ("label-add", "", "list", (), "Add or change a label (key=value)"),
        ("label-rm", "", "list", (), "Remove a label"),
        ("role", "", "string", "", 'Role of the node ("worker", "manager")'),
    ),
    update,
    1,
    1,
)
PROMOTE = Command(" NODE [NODE...]", "Promote one or more nodes to manager in the swarm", (), promote, 1)
DEMOTE = Command(" NODE [NODE...]", "Demote one or more nodes from manager in the swarm", (), demote, 1)
RM = Command(
    " [OPTIONS] NODE [NODE...]",
    "Remove one or more nodes from the swarm",
    (("force", "f", "bool", False, "Remove a node that is not down, too"),),
    rm,
    1,
)
