"""What the scheduler knows of a node: the object, what is reserved on it, which tasks it has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.swarm.objects import Node, Task, TaskState

FAILURES_MANY = 5
FAILURES_NS = 5 * 60 * 1_000_000_000


@dataclass(slots=True)
class Room:
    """A node with its free resources (nanocpus, bytes, generic ones by kind) and its tasks."""

    node: Node
    tasks: dict[str, Task] = field(default_factory=dict)
    per_service: dict[str, int] = field(default_factory=dict)
    nano_cpus: int = 0
    memory: int = 0
    generic: dict[str, list[str] | int] = field(default_factory=dict)
    host_ports: dict[tuple[str, int], str] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, node: Node, tasks: Iterable[Task]) -> "Room":
        """A node with the tasks that were given to it."""
        resources = node.description.get("Resources") or {}
        made = cls(
            node,
            nano_cpus=int(resources.get("NanoCPUs") or 0),
            memory=int(resources.get("MemoryBytes") or 0),
            generic=generic_of(resources.get("GenericResources") or ()),
        )
        for task in tasks:
            made.add(task)
        return made

    def add(self, task: Task) -> None:
        """A task is on this node, or is to end there: it holds its resources until it has, but is none of its service's any more."""
        if not holds(task):
            return
        if task.id not in self.tasks:
            self.tasks[task.id] = task
            self._count(task, 1)
        if task.desired_state > TaskState.COMPLETE and task.id not in self.leaving:
            self.leaving.add(task.id)
            self.per_service[task.service_id] -= 1

    def drop(self, task_id: str) -> None:
        """A task is over; absent is fine."""
        task = self.tasks.pop(task_id, None)
        if task is not None:
            self._count(task, -1)
            if task_id in self.leaving:
                self.leaving.discard(task_id)
                self.per_service[task.service_id] += 1

    def _count(self, task: Task, sign: int) -> None:
        wanted = reservations(task.spec)
        self.nano_cpus -= sign * int(wanted.get("NanoCPUs") or 0)
        self.memory -= sign * int(wanted.get("MemoryBytes") or 0)
        self.per_service[task.service_id] = self.per_service.get(task.service_id, 0) + sign
        for port in host_ports(task):
            if sign > 0:
                self.host_ports[port] = task.id
            elif self.host_ports.get(port) == task.id:
                del self.host_ports[port]
        for row in task.generic_resources:
            if (named := row.get("NamedResourceSpec")) is not None:
                free = self.generic.setdefault(str(named["Kind"]), [])
                if isinstance(free, list):
                    if sign > 0 and named["Value"] in free:
                        free.remove(named["Value"])
                    elif sign < 0:
                        free.append(named["Value"])
            elif (counted := row.get("DiscreteResourceSpec")) is not None:
                left = self.generic.get(str(counted["Kind"]), 0)
                if isinstance(left, int):
                    self.generic[str(counted["Kind"])] = left - sign * int(counted["Value"])

    def failed(self, task: Task, at_ns: int) -> None:
        """A task of this node has failed: nodes where a service fails often come last."""
        times = self.failures.setdefault(task.service_id, [])
        times.append(at_ns)
        del times[:-FAILURES_MANY]

    def flaky(self, service_id: str, at_ns: int) -> int:
        """How often the service has failed here lately, 0 when not often."""
        recent = [at for at in self.failures.get(service_id, ()) if at > at_ns - FAILURES_NS]
        return len(recent) if len(recent) >= FAILURES_MANY else 0


def holds(task: Task) -> bool:
    """Whether a task takes room on its node; a global service's has a node before it has been let in there."""
    return bool(task.node_id) and not task.over and task.status.state >= TaskState.ASSIGNED


def reservations(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a TaskSpec reserves."""
    return (spec.get("Resources") or {}).get("Reservations") or {}


def host_ports(task: Task) -> list[tuple[str, int]]:
    """Ports of its node that a task takes: (protocol, port)."""
    rows = (task.endpoint.get("Spec") or {}).get("Ports") or task.endpoint.get("Ports") or ()
    return [
        (str(row.get("Protocol") or "tcp"), int(row["PublishedPort"]))
        for row in rows
        if row.get("PublishMode") == "host" and row.get("PublishedPort")
    ]


def generic_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str] | int]:
    """Generic resources by kind: names, or a number."""
    found: dict[str, list[str] | int] = {}
    for row in rows:
        if (named := row.get("NamedResourceSpec")) is not None:
            values = found.setdefault(str(named["Kind"]), [])
            if isinstance(values, list):
                values.append(str(named["Value"]))
        elif (counted := row.get("DiscreteResourceSpec")) is not None:
            found[str(counted["Kind"])] = int(counted["Value"])
    return found


def claim(task: Task, room: Room) -> tuple[Mapping[str, Any], ...]:
    """Which of a node's generic resources a task gets; there must be enough (`filters.Resources`)."""
    found: list[Mapping[str, Any]] = []
    for row in reservations(task.spec).get("GenericResources") or ():
        counted = row.get("DiscreteResourceSpec")
        if counted is None:
            continue
        kind, count = str(counted["Kind"]), int(counted["Value"])
        free = room.generic.get(kind, 0)
        if isinstance(free, list):
            found += [{"NamedResourceSpec": {"Kind": kind, "Value": value}} for value in sorted(free)[:count]]
        else:
            found.append({"DiscreteResourceSpec": {"Kind": kind, "Value": count}})
    return tuple(found)
