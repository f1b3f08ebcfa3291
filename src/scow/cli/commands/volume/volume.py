"""`scow volume create`, `ls` and `rm`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, each
from scow.cli.flags import every
from scow.cli.format.table import parse_filters, show
from scow.client.api import filters_param, quote
from scow.errors import ScowError
from scow.units import human_size

HEADERS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}


def row(volume: dict[str, Any]) -> dict[str, Any]:
    """The fields of a volume."""
    labels = volume.get("Labels") or {}
    usage = volume.get("UsageData")
    return {
        "Availability": "N/A",
        "Driver": volume.get("Driver"),
        "Group": "N/A",
        "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        "Links": str(usage["RefCount"]) if usage else "N/A",
        "Mountpoint": volume.get("Mountpoint"),
        "Name": volume.get("Name"),
        "Scope": volume.get("Scope"),
        "Size": human_size(usage["Size"], 4) if usage else "N/A",
        "Status": "N/A",
        "Label": lambda key: labels.get(key, ""),
    }


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists volumes by name."""
    from scow.cli.commands.network.ls import natural

    found = (cli.client.get("/volumes", {"filters": filters_param(parse_filters(options.list("filter")))}) or {}).get("Volumes") or []
    fmt = options.text("format") or ("" if options.flag("quiet") else cli.setting("volumesFormat"))
    rows = [row(one) for one in sorted(found, key=lambda volume: natural(volume["Name"]))]
    show(
        rows,
        fmt,
        HEADERS,
        ("Driver", "Name"),
        "Name" if options.flag("quiet") else "",
        ("name=Name", "driver=Driver"),
        "*formatter.volumeContext",
    )
    return 0


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Creates a volume; prints its name."""
    from scow.opts.checks import label
    from scow.opts.env import mapping

    name = options.text("name")
    if args:
        if name:
            raise ScowError("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
        name = args[0]
    body: dict[str, Any] = {
        "Driver": options.text("driver"),
        "DriverOpts": mapping(options.list("opt"), "option"),
        "Labels": mapping(every("--label", options.list("label"), label)),
        "Name": name,
    }
    if not name:
        del body["Name"]
    if any(options.given(flag) for flag in _CLUSTER):
        body["ClusterVolumeSpec"] = _cluster(options)
    cli.out(cli.client.post("/volumes/create", None, {key: value for key, value in body.items() if value})["Name"] + "\n")
    return 0


def _cluster(options: Options) -> dict[str, Any]:
    """What a volume of a cluster must be; an engine that is no swarm manager refuses it."""
    from scow.opts.env import mapping

    mode: dict[str, Any] = {"Scope": options.text("scope"), "Sharing": options.text("sharing")}
    kind = options.text("type")
    mode["MountVolume" if kind == "mount" else "BlockVolume"] = {}
    if kind not in ("mount", "block"):
        raise ScowError(f'invalid volume type "{kind}": choose mount or block')
    topologies = {
        key: [{"Segments": mapping(word.split(","), "topology")} for word in options.list(flag)]
        for key, flag in (("Requisite", "topology-required"), ("Preferred", "topology-preferred"))
    }
    return {
        "Group": options.text("group"),
        "AccessMode": mode,
        "Availability": options.text("availability"),
        "Secrets": [{"Key": key, "Secret": value} for key, value in mapping(options.list("secret"), "secret").items()],
        "AccessibilityRequirements": {key: value for key, value in topologies.items() if value},
        "CapacityRange": {"RequiredBytes": options.number("required-bytes"), "LimitBytes": options.number("limit-bytes")},
    }


def update(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes a volume of a cluster."""
    volume = cli.client.get(f"/volumes/{quote(args[0])}")
    cluster = volume.get("ClusterVolume")
    if not cluster:
        raise ScowError("can only update cluster volumes")
    spec = cluster.get("Spec") or {}
    if options.given("availability"):
        spec["Availability"] = options.text("availability")
    version = (cluster.get("Version") or {}).get("Index") or 0
    cli.client.call("PUT", f"/volumes/{quote(cluster.get('ID') or args[0])}", {"version": str(version)}, {"Spec": spec}).read()
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes volumes."""

    def act(name: str) -> None:
        cli.client.delete(f"/volumes/{quote(name)}", {"force": options.flag("force")})

    return each(cli, args, act)


_CLUSTER = (
    *("availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing", "topology-preferred"),
    *("topology-required", "type"),
)
_AVAILABILITY = ("availability", "", "string", "active", 'Availability of a cluster volume ("active", "pause", "drain")')
UPDATE = Command(" [OPTIONS] [VOLUME]", "Update a volume (cluster volumes only)", (_AVAILABILITY,), update, 1, 1)
LS = Command(
    " [OPTIONS]",
    "List volumes",
    (
        ("cluster", "", "bool", False, "Show only cluster volumes"),
        ("filter", "f", "filter", (), "Show only what matches ('dangling=true')"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("quiet", "q", "bool", False, "Print only names"),
    ),
    ls,
    0,
    0,
)
CREATE = Command(
    " [OPTIONS] [VOLUME]",
    "Create a volume",
    (
        ("availability", "", "string", "active", ""),
        ("driver", "d", "string", "local", "Driver of the volume"),
        ("group", "", "string", "", ""),
        ("label", "", "list", (), "Set a label"),
        ("limit-bytes", "", "bytes", 0, ""),
        ("name", "", "string", "", ""),
        ("opt", "o", "map", (), "Options of the driver"),
        ("required-bytes", "", "bytes", 0, ""),
        ("scope", "", "string", "single", ""),
        ("secret", "", "map", (), ""),
        ("sharing", "", "string", "none", ""),
        ("topology-preferred", "", "list", (), ""),
        ("topology-required", "", "list", (), ""),
        ("type", "", "string", "block", ""),
    ),
    create,
    0,
    1,
)
RM = Command(
    " [OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes",
    (("force", "f", "bool", False, "Don't mind absent volumes"),),
    rm,
    1,
)
