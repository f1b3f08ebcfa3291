"""Where a task may run: a pipeline of filters, each of which can say why it lets nobody in. Pure."""

from typing import Protocol

from scow.errors import InvalidArgument
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.scheduler.nodes import Room, generic_of, host_ports, reservations
from scow.swarm.objects import Task, wants_encryption


class Filter(Protocol):
    """One condition; made for one task."""

    def fits(self, room: Room) -> bool:
        """Whether the task may run there."""

    def explain(self, count: int) -> str:
        """Why it may not on `count` nodes."""


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


class Ready:
    """The node answers and takes tasks."""

    def fits(self, room: Room) -> bool:
        """See Filter."""
        return room.node.status_state == "ready" and room.node.availability == "active"

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"{_nodes(count)} not available for new tasks"


class Resources:
    """Reservations find room."""

    def __init__(self, task: Task) -> None:
        wanted = reservations(task.spec)
        self._cpus = int(wanted.get("NanoCPUs") or 0)
        self._memory = int(wanted.get("MemoryBytes") or 0)
        self._generic = generic_of(wanted.get("GenericResources") or ())

    def fits(self, room: Room) -> bool:
        """See Filter."""
        if self._cpus > room.nano_cpus or self._memory > room.memory:
            return False
        for kind, count in self._generic.items():
            free = room.generic.get(kind, 0)
            wanted = len(count) if isinstance(count, list) else count
            if wanted > (len(free) if isinstance(free, list) else free):
                return False
        return True

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"insufficient resources on {_nodes(count)}"


class Constraints:
    """Placement constraints hold."""

    def __init__(self, task: Task) -> None:
        try:
            self._all: list[constraints.Constraint] | None = constraints.parse(constraints.of(task.spec))
        except InvalidArgument:
            self._all = None

    def fits(self, room: Room) -> bool:
        """See Filter."""
        return self._all is not None and all(one.match(room.node) for one in self._all)

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"scheduling constraints not satisfied on {_nodes(count)}"


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Platform:
    """The image runs on the node's platform."""

    def __init__(self, task: Task) -> None:
        self._wanted = [
            (str(row.get("OS") or ""), str(row.get("Architecture") or ""))
            for row in (task.spec.get("Placement") or {}).get("Platforms") or ()
        ]

    def fits(self, room: Room) -> bool:
        """See Filter."""
        if not self._wanted:
            return True
        platform = room.node.description.get("Platform") or {}
        os = str(platform.get("OS") or "")
        architecture = self._name(str(platform.get("Architecture") or ""))
        return any(one in ("", os) and (not two or self._name(two) == architecture) for one, two in self._wanted)

    @staticmethod
    def _name(architecture: str) -> str:
        return _ARCHITECTURES.get(architecture, architecture)

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"unsupported platform on {_nodes(count)}"


class Plugins:
    """The node has the volume, network and log drivers that the task needs."""

    _BUILT_IN = frozenset({"", "local", "json-file", "none", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs"})

    def __init__(self, task: Task) -> None:
        container = task.spec.get("ContainerSpec") or {}
        self._wanted: set[tuple[str, str]] = set()
        for mount in container.get("Mounts") or ():
            driver = str(((mount.get("VolumeOptions") or {}).get("DriverConfig") or {}).get("Name") or "")
            if mount.get("Type") == "volume" and driver not in self._BUILT_IN:
                self._wanted.add(("Volume", driver))
        log = str((task.spec.get("LogDriver") or {}).get("Name") or "")
        if log not in self._BUILT_IN:
            self._wanted.add(("Log", log))

    def fits(self, room: Room) -> bool:
        """See Filter."""
        if not self._wanted:
            return True
        rows = (room.node.description.get("Engine") or {}).get("Plugins") or ()
        return self._wanted <= {(str(row.get("Type")), str(row.get("Name"))) for row in rows}

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"missing plugin on {_nodes(count)}"


class Encryption:
    """The node can encrypt, where the task is on an encrypted network: it has told of a key."""

    def __init__(self, task: Task) -> None:
        drivers = [(row["Network"].get("Spec") or {}).get("DriverConfiguration") or {} for row in task.networks]
        self._wanted = any(wants_encryption(driver.get("Options") or {}) for driver in drivers)

    def fits(self, room: Room) -> bool:
        """See Filter."""
        return not self._wanted or bool(room.node.tunnel)

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"encrypted networks need WireGuard in the kernel or the package wireguard-go, missing on {_nodes(count)}"


class HostPorts:
    """Ports that the task publishes on its host are free there."""

    def __init__(self, task: Task) -> None:
        self._wanted = host_ports(task)

    def fits(self, room: Room) -> bool:
        """See Filter."""
        return not any(port in room.host_ports for port in self._wanted)

    def explain(self, count: int) -> str:
        """See Filter."""
        return f"host-mode port already in use on {_nodes(count)}"


class MaxReplicas:
    """No more of a service on a node than its spec allows."""

    def __init__(self, task: Task) -> None:
        self._service = task.service_id
        self._most = int((task.spec.get("Placement") or {}).get("MaxReplicas") or 0)

    def fits(self, room: Room) -> bool:
        """See Filter."""
        return not self._most or room.per_service.get(self._service, 0) < self._most

    def explain(self, count: int) -> str:
        """See Filter."""
        return "max replicas per node limit exceed"


class Pipeline:
    """All filters for one task."""

    def __init__(self, task: Task) -> None:
        self._filters: list[Filter] = [
            Ready(), Resources(task), Plugins(task), Encryption(task),
            Constraints(task), Platform(task), HostPorts(task), MaxReplicas(task),
        ]  # fmt: skip
        self._refused = [0] * len(self._filters)

    def fits(self, room: Room) -> bool:
        """Whether the task may run there; remembers which filter refused."""
        for number, one in enumerate(self._filters):
            if not one.fits(room):
                self._refused[number] += 1
                return False
        return True

    def explain(self) -> str:
        """Why nobody fits, in Docker's words."""
        reasons = [(count, one.explain(count)) for one, count in zip(self._filters, self._refused, strict=True) if count]
        reasons.sort(key=lambda reason: -reason[0])
        return "; ".join(text for _, text in reasons)
