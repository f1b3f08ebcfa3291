"""What the labels of a service that ask for more than labelling (`autoscale`, `schedule`) need of the service. Pure; asked by managers when
a service is made or changed, and by the client before it begins with a stack."""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.opts import autoscale, schedule


def check(spec: Mapping[str, Any]) -> None:
    """Raises InvalidArgument for wishes of a ServiceSpec's labels that could never be met."""
    labels, mode = spec.get("Labels") or {}, spec.get("Mode") or {"Replicated": {}}
    if schedule.LABEL in labels:
        schedule.parse(labels[schedule.LABEL])
        if not {"ReplicatedJob", "GlobalJob"} & set(mode):
            raise InvalidArgument(f"label {schedule.LABEL} is for jobs: use --mode replicated-job or global-job")
    elif schedule.OVERLAP in labels:
        raise InvalidArgument(f"label {schedule.OVERLAP} says nothing without {schedule.LABEL}")
    schedule.skips(labels)
    policy = autoscale.policy_of(labels)
    if policy is None:
        return
    if "Replicated" not in mode:
        raise InvalidArgument(f"labels {autoscale.PREFIX}* are for replicated services: the number of tasks of others is not chosen")
    limits = ((spec.get("TaskTemplate") or {}).get("Resources") or {}).get("Limits") or {}
    if "memory" in policy.targets and not limits.get("MemoryBytes"):
        raise InvalidArgument(f"label {autoscale.PREFIX}memory is a percentage of the memory limit: set one (--limit-memory)")
    for target, limit in (("memory", "MemoryBytes"), ("cpu", "NanoCPUs")):
        if policy.targets.get(target, 0) > 100 and limits.get(limit):
            raise InvalidArgument(f"label {autoscale.PREFIX}{target} is a percentage of the limit: more than 100 is never reached")
