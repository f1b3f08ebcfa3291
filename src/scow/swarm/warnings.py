"""What a user is told of a service that is taken all the same. Called by the API when one is made or changed; nothing is stored."""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.kernel import protocols
from scow.opts import autoscale, schedule
from scow.swarm.manager.orchestrator import constraints


def of_service(spec: Mapping[str, Any]) -> list[str]:
    """Sentences for the reply's Warnings; `spec` as the client sent it. This host's kernel stands for those of the tasks' nodes."""
    return [*_kernel(spec), *_placement(spec), *_labels(spec)]


def _placement(spec: Mapping[str, Any]) -> list[str]:
    """Of constraints that no node can satisfy: a mistyped key would leave the tasks pending without a word."""
    try:
        found = constraints.parse(constraints.of(spec.get("TaskTemplate") or {}))
    except InvalidArgument:
        return []
    return [
        f"Constraint {one.key} is nothing that nodes have, so none gets a task of this service. There are: {constraints.keys()}"
        for one in found
        if not one.known
    ]


def _labels(spec: Mapping[str, Any]) -> list[str]:
    """Of scaling and of jobs by the clock: what the labels will not do."""
    found: list[str] = []
    inside = ((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Labels") or {}
    misplaced = sorted(key for key in inside if key in (schedule.LABEL, schedule.OVERLAP) or key.startswith(autoscale.PREFIX))
    if misplaced:
        found.append(
            f"Label {misplaced[0]} is one of the containers and does nothing there: make it one of the service (deploy.labels, --label)"
        )
    try:
        policy = autoscale.policy_of(spec.get("Labels") or {})
    except InvalidArgument:
        return found
    replicated = (spec.get("Mode") or {}).get("Replicated")
    replicas = (replicated or {}).get("Replicas")
    if policy is not None and replicas and not policy.least <= replicas <= policy.most:
        found.append(
            f"{replicas} replicas are outside of {policy.least} to {policy.most} (labels {autoscale.PREFIX}*): they will be changed"
        )
    return found


def _kernel(spec: Mapping[str, Any]) -> list[str]:
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    if any(row.get("Protocol") == "sctp" for row in ports) and not protocols.has_sctp():
        return [protocols.no_sctp("The service")]
    return []
