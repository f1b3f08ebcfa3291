"""Making tasks, and what orchestrators ask of them. Pure."""

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from scow.swarm.identity import new_id
from scow.swarm.objects import Cluster, Node, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import Reader


def new_task(service: Service, slot: int, node_id: str, now_ns: int) -> Task:
    """A task of a service's present spec, NEW, to run."""
    return Task(
        id=new_id(),
        service_id=service.id,
        service_name=service.name,
        labels=dict(service.labels),
        slot=slot,
        node_id=node_id,
        spec=service.task_spec,
        spec_version=service.spec_version,
        status=TaskStatus(TaskState.NEW, now_ns, "created"),
        desired_state=TaskState.RUNNING,
        endpoint={"Spec": service.spec.get("EndpointSpec") or {}},
    )


def is_dirty(service: Service, task: Task) -> bool:
    """Whether the task was made of another spec than the service has: only what the task is made of counts, not how many there are."""
    if task.spec_version == service.spec_version:
        return False
    return dict(task.spec) != dict(service.task_spec) or dict((task.endpoint or {}).get("Spec") or {}) != dict(
        service.spec.get("EndpointSpec") or {}
    )


def held(reader: Reader, task: Task) -> bool:
    """Whether a task has not ended yet, as far as its node can tell: one that is down tells nothing, and is not waited for."""
    if task.over or not task.node_id:
        return False
    node = reader.get(Node, task.node_id)
    return node is not None and node.status_state != "down"


def slots(tasks: Iterable[Task]) -> dict[int, list[Task]]:
    """Tasks by slot."""
    found: dict[int, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.slot, []).append(task)
    return found


def free_slots(used: Container[int]) -> Iterator[int]:
    """Numbers of slots that are not used, from 1 on, without end."""
    return (number for number in itertools.count(1) if number not in used)


def newest(tasks: Iterable[Task]) -> Task | None:
    """The task that was made last."""
    return max(tasks, key=lambda task: (task.created_ns, task.id), default=None)


def cluster_of(reader: Reader) -> Cluster | None:
    """The one cluster object."""
    found = reader.all(Cluster)
    return found[0] if found else None


def history_limit(reader: Reader) -> int:
    """How many ended tasks of a slot are kept; negative: all."""
    cluster = cluster_of(reader)
    limit = ((cluster.spec.get("Orchestration") if cluster else None) or {}).get("TaskHistoryRetentionLimit")
    return 5 if limit is None else int(limit)


def restart_policy(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The RestartPolicy of a TaskSpec."""
    return spec.get("RestartPolicy") or {}
