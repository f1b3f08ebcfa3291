"""The swarm's networks on this host: what the cluster says (`ClusterState`) as networks, ways to other hosts, names and load balancing.

Between two sides: `EngineExecutor` (its tasks need networks, its state comes from the dispatcher) and `NetworkService` (whose `Cluster`
this is: networks of swarm scope, addresses for plain containers). The last state is kept in the table `swarm_networks`, so
that names and balancing go on when the daemon comes back before it finds a manager. The kernel follows the state (`programming.py`).
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from scow import ids, log
from scow.aio import KeyedLock, Supervisor
from scow.engine_executor import netstate
from scow.engine_executor.programming import Programming
from scow.errors import Conflict, Internal, NotFound, ScowError, Unavailable
from scow.metadata import Database
from scow.model.network import EndpointIPAMConfig, EndpointSettings, NetworkCreate
from scow.network.cluster import GATEWAY
from scow.network.encryption.tunnel import Tunnel
from scow.network.endpoint import SandboxRequest
from scow.network.network import PREDEFINED, Network, Pool
from scow.network.service import NetworkService
from scow.swarm.objects import Task
from scow.swarm.wire import Assignment, ClusterState, Peer, pack, unpack

logger = log.get(__name__)

_TABLE, _ROW = "swarm_networks", "state"
_OTHERS_SECONDS = 0.5
_REMOVAL_SECONDS = 5.0


class Desk(Protocol):
    """The part of the cluster that networks ask (`swarm.desk.Desk`)."""

    @property
    def active(self) -> bool:
        """Whether this node is part of a swarm."""

    async def fresh(self) -> None:
        """See swarm.desk."""

    def networks(self) -> list[dict[str, Any]] | None:
        """See swarm.desk."""

    async def create(self, spec: Mapping[str, Any]) -> str:
        """See swarm.desk."""

    async def remove(self, id: str) -> None:
        """See swarm.desk."""

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        """See swarm.desk."""

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        """See swarm.desk."""

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """See swarm.desk."""


class SwarmNetworks:
    """The executor's `Networks` and the network service's `Cluster`."""

    def __init__(self, service: NetworkService, db: Database, tunnel: Tunnel) -> None:
        """`tunnel`: of this host, for encrypted networks."""
        self._service = service
        self._tunnel = tunnel
        self._table = db.table(_TABLE)
        self.desk: Desk | None = None
        self._state = self._stored()
        self._drained: set[str] = set()  # tasks that are about to end
        self._of_tasks: set[str] = set()  # containers of tasks
        self._leased: dict[str, set[str]] = {}  # container → networks
        self._returning: dict[str, asyncio.Task[None]] = {}  # container → its leases on their way back
        self._containers = KeyedLock()
        self._changing = asyncio.Lock()
        self._supervisor = Supervisor("swarm networks")
        self._kernel = Programming(service, tunnel, lambda: self._state, self._serves, self._supervisor)
        service.cluster = self

    # --- what the cluster says

    def _stored(self) -> ClusterState | None:
        row: dict[str, Any] | None = self._table.get(_ROW)
        if row is None:
            return None
        try:
            return unpack({"complete": True, "cluster": row}).cluster
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    async def recover(self) -> None:
        """At boot, once the networks and the containers are back: names and balancing of before."""
        if self._state is not None:
            self._name()
            await self._kernel.now(anew=True)

    async def configure(self, state: Mapping[str, Any]) -> None:
        """See Networks. Never raises for what the kernel refuses: tasks that need it are told in `ready`."""
        if state.get("joined"):
            await self._join()
        elif state.get("left"):
            await self.close()
        elif isinstance(cluster := state.get("cluster"), ClusterState):
            await self._take(cluster)

    async def _join(self) -> None:
        """The way out of overlay networks. Raises ScowError."""
        try:
            self._service.get(GATEWAY)
        except NotFound:
            bridge = "com.docker.network.bridge."
            options = {f"{bridge}name": GATEWAY, f"{bridge}enable_icc": "false", f"{bridge}enable_ip_masquerade": "true"}
            await self._service.create(NetworkCreate(name=GATEWAY, driver="bridge", options=options))

    async def _take(self, state: ClusterState) -> None:
        async with self._changing:
            self._state = state
            self._table.put(_ROW, pack(Assignment(True, cluster=state))["cluster"])
            await self._tunnel.begin(self._tell)
            self._tunnel.known(state.tunnels.get(state.node_id, ()))
            for id in state.networks:
                try:
                    await self._adopt(id)
                except ScowError as error:
                    logger.error("network %s of the swarm cannot be made: %s", id, error.message)
            await self._forsake(set(self._service.made) - set(state.networks))
        self._name()
        self._sweep(state)
        self._kernel.soon()

    async def _tell(self, keys: Sequence[Mapping[str, Any]]) -> None:
        await self._cluster().tunnel(keys)

    async def _adopt(self, id: str, view: Mapping[str, Any] | None = None) -> Network:
        """Make a network here as the cluster has it now. Raises ScowError."""
        view = (self._state.networks.get(id) if self._state is not None else None) or view
        if view is None:
            raise NotFound(f"network {id} not found")
        wanted = netstate.network(view, self._state)
        if self._service.made.get(id) != wanted:
            await self._kernel.encrypt(wanted)
            await self._service.adopt(wanted)
            self._kernel.remade(id)
        return wanted

    async def _forsake(self, network_ids: Collection[str]) -> None:
        held = {id for ids_ in self._leased.values() for id in ids_}
        for id in network_ids:
            if id not in held:
                with contextlib.suppress(ScowError):
                    await self._service.forsake(id)

    async def _forsake_unknown(self) -> None:
        async with self._changing:
            await self._forsake(set(self._service.made) - set(self._state.networks if self._state is not None else ()))

    def _sweep(self, state: ClusterState) -> None:
        """Leases whose container has gone while no manager could be told."""
        for peer in netstate.leased(state):
            container = peer.endpoint
            if container not in self._leased and container not in self._returning and container not in self._service.members(peer.network):
                self._give_back_soon(container, [peer.network])

    # --- names

    def _serves(self, peer: Peer) -> bool:
        return peer.ready and peer.endpoint not in self._drained

    def _name(self) -> None:
        state = self._state
        self._service.cluster_names.replace(*(netstate.names(state, self._serves) if state is not None else ({}, {})))

    # --- tasks

    async def ready(self, task: Task) -> None:
        """See Networks."""
        ports = [
            (str(row.get("Protocol") or "tcp"), int(row.get("PublishedPort") or 0))
            for row in task.endpoint.get("Ports") or ()
            if row.get("PublishMode") == "ingress"
        ]
        if ports:
            await self._kernel.now()  # they may have come with the task
        for proto, port in ports:
            if (proto, port) in self._service.balancers.refused:
                raise Conflict(f"port {port}/{proto} cannot be published on this node: a container has it")
        async with self._changing:
            for row in task.networks:
                view = row["Network"]
                if (view.get("Spec") or {}).get("Name") not in PREDEFINED and (view.get("Spec") or {}).get("DriverConfiguration"):
                    await self._adopt(str(view["ID"]), view)

    def starting(self, container_id: str) -> None:
        """See Networks."""
        self._of_tasks.add(container_id)

    async def unbalance(self, task: Task) -> None:
        """See Networks. Other hosts hear it from the cluster: they get a moment where there are any that send load to the task."""
        if not any(row.get("Addresses") for row in task.networks):
            return
        state = self._state
        self._drained.add(task.id)
        self._name()
        if state is None:
            return
        service = next((one for one in state.services if one.id == task.service_id and (one.addresses or one.ports)), None)
        if service is not None:
            await asyncio.wait([self._kernel.soon()])  # one for all tasks that end together
            if netstate.senders(state, service) - {state.node_id}:
                await asyncio.sleep(_OTHERS_SECONDS)

    async def gone(self, task: Task) -> None:
        """See Networks."""
        self._drained.discard(task.id)
        await self._forsake_unknown()

    # --- the end

    async def close(self) -> None:
        """See Networks."""
        self._state = None
        self._table.delete(_ROW)
        self._drained.clear()
        self._leased.clear()
        for id, network in self._service.made.items():
            for container in self._service.members(id):
                try:
                    await self._service.disconnect(container, id, force=True)
                except ScowError as error:
                    logger.warning("container %s stays on network %s: %s", ids.short(container), network.name, error.message)
        self._name()
        await self._forsake_unknown()
        await self._kernel.now()
        self._of_tasks.clear()
        await self._tunnel.forget()

    async def stop(self) -> None:
        """The daemon stops: networks and balancing stay."""
        await self._supervisor.close()
        await self._tunnel.close()

    async def take_down(self) -> None:
        """The engine stops for a while with all its tasks: no tunnel stays. What is left of the networks goes with the service's end."""
        await self._supervisor.close()
        await self._tunnel.forget()

    # --- Cluster: networks

    def networks(self) -> Sequence[Network]:
        """See Cluster."""
        known = self.desk.networks() if self.desk is not None else None
        found: Iterable[Mapping[str, Any]] = known or ()
        if known is None and self._state is not None:
            found = self._state.networks.values()
        return [netstate.network(view, self._state) for view in found]

    async def fresh(self) -> None:
        """See Cluster."""
        if self.desk is not None:
            await self.desk.fresh()

    def peers(self, network_id: str) -> list[dict[str, str]]:
        """See Cluster."""
        return netstate.hosts(self._state, network_id, network_id in self._service.made) if self._state is not None else []

    def services(self, network_id: str) -> dict[str, Any]:
        """See Cluster."""
        return netstate.services(self._state, network_id) if self._state is not None else {}

    def _cluster(self) -> Desk:
        if self.desk is None:
            raise Unavailable("this node has not come back to its swarm yet")
        return self.desk

    async def create(self, request: NetworkCreate, pools: Sequence[Pool]) -> str:
        """See Cluster."""
        return await self._cluster().create(netstate.spec(request, pools))

    async def remove(self, network: Network) -> None:
        """See Cluster."""
        if self._returning:
            await asyncio.wait(list(self._returning.values()), timeout=_REMOVAL_SECONDS)
        await self._cluster().remove(network.id)
        async with self._changing:
            await self._forsake([network.id])

    # --- Cluster: plain containers

    async def attaching(self, request: SandboxRequest) -> SandboxRequest:
        """See Cluster."""
        if request.mode.startswith("container:"):
            return request
        active = self.desk is not None and self.desk.active
        chosen = dict(request.endpoints) or {request.mode: EndpointSettings()}
        changed = False
        for name, asked in chosen.items():
            try:
                network: Network | None = self._service.get(name)
            except ScowError:
                network = None
            if name in ("", "default") or (network is not None and network.scope != "swarm") or not (active or network):
                continue
            if request.container_id in self._of_tasks:
                if network is not None and network.id not in self._service.made:
                    async with self._changing:
                        await self._adopt(network.id)
                continue
            try:
                chosen[name] = await self._lease(request, network.id if network is not None else name, asked)
                changed = True
            except NotFound:
                continue  # the network service has a better sentence
        return dataclasses.replace(request, endpoints=chosen) if changed else request

    async def connecting(self, request: SandboxRequest, network: Network, asked: EndpointSettings) -> EndpointSettings:
        """See Cluster."""
        return await self._lease(request, network.id, asked)

    async def _lease(self, request: SandboxRequest, ref: str, asked: EndpointSettings) -> EndpointSettings:
        """Addresses for a container, and its network made here; the settings with them. Raises ScowError."""
        container = request.container_id
        config = asked.ipam_config or EndpointIPAMConfig()
        wanted = [address for address in (config.ipv4_address, config.ipv6_address) if address]
        names = [request.name, *asked.aliases, ids.short(container), request.hostname]
        async with self._containers(container):
            try:
                answer = await self._cluster().lease(ref, container, [name for name in names if name], wanted)
            except Unavailable:
                answer = self._known_lease(container, ref)
                if not answer:
                    raise
            view, addresses = answer["network"], [str(one).partition("/")[0] for one in answer["addresses"]]
            id = str(view["ID"])
            self._leased.setdefault(container, set()).add(id)
            try:
                async with self._changing:
                    await self._adopt(id, view)
            except BaseException:
                await self.released(container, [id])
                raise
        four = next((one for one in addresses if ":" not in one), config.ipv4_address)
        six = next((one for one in addresses if ":" in one), config.ipv6_address)
        if not (four or six):
            return asked
        return dataclasses.replace(asked, ipam_config=dataclasses.replace(config, ipv4_address=four, ipv6_address=six))

    def _known_lease(self, container: str, network_id: str) -> Mapping[str, Any]:
        """What the cluster gave it earlier, for a node that cannot ask now."""
        state = self._state
        if state is None or network_id not in state.networks:
            return {}
        mine = [peer.address for peer in netstate.leased(state) if peer.endpoint == container and peer.network == network_id]
        return {"network": state.networks[network_id], "addresses": mine} if mine else {}

    async def attached(self, container_id: str, fresh: bool) -> None:
        """See Cluster."""
        await self._service.balancers.fit(container_id, fresh)

    async def released(self, container_id: str, network_ids: Sequence[str]) -> None:
        """See Cluster."""
        if container_id in self._of_tasks:
            self._of_tasks.discard(container_id)
            return
        held = self._leased.get(container_id)
        if held is not None:
            held.difference_update(network_ids)
            if not held:
                del self._leased[container_id]
        if network_ids and self.desk is not None and self.desk.active:
            self._give_back_soon(container_id, network_ids)

    def _give_back_soon(self, container: str, network_ids: Sequence[str]) -> None:
        work = self._supervisor.start(self._give_back(container, list(network_ids)), f"leases of {ids.short(container)}")
        self._returning[container] = work

        def done(_: "asyncio.Task[None]") -> None:
            if self._returning.get(container) is work:
                del self._returning[container]

        work.add_done_callback(done)

    async def _give_back(self, container: str, network_ids: Sequence[str]) -> None:
        """Behind the answer; what fails is swept later."""
        async with self._containers(container):
            going = [id for id in network_ids if id not in self._leased.get(container, ())]
            if going:
                try:
                    await self._cluster().release(container, going)
                except ScowError as error:
                    logger.info("addresses of %s are given back later: %s", ids.short(container), error.message)
        await self._forsake_unknown()

    async def mend(self) -> None:
        """See Cluster."""
        if self._service.made:
            try:
                await self._kernel.now(anew=True)
            except (ScowError, OSError) as error:
                raise Internal(f"the swarm's networks cannot be repaired: {error}") from error
