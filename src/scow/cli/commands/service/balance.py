"""Whether a service's tasks stand evenly on the nodes that may have them; what `service rebalance` asks before it moves anything."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.client.api import filters_param
from scow.errors import ScowError


def uneven(cli: Cli, service: dict[str, Any], nodes: list[dict[str, Any]]) -> str:
    """Why the tasks of a service should be spread again; "" where they need not. Raises ScowError for a service without replicas."""
    spec = service.get("Spec") or {}
    name = spec.get("Name") or service["ID"]
    if (spec.get("Mode") or {}).get("Replicated") is None:
        raise ScowError(f"{name}: only replicated services can be rebalanced")
    constraints = ((spec.get("TaskTemplate") or {}).get("Placement") or {}).get("Constraints") or []
    able = {node["ID"]: (node.get("Description") or {}).get("Hostname") or node["ID"] for node in nodes if _takes(node, constraints)}
    wanted = {"service": {service["ID"]: True}, "desired-state": {"running": True}}
    tasks = cli.client.get("/tasks", {"filters": filters_param(wanted)}) or []
    counts = dict.fromkeys(able, 0)
    for task in tasks:
        node = task.get("NodeID") or ""
        if node:
            counts[node] = counts.get(node, 0) + 1
    if len(counts) < 2:
        return ""
    most, least = max(counts, key=lambda node: counts[node]), min(able or counts, key=lambda node: counts[node])
    if counts[most] - counts[least] < 2:
        return ""
    return f"{counts[most]} tasks on {able.get(most, most)}, {counts[least]} on {able.get(least, least)}"


def _takes(node: dict[str, Any], constraints: list[str]) -> bool:
    """Whether a node is up, active and as the constraints want it; those that this client can't judge count as met."""
    spec, description = node.get("Spec") or {}, node.get("Description") or {}
    if (node.get("Status") or {}).get("State") != "ready" or spec.get("Availability") != "active":
        return False
    facts = {
        "node.id": node["ID"],
        "node.hostname": description.get("Hostname") or "",
        "node.role": spec.get("Role") or "",
        "node.platform.os": (description.get("Platform") or {}).get("OS") or "",
        "node.platform.arch": (description.get("Platform") or {}).get("Architecture") or "",
    }
    facts |= {f"node.labels.{key}": value for key, value in (spec.get("Labels") or {}).items()}
    facts |= {f"engine.labels.{key}": value for key, value in ((description.get("Engine") or {}).get("Labels") or {}).items()}
    for constraint in constraints:
        differs = "!=" in constraint
        key, _, value = constraint.partition("!=" if differs else "==")
        key, value = key.strip(), value.strip()
        if (key in facts or ".labels." in key) and (facts.get(key, "").lower() == value.lower()) == differs:
            return False
    return True
