"""`scow stack ls`, `ps` and `services`."""

from __future__ import annotations

from scow.cli.command import Command
from scow.cli.commands.network.ls import natural
from scow.cli.commands.service.ls import display
from scow.cli.commands.swarm import tasks
from scow.cli.commands.swarm.node import FORMAT, reference
from scow.cli.format.table import parse_filters, show
from scow.client.api import filters_param
from scow.compose.stack.convert import NAMESPACE
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options


HEADERS = {"Name": "NAME", "Services": "SERVICES"}


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists stacks and how many services each has."""
    counts: dict[str, int] = {}
    for one in cli.client.get("/services", {"filters": filters_param({"label": {NAMESPACE: True}})}) or []:
        name = ((one.get("Spec") or {}).get("Labels") or {}).get(NAMESPACE) or ""
        counts[name] = counts.get(name, 0) + 1
    rows: list[dict[str, Any]] = [{"Name": name, "Services": str(counts[name])} for name in sorted(counts, key=natural)]
    show(rows, options.text("format"), HEADERS, ("Name", "Services"), "", (), "*formatter.stackContext")
    return 0


def _filters(options: Options, stack: str) -> dict[str, dict[str, bool]]:
    wanted = parse_filters(options.list("filter"))
    wanted.setdefault("label", {})[f"{NAMESPACE}={stack}"] = True
    return wanted


def ps(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists the tasks of a stack."""
    wanted = _filters(options, args[0])
    if "node" in wanted:
        wanted["node"] = {reference(cli, name): True for name in wanted["node"]}
    found = cli.client.get("/tasks", {"filters": filters_param(wanted)}) or []
    if not found:
        raise ScowError(f"nothing found in stack: {args[0]}")
    tasks.display(cli, options, found, tasks.Names(cli, not options.flag("no-resolve")))
    return 0


def services(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists the services of a stack."""
    found = cli.client.get("/services", {"filters": filters_param(_filters(options, args[0])), "status": "true"}) or []
    if not found:
        cli.err(f"Nothing found in stack: {args[0]}\n")
        return 0
    display(cli, options, found)
    return 0


_FILTER: Flag = ("filter", "f", "filter", (), "Show only what matches ('name=web')")
LS = Command(" [OPTIONS]", "List stacks", (FORMAT,), ls, 0, 0)
PS = Command(" [OPTIONS] STACK", "List the tasks in the stack", tasks.FLAGS, ps, 1, 1)
SERVICES = Command(
    " [OPTIONS] STACK",
    "List the services in the stack",
    (_FILTER, FORMAT, ("quiet", "q", "bool", False, "Print only ids")),
    services,
    1,
    1,
)
