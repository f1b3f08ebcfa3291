"""Gives networks their subnets and VXLAN ids, services their virtual addresses and ports, tasks their addresses.

A task comes in NEW and leaves as PENDING. What is taken is known from the store alone (tasks, services, networks hold their addresses), so
a new leader reads it from there; an address is free again when its task has ended.
"""

import contextlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from scow import log
from scow.errors import Conflict, ScowError
from scow.swarm.clock import Clock
from scow.swarm.manager.addresses import FIRST_VNI, SIZE6, Ports, Subnet, local6, next_subnet
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Network, Node, Object, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import Change, Store, Tx
from scow.units import rfc3339nano

logger = log.get(__name__)

_BATCH = 200
_FROM_MASK = 24


class Allocator:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Network, Service, Task, Node)

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._subnets: dict[str, list[Subnet]] = {}
        self._ports = Ports()
        self._held: dict[str, list[tuple[str, str]]] = {}  # task or "vip:service" → (network, address)
        self._refused: dict[str, str] = {}  # service without virtual addresses → why
        self._networks: set[str] = set()
        self._services: set[str] = set()
        self._tasks: dict[str, None] = {}
        self._ends: set[tuple[str, str]] = set()  # (ingress network, node): each node has an address of its own there

    # --- what is taken

    def setup(self) -> None:
        """See Loop."""
        self._subnets, self._held, self._ports = {}, {}, Ports()
        self._networks, self._services, self._tasks, self._ends = set(), set(), {}, set()
        for network in self._store.all(Network):
            self._learn_network(network)
        for service in self._store.all(Service):
            self._learn_service(service)
            self._services.add(service.id)
        for task in self._store.all(Task):
            self._learn_task(task)
        nodes = {node.id for node in self._store.all(Node)}
        for network in self._store.all(Network):
            # who was removed under the leader before may still have addresses
            gone = {node_of(holder) for holder in network.leases.values()} - nodes
            self._ends |= {(network.id, id) for id in (gone | nodes if network.ingress else gone)}

    def _learn_network(self, network: Network) -> None:
        rows = network.ipam.get("Config") or ()
        if not rows:
            self._networks.add(network.id)
            return
        if network.id not in self._subnets:
            made = [_subnet(row) for row in rows]
            self._subnets[network.id] = made
            for row in rows:
                for address in (row.get("Gateway"), *(row.get("AuxiliaryAddresses") or {}).values()):
                    if address:
                        self._mark(network.id, str(address))
        for address in network.leases:
            self._mark(network.id, address)

    def _mark(self, network_id: str, address: str) -> None:
        for subnet in self._subnets.get(network_id, ()):
            if subnet.holds(address):
                subnet.take(address)

    def _learn_service(self, service: Service) -> None:
        holder = f"vip:{service.id}"
        self._held[holder] = [
            (str(row["NetworkID"]), str(row["Addr"])) for row in service.endpoint.get("VirtualIPs") or () if row.get("Addr")
        ]
        for network_id, address in self._held[holder]:
            self._mark(network_id, address)
        for row in service.endpoint.get("Ports") or ():
            if row.get("PublishMode") != "host" and row.get("PublishedPort"):
                try:
                    self._ports.take(str(row["Protocol"]), int(row["PublishedPort"]), service.id)
                except ScowError as error:
                    logger.warning("ports of service %s: %s", service.name, error.message)

    def _learn_task(self, task: Task) -> None:
        if task.over:
            return
        self._held[task.id] = [(str(row["Network"]["ID"]), str(address)) for row in task.networks for address in row.get("Addresses") or ()]
        for network_id, address in self._held[task.id]:
            self._mark(network_id, address)
        if task.status.state is TaskState.NEW:
            self._tasks[task.id] = None

    def _release(self, holder: str, kept: Collection[tuple[str, str]] = ()) -> None:
        for network_id, address in self._held.pop(holder, ()):
            if (network_id, address) not in kept:
                self._free(network_id, address)

    def _free(self, network_id: str, address: str) -> None:
        for subnet in self._subnets.get(network_id, ()):
            subnet.free(address)

    # --- changes

    def handle(self, change: Change) -> None:
        """See Loop."""
        one, gone = change.object, change.new is None
        if isinstance(one, Network):
            self._network_changed(change.old, one, gone)
        elif isinstance(one, Node):
            if gone:
                self._ends |= {(network.id, one.id) for network in self._store.all(Network) if _has_lease(network, one.id)}
            elif change.old is None:
                self._ends |= {(network.id, one.id) for network in self._store.all(Network) if network.ingress}
        elif isinstance(one, Service):
            if gone:
                self._release(f"vip:{one.id}")
                self._ports.release(one.id)
                self._services.discard(one.id)
                self._refused.pop(one.id, None)
            else:
                self._services.add(one.id)
        elif isinstance(one, Task):
            if gone or one.over:
                self._release(one.id)
                self._tasks.pop(one.id, None)
            elif one.status.state is TaskState.NEW:
                self._tasks[one.id] = None

    def _network_changed(self, before: Object | None, network: Network, gone: bool) -> None:
        if gone:
            self._subnets.pop(network.id, None)
            self._networks.discard(network.id)
            return
        for address in set(before.leases) - set(network.leases) if isinstance(before, Network) else ():
            self._free(network.id, address)
        self._learn_network(network)
        if network.ingress:
            self._ends |= {(network.id, node.id) for node in self._store.all(Node)}

    async def tick(self) -> None:
        """See Loop."""
        for network_id in list(self._networks):
            try:
                await self._store.update(partial(self._network, network_id=network_id))
            except Conflict as error:
                logger.warning("network %s gets no subnet: %s", network_id, error.message)
            self._networks.discard(network_id)
        for service_id in list(self._services):
            try:
                await self._store.update(partial(self._service, service_id=service_id))
            except Conflict as error:  # stays noted: an address that comes free is a change
                if self._refused.get(service_id) != error.message:
                    logger.warning("service %s gets no virtual address: %s", service_id, error.message)
                self._refused[service_id] = error.message
            else:
                self._services.discard(service_id)
                self._refused.pop(service_id, None)
        for network_id, node_id in list(self._ends):
            if network_id in self._subnets or self._store.get(Network, network_id) is None:
                await self._store.update(partial(self._node_end, network_id=network_id, node_id=node_id))
                self._held.pop(f"node:{node_id}", None)  # from here on the network itself holds it
                self._ends.discard((network_id, node_id))
        waiting = list(self._tasks)
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            done = await self._store.update(partial(self._allocate_tasks, ids=batch))
            for id in done:
                self._tasks.pop(id, None)

    # --- networks

    def _node_end(self, tx: Tx, network_id: str, node_id: str) -> None:
        """Give a node its own address on a network, or take that of a node that is gone back."""
        network = tx.get(Network, network_id)
        if network is None or not is_overlay(network):
            return
        holder = f"node:{node_id}"
        if tx.get(Node, node_id) is None:  # its containers' addresses, too
            leases = {address: who for address, who in network.leases.items() if node_of(who) != node_id}
            if len(leases) == len(network.leases):
                return
        elif holder in network.leases.values():
            return
        else:
            self._release(holder)
            address = self._unleased(network, self._subnets[network_id][0])
            self._held[holder] = [(network_id, address)]
            leases = {**network.leases, address.partition("/")[0]: holder}
        tx.update(network.changed(leases=leases))

    def _network(self, tx: Tx, network_id: str) -> None:
        network = tx.get(Network, network_id)
        if network is None or network.ipam.get("Config"):
            return
        if str(network.spec.get("Driver") or "overlay") != "overlay":
            given = (network.spec.get("IPAM") or {}).get("Config") or ()
            tx.update(network.changed(ipam={"Driver": "default", "Config": [dict(row) for row in given] or [{}]}))
            return
        cluster = cluster_of(tx)
        pools = cluster.default_addr_pool if cluster else ("10.0.0.0/8",)
        prefix = cluster.subnet_size if cluster else _FROM_MASK
        taken = [str(row["Subnet"]) for other in tx.all(Network) for row in other.ipam.get("Config") or () if row.get("Subnet")]
        rows: list[dict[str, Any]] = []
        asked = [dict(row) for row in (network.spec.get("IPAM") or {}).get("Config") or ()]
        if not any("." in str(row.get("Subnet") or ".") for row in asked):
            asked.insert(0, {})
        if network.spec.get("EnableIPv6") and not any(":" in str(row.get("Subnet") or "") for row in asked):
            asked.append({"Subnet": next_subnet((local6(cluster.id if cluster else ""),), SIZE6, taken)})
        for row in asked:
            if not row.get("Subnet"):
                row["Subnet"] = next_subnet(pools, prefix, taken)
                taken.append(row["Subnet"])
            subnet = _subnet(row)
            if not row.get("Gateway"):
                row["Gateway"] = subnet.allocate().partition("/")[0]
            rows.append(row)
        vnis = {other.vni for other in tx.all(Network)}
        vni = network.vni or next(number for number in itertools.count(FIRST_VNI) if number not in vnis)
        driver = (network.spec.get("IPAM") or {}).get("Driver") or "default"
        tx.update(network.changed(ipam={"Driver": driver, "Config": rows}, vni=vni))

    # --- services

    def _ingress(self, tx: Tx) -> Network | None:
        return next((network for network in tx.all(Network) if network.ingress), None)

    def _wanted_networks(self, tx: Tx, service: Service) -> list[str]:
        """Networks on which a service has a virtual address."""
        spec = service.spec.get("EndpointSpec") or {}
        if str(spec.get("Mode") or "vip") == "dnsrr":
            return []
        found = [id for id in service.network_ids if (network := tx.get(Network, id)) is not None and is_overlay(network)]
        ingress = self._ingress(tx)
        if ingress is not None and _ingress_ports(spec):
            found.insert(0, ingress.id)
        return found

    def _service(self, tx: Tx, service_id: str) -> None:
        service = tx.get(Service, service_id)
        if service is None:
            return
        spec = service.spec.get("EndpointSpec") or {}
        before = {str(row["NetworkID"]): str(row["Addr"]) for row in service.endpoint.get("VirtualIPs") or ()}
        wanted = self._wanted_networks(tx, service)
        if any(id not in self._subnets for id in wanted):
            return  # comes again with the network's own change
        ports = self._service_ports(service, spec)
        holder = f"vip:{service.id}"
        self._release(holder, before.items())  # of a commit that others came before
        addresses: dict[str, str] = {}
        for id in wanted:
            addresses[id] = before.get(id) or self._unleased(tx.get(Network, id), self._subnets[id][0])
            self._held[holder] = list(addresses.items())
        endpoint: dict[str, Any] = {"Spec": dict(spec)}
        if ports:
            endpoint["Ports"] = ports
        if addresses:
            endpoint["VirtualIPs"] = [{"NetworkID": id, "Addr": address} for id, address in addresses.items()]
        for id, address in before.items():
            if id not in addresses:
                self._free(id, address)
        self._held[holder] = list(addresses.items())
        if dict(service.endpoint) != endpoint:
            tx.update(service.changed(endpoint=endpoint))

    def _service_ports(self, service: Service, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The ports as published: those without a number keep the one they got before, or get one now."""
        before = [dict(row) for row in service.endpoint.get("Ports") or ()]
        self._ports.release(service.id)
        found: list[dict[str, Any]] = []
        for given in spec.get("Ports") or ():
            row = dict(given)
            row.setdefault("Protocol", "tcp")
            row.setdefault("PublishMode", "ingress")
            if row["PublishMode"] == "ingress":
                protocol = str(row["Protocol"])
                if not row.get("PublishedPort"):
                    key = (row.get("Name"), row.get("TargetPort"), protocol)
                    same = [one for one in before if (one.get("Name"), one.get("TargetPort"), one.get("Protocol")) == key]
                    # of two rows for one target each keeps its own: another number each time would be a change without end
                    old = next((one for one in same if not self._ports.owner(protocol, int(one.get("PublishedPort") or 0))), None)
                    if old is not None:
                        row["PublishedPort"] = old["PublishedPort"]
                        self._ports.take(protocol, int(row["PublishedPort"]), service.id)
                    else:
                        row["PublishedPort"] = self._ports.allocate(protocol, service.id)
                else:
                    self._ports.take(protocol, int(row["PublishedPort"]), service.id)
            found.append(row)
        return found

    # --- tasks

    def _allocate_tasks(self, tx: Tx, ids: list[str]) -> list[str]:
        """Tasks from NEW to PENDING; the ids of those that are settled."""
        done: list[str] = []
        ingress = self._ingress(tx)
        for id in ids:
            task = tx.get(Task, id)
            if task is None or task.status.state is not TaskState.NEW:
                done.append(id)
                continue
            self._release(id)  # what it was given when this was tried before: others were faster
            service = tx.get(Service, task.service_id)
            if service is not None and not service.endpoint.get("Spec") and service.id in self._services:
                self._wait(tx, task, self._refused.get(service.id, ""))
                continue
            self._release(id)  # of a commit that others came before
            try:
                rows = self._attachments(tx, task, service, ingress)
            except ScowError as error:
                self._wait(tx, task, error.message)
                continue
            if rows is None:
                continue
            self._held[id] = [(str(row["Network"]["ID"]), str(address)) for row in rows for address in row["Addresses"]]
            endpoint = dict(service.endpoint) if service is not None else dict(task.endpoint)
            if service is not None:
                endpoint["Spec"] = (task.endpoint or {}).get("Spec") or {}
            status = TaskStatus(TaskState.PENDING, self._clock.now_ns(), "pending task scheduling")
            tx.update(task.changed(status=status, networks=tuple(rows), endpoint=endpoint))
            done.append(id)
        return done

    def _wait(self, tx: Tx, task: Task, why: str) -> None:
        if why and task.status.error != why:
            tx.update(task.changed(status=TaskStatus(TaskState.NEW, self._clock.now_ns(), "waiting for an address", why)))

    def _attachments(self, tx: Tx, task: Task, service: Service | None, ingress: Network | None) -> list[dict[str, Any]] | None:
        """A task's networks with its addresses, None when one of them is not ready. Raises Conflict when a network is full."""
        asked = [
            (str(row["Target"]), row) for row in task.spec.get("Networks") or (service.spec.get("Networks") if service else None) or ()
        ]
        if ingress is not None and _ingress_ports((task.endpoint or {}).get("Spec") or {}):
            asked.insert(0, (ingress.id, {}))
        rows: list[dict[str, Any]] = []
        for id, given in asked:
            network = tx.get(Network, id)
            if network is None or not is_overlay(network):
                local = view_of(network) if network else {"ID": id, "Spec": {"Name": str(given.get("Name") or id)}}
                rows.append({"Network": local, "Addresses": [], "Aliases": list(given.get("Aliases") or ())})
                continue
            if id not in self._subnets:
                self._give_back(rows)
                return None
            try:
                addresses = self._addresses(network)
            except ScowError:
                self._give_back(rows)
                raise
            rows.append({"Network": view_of(network), "Addresses": addresses, "Aliases": list(given.get("Aliases") or ())})
        return rows

    def _addresses(self, network: Network) -> list[str]:
        """One of each kind. Raises Conflict."""
        found: list[str] = []
        subnets = self._subnets[network.id]
        for version in sorted({subnet.net.version for subnet in subnets}):
            try:
                found.append(self._of_first(network, [subnet for subnet in subnets if subnet.net.version == version]))
            except Conflict:
                for address in found:
                    self._free(network.id, address)
                raise
        return found

    def _of_first(self, network: Network, subnets: Sequence[Subnet]) -> str:
        """An address of the first subnet that has some left. Raises Conflict."""
        *others, last = subnets
        for subnet in others:
            with contextlib.suppress(Conflict):
                return self._unleased(network, subnet)
        return self._unleased(network, last)

    @staticmethod
    def _unleased(network: Network | None, subnet: Subnet) -> str:
        """The next free address: a lease of a moment ago may not be marked yet. Raises Conflict."""
        address = subnet.allocate()
        while network is not None and address.partition("/")[0] in network.leases:
            address = subnet.allocate()
        return address

    def _give_back(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for address in row["Addresses"]:
                self._free(str(row["Network"]["ID"]), address)


def _subnet(row: Mapping[str, Any]) -> Subnet:
    if not row.get("Subnet"):
        return Subnet("127.0.0.0/32")  # a network whose addresses the nodes manage
    if row.get("IPRange"):
        import ipaddress

        span = ipaddress.ip_network(str(row["IPRange"]))
        return Subnet(str(row["Subnet"]), str(span.network_address), str(span.broadcast_address))
    return Subnet(str(row["Subnet"]))


def is_overlay(network: Network) -> bool:
    """Whether the swarm gives addresses on a network; those of other drivers are each node's own."""
    return str(network.spec.get("Driver") or "overlay") == "overlay"


def _ingress_ports(spec: Mapping[str, Any]) -> bool:
    return any(str(row.get("PublishMode") or "ingress") == "ingress" for row in spec.get("Ports") or ())


def node_of(holder: str) -> str:
    """The node whose lease it is."""
    return holder.split(":")[1] if ":" in holder else ""


def _has_lease(network: Network, node_id: str) -> bool:
    return any(node_of(holder) == node_id for holder in network.leases.values())


def view_of(network: Network) -> dict[str, Any]:
    """A network as a task's attachment holds it: what an agent needs to make it."""
    origin = (network.spec.get("ConfigFrom") or {}).get("Network")
    found: dict[str, Any] = {
        "ID": network.id,
        "CreatedAt": rfc3339nano(network.created_ns),
        "Spec": {
            "Name": network.name,
            "Labels": network.spec.get("Labels") or {},
            "DriverConfiguration": {"Name": network.spec.get("Driver") or "overlay", "Options": network.spec.get("Options") or {}},
            "Attachable": bool(network.spec.get("Attachable")),
            "Internal": bool(network.spec.get("Internal")),
            "Ingress": network.ingress,
            "IPv6Enabled": bool(network.spec.get("EnableIPv6")),
            "IPAMOptions": {"Driver": {"Name": network.ipam.get("Driver") or "default"}, "Configs": list(network.ipam.get("Config") or ())},
            "Scope": "swarm",
        },
        "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": list(network.ipam.get("Config") or ())},
    }
    if origin:
        found["Spec"]["ConfigFrom"] = {"Network": str(origin)}
    if network.vni:
        found["DriverState"] = {"Name": "overlay", "Options": {"com.docker.network.driver.overlay.vxlanid_list": str(network.vni)}}
    return found
