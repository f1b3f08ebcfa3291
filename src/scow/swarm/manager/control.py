"""The control API: each call checks what it is asked and writes it in one transaction. Nothing else changes specs.

Runs on every manager (the store commits or says why not).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scow.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unsupported
from scow.filters import Filters
from scow.opts import autoscale, schedule
from scow.swarm import specs, view
from scow.swarm.clock import Clock
from scow.swarm.identity import new_id
from scow.swarm.manager.addresses import IPNetwork
from scow.swarm.manager.filtering import labels_match, passes
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.update import roll_back
from scow.swarm.manager.payloads import Payloads
from scow.swarm.manager.tasks import is_dirty
from scow.swarm.objects import Config, Network, Node, Object, Secret, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import OutOfSequence, Store, Tx
from scow.swarm.wording import invalid, precondition, rpc

Json = dict[str, Any]

_MAX_NETWORK_NAME = 63

_STATES = {state.text: state for state in TaskState}


class Control:
    """Services, nodes, tasks, secrets, configs and networks of the cluster."""

    def __init__(self, store: Store, clock: Clock, local_network: Callable[[str], str]) -> None:
        """`local_network(id or name)`: the name of a network that every node has by itself (host, bridge, none), "" for others."""
        self._store = store
        self._clock = clock
        self._local_network = local_network
        self.secrets = Payloads(store, Secret, view.secret)
        self.configs = Payloads(store, Config, view.config)

    # --- services

    async def create_service(self, spec: Mapping[str, Any], auth: str = "") -> str:
        """Make a service; its id. Raises InvalidArgument, Conflict (name), NotFound (a secret, config or network)."""
        checked = specs.service(spec)
        id = new_id()

        def write(tx: Tx) -> None:
            found = self._resolved(tx, checked)
            self._check_ports(tx, found, id)
            job = found["Mode"].get("ReplicatedJob") is not None or found["Mode"].get("GlobalJob") is not None
            executed = self._clock.now_ns() if job else 0
            tx.create(Service(id=id, spec=found, registry_auth=auth, job_executed_ns=executed, scheduled_ns=executed))

        await self._store.update(write)
        return id

    def _resolved(self, tx: Tx, spec: Json) -> Json:
        """The spec with networks by id; secrets and configs must be there. Raises InvalidArgument, NotFound."""
        template = dict(spec["TaskTemplate"])
        for holder in (template, spec):
            if holder.get("Networks"):
                holder["Networks"] = [self._network_row(tx, row) for row in holder["Networks"]]
        container = template["ContainerSpec"]
        for kind, cls in (("Secret", Secret), ("Config", Config)):
            for row in container.get(f"{kind}s") or ():
                held: Object | None = tx.get(cls, str(row[f"{kind}ID"]))
                if held is None or getattr(held, "name", "") != row[f"{kind}Name"]:
                    raise invalid(f"{kind.lower()} not found: {row[f'{kind}Name']}")
        return {**spec, "TaskTemplate": template}

    def _network_row(self, tx: Tx, given: Mapping[str, Any]) -> Json:
        row = dict(given)
        target = str(row.get("Target") or "")
        try:
            network = tx.find(Network, target)
        except NotFound:
            if name := self._local_network(target):
                return {**row, "Name": name}
            raise NotFound(f"network {target} not found") from None
        if network.ingress:
            raise invalid(f'Service cannot be explicitly attached to the ingress network "{network.name}"')
        return {**row, "Target": network.id}

    def _check_ports(self, tx: Tx, spec: Mapping[str, Any], id: str) -> None:
        """No other service has a port of the mesh, and nobody publishes on hosts what the mesh has."""
        mine = _published(spec)
        if not mine:
            return
        for other in tx.all(Service):
            if other.id == id:
                continue
            for key, modes in {**_published(other.spec), **_ports_of((other.endpoint or {}).get("Ports") or ())}.items():
                mode = "ingress" if "ingress" in modes else "host"
                if key in mine and (mode == "ingress" or "ingress" in mine[key]):
                    word = "an ingress port" if mode == "ingress" else "a host-published port"
                    raise invalid(f"port '{key[1]}' is already in use by service '{other.name}' ({other.id}) as {word}")

    async def update_service(
        self, ref: str, version: int, spec: Mapping[str, Any], auth: str = "", auth_from: str = "", rollback: str = ""
    ) -> None:
        """Change a service, or give it its previous spec again. Raises NotFound, InvalidArgument, OutOfSequence."""
        if rollback not in ("", "previous"):
            raise InvalidArgument(f"unrecognized rollback option {rollback}")
        if auth_from not in ("", "spec", "previous-spec"):
            raise InvalidArgument("unsupported registryAuthFrom value")
        checked = specs.service(spec) if not rollback else {}
        unnumbered = ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas") is None

        def write(tx: Tx) -> None:
            service = tx.find(Service, ref)
            if service.unseen(version):
                raise OutOfSequence
            if auth_from == "previous-spec" and service.previous_spec is None:
                raise InvalidArgument("service does not have a previous spec")
            if rollback:
                if service.previous_spec is None:
                    raise precondition(f"service {service.id} does not have a previous spec")
                roll_back(tx, service.id, service.spec_version, self._clock.now_ns(), "manually requested rollback")
                self._note_schedule(tx, service)
                return
            found = self._resolved(tx, checked)
            if unnumbered and service.replicas and any(key.startswith(autoscale.PREFIX) for key in found["Labels"]):
                # who names no number leaves it to the load
                found["Mode"] = {"Replicated": {"Replicas": service.replicas}}
            self._check_change(tx, service, found)
            changed = service.changed(
                spec=found,
                previous_spec=service.spec,
                spec_version=service.spec_version + 1,
                update_status=None,
                registry_auth=auth or service.registry_auth,
            )
            forced = found["TaskTemplate"].get("ForceUpdate") != service.task_spec.get("ForceUpdate")
            if service.mode.endswith("-job") and forced:
                changed = changed.changed(job_iteration=service.job_iteration + 1, job_executed_ns=self._clock.now_ns())
            tx.update(changed)
            self._note_schedule(tx, service)

        await self._store.update(write)

    def _note_schedule(self, tx: Tx, before: Service) -> None:
        """A job whose schedule has changed runs at the times that come from now on: those that have passed were none of it."""
        service = tx.get(Service, before.id)
        if service is not None and service.labels.get(schedule.LABEL) != before.labels.get(schedule.LABEL):
            tx.update(service.changed(scheduled_ns=self._clock.now_ns()))

    def _check_change(self, tx: Tx, service: Service, spec: Mapping[str, Any]) -> None:
        if str(spec["Name"]) != service.name:
            raise Unsupported(rpc("Unimplemented", "renaming services is not supported"))
        if set(spec["Mode"]) != set(service.spec.get("Mode") or {"Replicated": {}}):
            raise Unsupported(rpc("Unimplemented", "service mode change is not allowed"))
        self._check_ports(tx, spec, service.id)

    async def remove_service(self, ref: str) -> None:
        """Remove; its tasks end by themselves. Raises NotFound."""

        def write(tx: Tx) -> None:
            service = tx.find(Service, ref)
            tx.delete(Service, service.id)

        await self._store.update(write)

    def service(self, ref: str, defaults: bool = False) -> Json:
        """One service. Raises NotFound. `defaults`: with what Docker fills in where the spec is silent."""
        found = view.service(self._store.find(Service, ref))
        if defaults:
            found["Spec"] = with_defaults(found["Spec"])
        return found

    def services(self, filters: Filters, status: bool = False) -> list[Json]:
        """Services that pass."""
        up = {node.id for node in self._store.all(Node) if node.status_state != "down"}
        found: list[Json] = []
        for one in sorted(self._store.all(Service), key=lambda service: service.name):
            if not passes(filters, one.id, one.name, one.labels):
                continue
            if "mode" in filters and one.mode not in filters.values("mode"):
                continue
            if "runtime" in filters and "container" not in filters.values("runtime"):
                continue
            counted = None
            if status:
                tasks = self._store.by(Task, "service", one.id)
                eligible = 0
                if one.mode == "global" and not tasks:
                    eligible = sum(constraints.match(one, node) for node in self._store.all(Node))
                counted = view.counts(tasks, up, one, eligible)
            found.append(view.service(one, counted))
        return found

    # --- tasks

    def task(self, ref: str) -> Json:
        """One task. Raises NotFound."""
        return view.task(self._store.find(Task, ref))

    def tasks(self, filters: Filters) -> list[Json]:
        """Tasks that pass. Raises InvalidArgument (a state that is none), NotFound (a service or node)."""
        wanted: set[TaskState] = set()
        for text in filters.values("desired-state"):
            if text not in _STATES:
                raise InvalidArgument(f"Invalid desired-state filter: '{text}'")
            wanted.add(_STATES[text])
        services = {self._store.find(Service, text).id for text in filters.values("service")}
        nodes = {self._store.find(Node, text).id for text in filters.values("node")}
        pool = [task for id in services for task in self._store.by(Task, "service", id)] if services else self._store.all(Task)
        found: list[Json] = []
        for one in pool:
            if wanted and one.desired_state not in wanted:
                continue
            if nodes and one.node_id not in nodes:
                continue
            if not passes(filters, one.id, one.name, one.spec.get("ContainerSpec", {}).get("Labels") or {}):
                continue
            if "_up-to-date" in filters:
                service = self._store.get(Service, one.service_id)
                # clients wait until all are: those of a service that was only scaled are not made anew
                fresh = service is not None and not is_dirty(service, one)
                if filters.boolean("_up-to-date", True) is not fresh:
                    continue
            found.append(view.task(one))
        return found

    # --- nodes

    def node(self, ref: str) -> Json:
        """One node. Raises NotFound."""
        return view.node(self._store.find(Node, ref))

    def nodes(self, filters: Filters) -> list[Json]:
        """Nodes that pass. Raises InvalidArgument."""
        for role in filters.values("role"):
            if role not in ("worker", "manager"):
                raise InvalidArgument(f"Invalid role filter: '{role}'")
        for membership in filters.values("membership"):
            if membership not in ("accepted", "pending"):
                raise InvalidArgument(f"Invalid membership filter: '{membership}'")
        found: list[Json] = []
        for one in self._store.all(Node):
            engine = (one.description.get("Engine") or {}).get("Labels") or {}
            if not passes(filters, one.id, one.hostname, engine):
                continue
            if "role" in filters and one.role not in filters.values("role"):
                continue
            if "membership" in filters and "accepted" not in filters.values("membership"):
                continue
            if not labels_match(filters.values("node.label"), one.spec.get("Labels") or {}):
                continue
            found.append(view.node(one))
        return found

    async def update_node(self, ref: str, version: int, spec: Mapping[str, Any]) -> None:
        """Change a node's labels, availability or wished role. Raises NotFound, InvalidArgument, Conflict (the last manager)."""
        checked = specs.node(spec)

        def write(tx: Tx) -> None:
            node = tx.find(Node, ref)
            if node.unseen(version):
                raise OutOfSequence
            if node.role == "manager" and checked["Role"] == "worker":
                managers = [one for one in tx.all(Node) if one.role == "manager"]
                if len(managers) <= 1:
                    raise precondition("attempting to demote the last manager of the swarm")
                reachable = [one for one in managers if (one.manager or {}).get("Reachability") == "reachable" and one.id != node.id]
                if len(reachable) <= (len(managers) - 1) // 2:
                    raise precondition("can't remove member from the raft: this would result in a loss of quorum")
            tx.update(node.changed(spec=checked))

        await self._store.update(write)

    async def remove_node(self, ref: str, force: bool) -> None:
        """Forget a node. Raises NotFound, Conflict (a manager, or still up without `force`)."""

        def write(tx: Tx) -> None:
            node = tx.find(Node, ref)
            if node.role == "manager" or node.manager is not None:
                raise precondition(
                    f"node {node.id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
                )
            if node.status_state == "ready" and not force:
                raise precondition(f"node {node.id} is not down and can't be removed")
            for task in tx.by(Task, "node", node.id):
                if not task.over:
                    tx.update(task.changed(status=TaskStatus(TaskState.ORPHANED, self._clock.now_ns(), "node was removed")))
            tx.delete(Node, node.id)

        await self._store.update(write)

    # --- networks

    async def create_network(self, spec: Mapping[str, Any]) -> str:
        """Make a network of swarm scope; its id. Raises InvalidArgument, NameTaken."""
        id = new_id()
        name = str(spec.get("Name") or "")
        if len(name) > _MAX_NETWORK_NAME:
            raise invalid(f"name must be {_MAX_NETWORK_NAME} characters or fewer")
        if not re.match(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", name):
            raise invalid("name must be valid as a DNS name component")
        ingress = bool(spec.get("Ingress"))
        if ingress and spec.get("Attachable"):
            raise invalid("ingress network cannot be attachable")
        overlay = str(spec.get("Driver") or "overlay") == "overlay"
        asked = [row for row in (spec.get("IPAM") or {}).get("Config") or () if row.get("Subnet")]

        def write(tx: Tx) -> None:
            before = next((network for network in tx.all(Network) if network.ingress), None)
            if ingress and before is not None:
                raise Conflict(rpc("AlreadyExists", f"ingress network ({before.id}) is already present"))
            taken = [_subnet(row) for other in tx.all(Network) for row in other.ipam.get("Config") or () if row.get("Subnet")]
            if overlay and any(_subnet(row).overlaps(one) for row in asked for one in taken if one.version == _subnet(row).version):
                raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
            tx.create(Network(id=id, spec=dict(spec), ingress=ingress))

        await self._store.update(write)
        return id

    def network(self, ref: str) -> Network:
        """One network. Raises NotFound."""
        return self._store.find(Network, ref)

    def networks(self) -> list[Network]:
        """All networks of swarm scope."""
        return self._store.all(Network)

    async def remove_network(self, ref: str) -> None:
        """Remove a network that nothing uses. Raises NotFound, Conflict."""

        def write(tx: Tx) -> None:
            network = tx.find(Network, ref)
            for service in tx.all(Service):
                if network.id in service.network_ids:
                    raise _in_use(f"network {network.id} is in use by service {service.id}")
                if network.ingress and any(row.get("PublishMode") != "host" for row in service.endpoint.get("Ports") or ()):
                    raise _in_use(f"ingress network cannot be removed because service {service.id} depends on it")
            for task in tx.all(Task):
                stays = task.active and tx.get(Service, task.service_id) is not None
                if stays and any(row["Network"]["ID"] == network.id for row in task.networks):
                    raise _in_use(f"network {network.id} is in use by task {task.id}")
            holders = [holder for holder in network.leases.values() if holder.startswith("container:")]
            if holders:
                raise _in_use(f"network {network.name} is in use by a container")
            tx.delete(Network, network.id)

        await self._store.update(write)


def _in_use(text: str) -> Conflict:
    return Conflict(rpc("FailedPrecondition", text))


def _published(spec: Mapping[str, Any]) -> dict[tuple[str, int], set[str]]:
    return _ports_of((spec.get("EndpointSpec") or {}).get("Ports") or ())


def _ports_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], set[str]]:
    """(protocol, published port) → how it is published."""
    found: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        if row.get("PublishedPort"):
            key = (str(row.get("Protocol") or "tcp"), int(row["PublishedPort"]))
            found.setdefault(key, set()).add(str(row.get("PublishMode") or "ingress"))
    return found


def _subnet(row: Mapping[str, Any]) -> IPNetwork:
    return ipaddress.ip_network(str(row["Subnet"]), strict=False)


def with_defaults(spec: Mapping[str, Any]) -> Json:
    """A service's spec with what Docker does where it is silent (`insertDefaults`)."""
    template = dict(spec.get("TaskTemplate") or {})
    container = {"StopGracePeriod": 10_000_000_000, "DNSConfig": {}, **dict(template.get("ContainerSpec") or {})}
    template["ContainerSpec"] = container
    template["RestartPolicy"] = {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0, **dict(template.get("RestartPolicy") or {})}
    found = {**spec, "TaskTemplate": template}
    config = {"Parallelism": 1, "Delay": 0, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"}
    if "Replicated" in (spec.get("Mode") or {}) or "Global" in (spec.get("Mode") or {}):
        found["UpdateConfig"] = {**config, **dict(spec.get("UpdateConfig") or {})}
        found["RollbackConfig"] = {**config, **dict(spec.get("RollbackConfig") or {})}
    return found
