"""All that the swarm knows of an engine. `engine_executor` implements it for this one, tests and the simulation with fakes."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from scow.errors import ScowError
from scow.swarm.objects import ContainerStatus, Task


class Temporary(ScowError):
    """Could not be done now; doing it again later may work."""


class Rejected(ScowError):
    """The task cannot be run on this node at all."""


class Failed(ScowError):
    """The task's process has ended badly, or could not be started. `exit_code` where there is one."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a task needs besides its spec: secrets and configs by id (name and bytes), networks by id (see `wire.NetworkState`)."""

    secrets: Mapping[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    configs: Mapping[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    registry_auth: str = field(default="", repr=False)
    service: Mapping[str, Any] = field(default_factory=dict)
    """{"ID", "Name", "Labels"} of the service, for templates."""
    node: Mapping[str, Any] = field(default_factory=dict)
    """{"ID", "Hostname", "Platform"} of this node, for templates."""


class Controller(Protocol):
    """One task on this node. Every method may be called again after a crash and then finds what is there already."""

    async def prepare(self) -> None:
        """Pull the image, make networks and the container. Raises Rejected, Temporary."""

    async def start(self) -> None:
        """Start it; returns when it runs, and is healthy where it has a health check. Raises Failed."""

    async def wait(self) -> None:
        """Wait for its end. Raises Failed when it ended badly or became unhealthy."""

    async def shutdown(self) -> None:
        """Stop it with its signal and grace period; not running is fine."""

    async def remove(self) -> None:
        """Remove its container and what only it used; absent is fine."""

    async def update(self, task: Task) -> None:
        """The task object has changed (its wanted state, its addresses)."""

    async def status(self) -> ContainerStatus | None:
        """Its container, None when there is none yet."""

    async def ports(self) -> tuple[Mapping[str, Any], ...]:
        """Ports that it publishes on this host, as Docker's PortStatus has them."""

    def logs(self, options: Mapping[str, Any]) -> AsyncIterator[tuple[int, int, bytes]]:
        """(stream 1 or 2, time in nanoseconds, line) of its output; `options`: follow, stdout, stderr, since_ns, until_ns, tail."""


class Executor(Protocol):
    """The engine of this node."""

    async def describe(self) -> dict[str, Any]:
        """Docker's NodeDescription: Hostname, Platform, Resources, Engine."""

    async def configure(self, state: Mapping[str, Any]) -> None:
        """What this node is told of the cluster: its own object, the networks with their peers and load balancing (`wire.ClusterState`)."""

    def controller(self, task: Task, needs: Dependencies) -> Controller:
        """What carries a task out."""

    async def usage(self) -> dict[str, dict[str, float]]:
        """What each running task uses: task id → {"cpu": cores, "memory": bytes, "connections": established}."""

    async def found(self) -> set[str]:
        """Ids of tasks that have a container here: those that nobody knows of are removed by the worker."""

    async def discard(self, task_id: str) -> None:
        """Remove the container of a task that nobody knows of."""
