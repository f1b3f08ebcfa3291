"""Whether a service's tasks stand evenly on the nodes that may have them; what `service rebalance` asks before it moves anything."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.cli.command import Cli

from scow.client.api import filters_param
from scow.errors import ScowError

_MOVING = ("updating", "rollback_started")
_PAUSED = ("paused", "rollback_paused")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def check(service: dict[str, Any], force: bool) -> None:
    """Raises ScowError for a service that can't be rebalanced, or, without `force`, whose update is not over."""
    spec = service.get("Spec") or {}
    name = spec.get("Name") or service["ID"]
    if (spec.get("Mode") or {}).get("Replicated") is None:
        raise ScowError(f"{name}: only replicated services can be rebalanced")
    state = (service.get("UpdateStatus") or {}).get("State") or ""
    if force or state not in _MOVING + _PAUSED:
        return
    what = "rollback" if state.startswith("rollback") else "update"
    if state in _MOVING:
        raise ScowError(f"{name}: its {what} is under way: rebalance it when that has ended (--force begins a new one)")
    raise ScowError(f"{name}: its {what} is paused: update it or roll it back first (--force goes on with it)")


def uneven(cli: Cli, service: dict[str, Any], nodes: list[dict[str, Any]]) -> str:
    """Why the tasks of a service should be spread again; "" where they need not."""
    task = (service.get("Spec") or {}).get("TaskTemplate") or {}
    placement = task.get("Placement") or {}
    able = [node for node in nodes if _takes(node, placement)]
    tasks = cli.client.get("/tasks", {"filters": filters_param({"desired-state": {"running": True}})}) or []
    placed = [one for one in tasks if one.get("NodeID")]
    counts = dict.fromkeys((node["ID"] for node in nodes), 0)
    for one in placed:
        if one.get("ServiceID") == service["ID"]:
            counts[one["NodeID"]] = counts.get(one["NodeID"], 0) + 1
    names = {node["ID"]: (node.get("Description") or {}).get("Hostname") or node["ID"] for node in nodes}
    most = placement.get("MaxReplicas") or 0
    reserved = (task.get("Resources") or {}).get("Reservations") or {}
    room = {node["ID"] for node in able if (not most or counts[node["ID"]] < most) and _has_room(node, placed, reserved)}
    there = [node["ID"] for node in able]
    # those on nodes that would get none now go first where others have room
    away = next((node for node, count in counts.items() if count and node not in there), "")
    if away and room:
        return f"{_tasks(counts[away])} on {names.get(away, away)}, which takes none now"
    labels = {node["ID"]: _facts(node) for node in able}
    spreads = [str((one.get("Spread") or {}).get("SpreadDescriptor") or "") for one in placement.get("Preferences") or []]
    return _differ(there, [one for one in spreads if one], counts, room, names, labels)


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _differ(
    there: list[str],
    spreads: list[str],
    counts: dict[str, int],
    room: set[str],
    names: dict[str, str],
    labels: dict[str, dict[str, str]],
) -> str:
    """What is uneven between nodes, or, with preferences, between those of one label and those of another, then within each."""
    if not spreads:
        return _gap({node: counts[node] for node in there}, room, names)
    groups: dict[str, list[str]] = {}
    for node in there:
        groups.setdefault(labels[node].get(spreads[0], ""), []).append(node)
    totals = {value: sum(counts[node] for node in inside) for value, inside in groups.items()}
    free = {value for value, inside in groups.items() if room & set(inside)}
    found = _gap(totals, free, {value: f"{spreads[0]}={value}" for value in groups})
    rest = (_differ(inside, spreads[1:], counts, room, names, labels) for inside in groups.values())
    return found or next((one for one in rest if one), "")


def _gap(counts: dict[str, int], room: Iterable[str], names: dict[str, str]) -> str:
    """What has two tasks more than something that would take one; "" where nothing has."""
    free = [key for key in counts if key in room]
    if not free:
        return ""
    most, least = max(counts, key=lambda key: counts[key]), min(free, key=lambda key: counts[key])
    if counts[most] - counts[least] < 2:
        return ""
    return f"{_tasks(counts[most])} on {names.get(most, most)}, {counts[least]} on {names.get(least, least)}"


def _has_room(node: dict[str, Any], tasks: list[dict[str, Any]], reserved: dict[str, Any]) -> bool:
    """Whether a node has what one more task reserves."""
    here = [one for one in tasks if one["NodeID"] == node["ID"]]
    resources = (node.get("Description") or {}).get("Resources") or {}
    taken = [((one.get("Spec") or {}).get("Resources") or {}).get("Reservations") or {} for one in here]
    for key in ("NanoCPUs", "MemoryBytes"):
        wanted = reserved.get(key) or 0
        if wanted and wanted > (resources.get(key) or 0) - sum(one.get(key) or 0 for one in taken):
            return False
    free = _generic(resources.get("GenericResources"))
    for one in here:
        for kind, count in _generic(one.get("GenericResources")).items():
            free[kind] = free.get(kind, 0) - count
    return all(count <= free.get(kind, 0) for kind, count in _generic(reserved.get("GenericResources")).items())


def _generic(rows: Any) -> dict[str, int]:
    """How many there are of each kind of generic resource."""
    found: dict[str, int] = {}
    for row in rows or []:
        counted, named = row.get("DiscreteResourceSpec"), row.get("NamedResourceSpec")
        kind = str((counted or named or {}).get("Kind") or "")
        found[kind] = found.get(kind, 0) + (int(counted.get("Value") or 0) if counted else 1)
    return found


def _facts(node: dict[str, Any]) -> dict[str, str]:
    """What constraints and preferences name."""
    spec, description = node.get("Spec") or {}, node.get("Description") or {}
    facts = {
        "node.id": node["ID"],
        "node.hostname": description.get("Hostname") or "",
        "node.role": spec.get("Role") or "",
        "node.platform.os": (description.get("Platform") or {}).get("OS") or "",
        "node.platform.arch": (description.get("Platform") or {}).get("Architecture") or "",
    }
    facts |= {f"node.labels.{key}": value for key, value in (spec.get("Labels") or {}).items()}
    facts |= {f"engine.labels.{key}": value for key, value in ((description.get("Engine") or {}).get("Labels") or {}).items()}
    return facts


def _takes(node: dict[str, Any], placement: dict[str, Any]) -> bool:
    """Whether a node is up, active, of a platform of the image and as the constraints want it; those that this client can't judge count as
    met."""
    if (node.get("Status") or {}).get("State") != "ready" or (node.get("Spec") or {}).get("Availability") != "active":
        return False
    facts = _facts(node)
    for constraint in placement.get("Constraints") or []:
        differs = "!=" in constraint
        key, _, value = constraint.partition("!=" if differs else "==")
        key, value = key.strip(), value.strip()
        if (key in facts or ".labels." in key) and (facts.get(key, "").lower() == value.lower()) == differs:
            return False
    system, machine = facts["node.platform.os"], _architecture(facts["node.platform.arch"])
    wanted = [(one.get("OS") or "", _architecture(one.get("Architecture") or "")) for one in placement.get("Platforms") or []]
    return not wanted or any(one in ("", system) and two in ("", machine) for one, two in wanted)


def _architecture(name: str) -> str:
    return _ARCHITECTURES.get(name, name)
