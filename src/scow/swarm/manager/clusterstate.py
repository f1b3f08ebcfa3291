"""What the networks of each node are made of (`wire.ClusterState`), and whom a change concerns. The dispatcher's.

Which nodes take part in which network is counted as tasks come and go, so that a change of a task touches only the nodes that share a
network with it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scow.swarm.manager.allocator import node_of, view_of
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Network, Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Reader
from scow.swarm.wire import ClusterState, Peer, ServiceState

_DATA_PATH_PORT = 4789


class ClusterStates:
    """Made of the store, when they are asked for."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._members: dict[str, Counter[str]] = {}  # network → node → tasks; 0 stays: who has none any more is to hear of it, too

    # --- whom a change concerns

    def setup(self) -> None:
        """Count everything."""
        self._members = {}
        for task in self._store.all(Task):
            self.count(task, 1)

    def count(self, task: Task, sign: int) -> None:
        """A task has come (1) or gone (-1), or is another one now (both)."""
        if task.node_id and not task.over:
            for row in task.networks:
                self._members.setdefault(str(row["Network"]["ID"]), Counter())[task.node_id] += sign

    def concerned(self, ids: Iterable[str], everybody: Iterable[str]) -> set[str]:
        """The nodes that take part in networks: of the ingress network that is everybody."""
        found: set[str] = set()
        for id in ids:
            found |= set(self._members.get(id, ()))
            network = self._store.get(Network, id)
            if network is not None:
                found |= {node_of(holder) for holder in network.leases.values()}
                if network.ingress:
                    found |= set(everybody)
        return found

    # --- the states

    def of(self, node_id: str) -> ClusterState:
        """What a node's networks are made of."""
        networks: dict[str, Network] = {}
        for network in self._store.all(Network):
            here = self._members.get(network.id, Counter[str]())[node_id] or any(
                holder.startswith(f"container:{node_id}:") for holder in network.leases.values()
            )
            if network.ipam.get("Config") and (here or network.ingress):
                networks[network.id] = network
        peers = [*self._task_peers(networks), *self._lease_peers(networks)]
        cluster = cluster_of(self._store)
        own = {
            id: f"{address}/{_length(network)}"
            for id, network in networks.items()
            for address, holder in network.leases.items()
            if holder == f"node:{node_id}"
        }
        return ClusterState(
            node_id,
            {node.id: node.address for node in self._store.all(Node) if node.address},
            {id: view_of(network) for id, network in networks.items()},
            tuple(peers),
            tuple(self._service_states(networks)),
            own,
            cluster.data_path_port if cluster else _DATA_PATH_PORT,
            self._tunnels(node_id, networks, peers),
        )

    def _tunnels(self, node_id: str, networks: Mapping[str, Network], peers: Sequence[Peer]) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """See ClusterState."""
        encrypted = {id for id, network in networks.items() if network.encrypted}
        nodes = {peer.node for peer in peers if peer.network in encrypted} | {node_id}
        return {id: node.tunnel for id in sorted(nodes) if (node := self._store.get(Node, id)) is not None and node.tunnel}

    def _task_peers(self, networks: Mapping[str, Network]) -> list[Peer]:
        found: list[Peer] = []
        services = [
            service
            for service in self._store.all(Service)
            if service.endpoint.get("Ports") or any(id in networks for id in service.network_ids)
        ]
        for service in services:
            for task in self._store.by(Task, "service", service.id):
                if not task.node_id or task.over or task.status.state < TaskState.ASSIGNED:
                    continue
                for row in task.networks:
                    id = str(row["Network"]["ID"])
                    if id in networks:
                        names = (task.name, *(str(alias) for alias in row.get("Aliases") or ()))
                        found += [
                            Peer(id, str(address).partition("/")[0], task.node_id, task.id, service.id, names, serves(task))
                            for address in row.get("Addresses") or ()
                        ]
        return found

    @staticmethod
    def _lease_peers(networks: Mapping[str, Network]) -> list[Peer]:
        found: list[Peer] = []
        for id, network in networks.items():
            for address, holder in network.leases.items():
                kind, _, rest = holder.partition(":")
                if kind == "node":
                    found.append(Peer(id, address, rest, holder))
                elif kind == "container":  # container:<node>:<id>:<names>
                    node, _, tail = rest.partition(":")
                    container, _, names = tail.partition(":")
                    found.append(Peer(id, address, node, container, "", tuple(name for name in names.split(",") if name)))
        return found

    def _service_states(self, networks: Mapping[str, Network]) -> list[ServiceState]:
        found: list[ServiceState] = []
        for service in self._store.all(Service):
            addresses = {
                str(row["NetworkID"]): str(row["Addr"]).partition("/")[0]
                for row in service.endpoint.get("VirtualIPs") or ()
                if str(row["NetworkID"]) in networks
            }
            mine = [id for id in service.network_ids if id in networks]
            ports = tuple(row for row in service.endpoint.get("Ports") or () if row.get("PublishMode") != "host")
            if not addresses and not mine and not ports:
                continue
            rows = service.task_spec.get("Networks") or service.spec.get("Networks") or ()
            aliases = {str(row["Target"]): tuple(row.get("Aliases") or ()) for row in rows if row.get("Target") in networks}
            mode = str((service.spec.get("EndpointSpec") or {}).get("Mode") or "vip")
            found.append(ServiceState(service.id, service.name, mode, addresses, aliases, ports))
        return found


def serves(task: Object | None) -> bool:
    """Whether load may go to a task: it runs (and is healthy) and is not told to end."""
    return isinstance(task, Task) and task.status.state is TaskState.RUNNING and task.wanted


def _length(network: Network) -> str:
    for row in network.ipam.get("Config") or ():
        return str(row.get("Subnet") or "").partition("/")[2] or "24"
    return "24"
