"""What managers and agents say to each other, as JSON documents; `node.py` carries them (in process, or by HTTP over mutual TLS)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from scow.swarm.objects import Task, TaskStatus


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a node is to run. `complete`: this is all of it, tasks not in it are to be removed; else only what changed.

    `secrets` and `configs`: id → {"name", "data" (base64)}; `services`: id → {"ID", "Name", "Labels", "auth"}; `cluster`: see ClusterState.
    """

    complete: bool
    tasks: tuple[Task, ...] = ()
    removed: tuple[str, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    cluster: "ClusterState | None" = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A task (or a container, or a node's own end) on an overlay network: its address, the node that has it, its names, whether it serves.

    `service`: the service's id, "" for plain containers; `ready`: runs and is healthy, so load may go to it.
    """

    network: str
    address: str
    node: str
    endpoint: str
    service: str = ""
    names: tuple[str, ...] = ()
    ready: bool = True


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as load balancing sees it: virtual addresses by network, published ports, how its name is answered."""

    id: str
    name: str
    mode: str = "vip"
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Network id → virtual address without length."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Network id → further names."""
    ports: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What a node's networks are made of: the nodes (id → address of its data path), the networks it takes part in (documents as
    `allocator.view_of`), everything on them, and the services."""

    node_id: str
    nodes: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    peers: tuple[Peer, ...] = ()
    services: tuple[ServiceState, ...] = ()
    own_addresses: Mapping[str, str] = field(default_factory=dict)
    """Network id → this node's own address on it (the source of balanced connections), with length."""
    data_path_port: int = 4789
    keys: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


class Session(Protocol):
    """An agent's connection to a dispatcher. All methods raise ScowError (Unavailable when the manager cannot be reached)."""

    async def register(self, description: Mapping[str, Any], address: str) -> float:
        """Say hello; seconds between heartbeats."""

    async def heartbeat(self, usage: Mapping[str, Mapping[str, float]]) -> float:
        """Still here; seconds until the next. `usage`: what each running task uses (see `autoscale`). Raises NotFound when the node was
        removed from the cluster."""

    def assignments(self) -> AsyncIterator[Assignment]:
        """First all, then changes, until the connection ends."""

    async def report(self, statuses: Sequence[tuple[str, TaskStatus]]) -> None:
        """States of tasks."""
