"""What managers and agents say to each other; `session.py` carries it, in process or as JSON over mutual TLS."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, cast

from scow.swarm.objects import Task, TaskStatus, from_json, to_json


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a node is to run. `complete`: this is all of it, tasks not in it are to be removed; else only what changed.

    `secrets` and `configs`: id → {"name", "data" (base64)}; `services`: id → {"ID", "Name", "Labels", "auth"}; `cluster`: see ClusterState;
    `node`: what the node is to be: {"role", "managers" ([id, address] each), "roots" (PEM), "issuer" (the root that is to have signed its
    certificate)}; `logs`: requests for tasks' output, see `manager/logbroker.py`.
    """

    complete: bool
    tasks: tuple[Task, ...] = ()
    removed: tuple[str, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    cluster: "ClusterState | None" = None
    node: Mapping[str, Any] | None = None
    logs: tuple[Mapping[str, Any], ...] = ()


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
    tunnels: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Node id → its public keys for encrypted networks, the one in use first: {"key" (base64), "port" (UDP)}. Of this node, and of those
    that share an encrypted network with it."""


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

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        """Addresses on a network for a plain container of this node: see `manager/leases.py`."""

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        """Give them back."""

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """The public keys of this node for encrypted networks: see `manager/keymanager.py`."""

    async def leave(self) -> None:
        """The node leaves the cluster: it is down from now on."""

    async def close(self) -> None:
        """The session has ended; whatever it stood on is closed."""


def pack(assignment: Assignment) -> dict[str, Any]:
    """As JSON-ready data."""
    found = {name: value for name in _PLAIN if (value := getattr(assignment, name))}
    found["tasks"] = [to_json(task) for task in assignment.tasks]
    if assignment.cluster is not None:
        state = assignment.cluster
        found["cluster"] = {
            **{one.name: getattr(state, one.name) for one in fields(state)},
            "peers": [_document(peer) for peer in state.peers],
            "services": [_document(service) for service in state.services],
        }
    return found


def unpack(data: Mapping[str, Any]) -> Assignment:
    """What `pack` made; fields of a newer engine are left out. Raises KeyError, TypeError, ValueError for what is no assignment."""
    state = data.get("cluster")
    cluster: ClusterState | None = None
    if state is not None:
        values = {**_known(ClusterState, state), "peers": (), "services": ()}
        values["peers"] = tuple(Peer(**_known(Peer, row)) for row in state.get("peers") or ())
        values["services"] = tuple(ServiceState(**_known(ServiceState, row)) for row in state.get("services") or ())
        cluster = ClusterState(**values)
    tasks = tuple(cast("Task", from_json(Task.kind, row)) for row in data.get("tasks") or ())
    plain = {name: _frozen(data[name]) for name in _PLAIN if name in data}
    return Assignment(**{"complete": False, **plain, "tasks": tasks, "cluster": cluster})


_PLAIN = ("complete", "removed", "secrets", "configs", "services", "node", "logs")


def _document(one: Any) -> dict[str, Any]:
    return {part.name: getattr(one, part.name) for part in fields(one)}


def _known(cls: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    return {name: _frozen(value) for name, value in row.items() if name in names}


def _frozen(value: Any) -> Any:
    """Lists as tuples, as the dataclasses have them; also those in a mapping (a service's further names)."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, Mapping):
        return {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
    return value


def pack_status(status: TaskStatus) -> dict[str, Any]:
    """A status as JSON-ready data."""
    return cast("dict[str, Any]", to_json(status))
