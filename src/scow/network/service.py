"""NetworkService: the one door of this package. Networks are made (`making.py`), shown and removed; containers are handed to `Sandboxes`,
what spans hosts to the swarm (`cluster.py`)."""

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scow import aio, ids, log, units
from scow.errors import Conflict, Forbidden, InvalidArgument, NotFound, ScowError
from scow.events import EventBus
from scow.filters import Filters
from scow.kernel.monitor import Happened
from scow.metadata.db import Database
from scow.model.network import EndpointSettings, NetworkCreate
from scow.network import checks, drivers, exposure, osl, view
from scow.network.cluster import GATEWAY, Cluster, NoCluster, of_swarm, shown, with_endpoints
from scow.network.defaults import Defaults
from scow.network.dns.cluster import ClusterNames
from scow.network.dns.records import Records
from scow.network.dns.server import NameServers
from scow.network.endpoint import NetworkView, Sandbox, SandboxRequest
from scow.network.firewall.guard import Guards
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import TABLE
from scow.network.lb.balancers import Balancers
from scow.network.making import Making
from scow.network.network import Network
from scow.network.options import NetworkOptions
from scow.network.ports.mapper import PortMapper, rules_of
from scow.network.repair import Watch
from scow.network.sandbox import Sandboxes
from scow.network.store import NetworkStore, NoSuchNetwork, SandboxStore

logger = log.get(__name__)


class NetworkService:
    """Networks of one daemon. `pins` is run/netns. Call `recover` once before anything else."""

    def __init__(self, db: Database, events: EventBus, pins: Path, options: NetworkOptions | None = None) -> None:
        self._options = options or NetworkOptions()
        self._events = events
        self._networks = NetworkStore(db)
        self._sandboxes = SandboxStore(db)
        self._firewall = Firewall(self._options.firewall, self._options.publish_policy == "user")
        self._ports = PortMapper(self._firewall)
        self.cluster: Cluster = NoCluster()
        self.cluster_names = ClusterNames()
        self.balancers = Balancers(self._spaces, self._ports.mesh)
        names = NameServers(Records(self._sandboxes, self.cluster_names))
        self._drivers = drivers.table()
        self._watchmen = Guards(self._options.firewall)
        self._attached = Sandboxes(
            self._networks, self._sandboxes, events, self._ports, self._watchmen, names, self._options, pins, self._drivers
        )
        self._lock = aio.KeyedLock()
        self._tasks = aio.Supervisor("networks")
        self._making = Making(self._networks, self._drivers, self._firewall, self._options, self._tasks)
        self._defaults = Defaults(self._networks, self._options, self._making.choose)
        self._leave_nothing = False
        self._watch = Watch(TABLE.split()[-1], self._links, self._mend)

    # --- networks

    async def create(self, request: NetworkCreate) -> tuple[str, str]:
        """Make a network: (id, warning). Raises InvalidArgument, Forbidden, Conflict, NotFound (driver), Unsupported."""
        if of_swarm(request) and not request.config_only:
            driver = drivers.find(self._drivers, request.driver or "overlay")
            asked = checks.create(dataclasses.replace(request, scope="", ingress=False))
            if not (request.config_from and request.config_from.network):
                driver.check(request, asked)
            if self._networks.named(request.name) is not None:
                raise Conflict(f"network with name {request.name} already exists")
            return await self.cluster.create(request, asked), ""
        request = self._making.with_defaults(request)
        wanted = checks.create(request)
        async with self._lock("networks"):
            network, driver = self._making.planned(request, wanted)
            if self._networks.named(request.name) is not None or any(one.name == request.name for one in self.cluster.networks()):
                raise Conflict(f"network with name {request.name} already exists")
            if network.config_only:
                self._networks.put(network)
            else:
                await self._making.make(driver.shape(await self._making.with_pools(network)), driver)
        self._tell("create", network)
        return network.id, ""

    async def fresh(self, ref: str = "") -> None:
        """Before networks (the network `ref`) are read for a user: as new as any manager of the swarm knows them. Those of this host alone
        need nobody, and without a leader nothing is waited for: then this host's are all there are."""
        if ref:
            with contextlib.suppress(ScowError):
                if self._networks.get(ref).scope != "swarm":
                    return
        await self.cluster.fresh()

    def get(self, ref: str, scope: str = "") -> Network:
        """The network with this name, id or id prefix, of this host or of its swarm. Raises NotFound.

        `scope`: only of that one, besides the predefined networks, which every swarm has, too."""
        try:
            here = self._networks.get(ref)
            if scope in ("", here.scope) or here.predefined:
                return here
            raise NoSuchNetwork(ref)
        except NotFound:
            every = [one for one in self.cluster.networks() if scope in ("", one.scope)]
            for test in (lambda one: ref in (one.name, one.id), lambda one: bool(ref) and one.id.startswith(ref)):
                if len(found := [one for one in every if test(one)]) == 1:
                    return found[0]
            raise

    def check_endpoint(self, ref: str, settings: EndpointSettings) -> Network:
        """Check what a container (running or not) asks of a network; the network. Raises NotFound, InvalidArgument, Unsupported."""
        network = self.get(ref)
        checks.endpoint(network, settings)
        return network

    def inspect(self, ref: str, verbose: bool = False, scope: str = "") -> dict[str, Any]:
        """A network as the API shows it; see `get`. Raises NotFound."""
        network = self.get(ref, scope)
        if network.scope != "swarm":
            return self._view(network)
        document = shown(self._view(network), self.cluster.peers(network.id), network, network.id in self.made)
        return {**document, "Services": with_endpoints(self.cluster.services(network.id), document["Containers"])} if verbose else document

    def _view(self, network: Network) -> dict[str, Any]:
        members = {key: one for key, one in self._sandboxes.members(network.id).items() if not self._attached.leaving(key)}
        names = {
            container_id: sandbox.request.name for container_id in members if (sandbox := self._sandboxes.get(container_id)) is not None
        }
        return view.network(network, members, names)

    def list(self, filters: Filters) -> list[dict[str, Any]]:
        """The networks that match, by name, without their containers (as dockerd). Raises InvalidArgument."""
        for kind in filters.values("type"):
            if kind not in ("builtin", "custom"):
                raise InvalidArgument(f"invalid filter: 'type'='{kind}'")
        return [
            view.network(network, {}, {})
            for network in sorted(self._every(), key=lambda one: one.name)
            if view.matches(network, filters, bool(self._sandboxes.members(network.id)))
        ]

    def _every(self) -> Iterable[Network]:
        """Those of this host and of its swarm."""
        return {network.id: network for network in (*self.cluster.networks(), *self._networks)}.values()

    async def adopt(self, network: Network) -> None:
        """Make a network of the swarm on this host, or change it to what the swarm says now. Raises ScowError."""
        async with self._lock("networks"):
            if self._networks.leaving:
                await self._making.gone()
            driver = drivers.find(self._drivers, network.driver)
            if network.driver != "overlay":
                if network.id not in self.made:
                    await self._making.make(driver.shape(await self._making.with_pools(self._making.from_config(network))), driver)
                return
            self._networks.put(network)
            try:
                await aio.in_pool(driver.ensure, network)
            except BaseException:
                if not self._sandboxes.members(network.id):
                    self._networks.drop(network)
                raise

    async def forsake(self, network_id: str) -> bool:
        """Take this host's part of a network of the swarm away, unless a container is on it; whether it is gone."""
        async with self._lock("networks"):
            network = next((one for one in self._networks if one.id == network_id), None)
            if network is None:
                return True
            await self._attached.left(self._sandboxes.members(network.id))
            if self._sandboxes.members(network.id):
                return False
            self._networks.leave(network)
            if self._drivers[network.driver].rule(network) is not None:
                await self._firewall.remove_bridge(network.link)
            self._making.go(network)
            return True

    @property
    def made(self) -> Mapping[str, Network]:
        """The networks of the swarm that are made here, by id."""
        return {network.id: network for network in self._networks if network.scope == "swarm"}

    def members(self, network_id: str) -> Collection[str]:
        """The containers on a network."""
        return tuple(self._sandboxes.members(network_id))

    def attached_to(self, container_id: str) -> SandboxRequest | None:
        """What an attached container asked for, None when it is not attached."""
        sandbox = self._sandboxes.get(container_id)
        return sandbox.request if sandbox is not None else None

    def _spaces(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        """The namespaces of containers on overlay networks, and the networks."""
        here = self.made
        return (
            {
                sandbox.container_id: (sandbox.key, mine)
                for sandbox in self._sandboxes
                if sandbox.key and (mine := [one.network_id for one in sandbox.endpoints if one.network_id in here])
            }
            if here
            else {}
        )

    async def remove(self, ref: str) -> None:
        """Remove a network. Raises NotFound, Forbidden (predefined, in use)."""
        network = self.get(ref)
        if network.scope == "swarm":
            await self.cluster.remove(network)
            return
        async with self._lock("networks"):
            network = self._networks.get(ref)
            if network.predefined:
                raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
            if any(other.config_from == network.name for other in self._networks if network.config_only):
                raise Forbidden(f'configuration network "{network.name}" is in use')
            await self._attached.left(self._sandboxes.members(network.id))
            members = self._sandboxes.members(network.id)
            if members:
                names = " ".join(
                    f'name:"{sandbox.request.name}" id:"{ids.short(endpoint.id)}"'
                    for container_id, endpoint in members.items()
                    if (sandbox := self._sandboxes.get(container_id)) is not None
                )
                raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({names})")
            # nobody may attach while the bridge goes
            self._networks.leave(network)
            try:
                if self._drivers[network.driver].rule(network) is not None:
                    await self._firewall.remove_bridge(network.link)
            except BaseException:
                self._networks.put(network)
                raise
            self._making.go(network)
        self._tell("destroy", network)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove the user networks nobody uses: {"NetworksDeleted": names or null}. Networks of stopped containers count as unused."""
        before = min((units.parse_timestamp(text) for text in filters.values("until")), default=None)
        gone = []
        for network in self._every():
            if (
                network.predefined
                or network.name == GATEWAY
                or network.ingress
                or self._sandboxes.members(network.id)
                or (before is not None and network.created_ns > before)
            ):
                continue
            if not filters.match_labels(network.labels) or filters.excluded_by_labels(network.labels):
                continue
            try:
                await self.remove(network.id)
            except ScowError as error:
                if network.scope != "swarm":  # there it is the rule that others use it
                    logger.warning("network %s was not pruned: %s", network.name, error.message)
                continue
            gone.append(network.name)
        self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return {"NetworksDeleted": gone or None}

    def _tell(self, action: str, network: Network) -> None:
        self._events.publish("network", action, network.id, {"name": network.name, "type": network.driver})

    # --- containers

    async def attach(self, request: SandboxRequest) -> Sandbox:
        """See Sandboxes.attach."""
        request = await self.cluster.attaching(request)
        try:
            sandbox = await self._attached.attach(request)
        except BaseException:
            await self.cluster.released(request.container_id, self._cluster_ids(request))
            raise
        if self.made:
            await self.cluster.attached(request.container_id, fresh=True)
        return sandbox

    def _cluster_ids(self, request: SandboxRequest) -> Sequence[str]:
        """The networks of the swarm that a request names."""
        names = {*request.endpoints, request.mode, *(one.network_id for one in request.endpoints.values())}
        return [one.id for one in self.made.values() if one.name in names or one.id in names]

    async def release(self, container_id: str) -> None:
        """See Sandboxes.release."""
        sandbox = self._sandboxes.get(container_id)
        ids = [one.network_id for one in sandbox.endpoints if one.network_id in self.made] if sandbox is not None else []
        await self._attached.release(container_id)
        if ids:
            await self.cluster.released(container_id, ids)

    def farewell(self, container_id: str) -> None:
        """See Sandboxes.farewell."""
        self._attached.farewell(container_id)

    async def connect(self, container_id: str, network: str, settings: EndpointSettings) -> EndpointSettings:
        """See Sandboxes.connect."""
        found = self.get(network)
        request = self.attached_to(container_id)
        if found.scope == "swarm" and request is not None and container_id not in self.members(found.id):
            given = await self.cluster.connecting(request, found, settings)
            try:
                made = await self._attached.connect(container_id, found.id, given)
            except BaseException:
                await self.cluster.released(container_id, [found.id])
                raise
            await self.cluster.attached(container_id, fresh=False)
            return dataclasses.replace(made, ipam_config=settings.ipam_config)  # the next start asks for addresses anew
        return await self._attached.connect(container_id, network, settings)

    async def disconnect(self, container_id: str, network: str, force: bool = False) -> None:
        """See Sandboxes.disconnect."""
        found = self._networks.get(network)
        await self._attached.disconnect(container_id, network, force)
        if found.scope == "swarm":
            await self.cluster.attached(container_id, fresh=False)
            await self.cluster.released(container_id, [found.id])

    def settings(self, container_id: str) -> NetworkView:
        """See Sandboxes.settings."""
        return self._attached.settings(container_id)

    async def take_over(
        self, container_id: str, other_id: str, ports: Collection[str], names: Mapping[str, Sequence[str]]
    ) -> frozenset[str]:
        """Let one container take the ports (`80/tcp`) and names (by network) of another that it replaces; the ports that moved. Raises
        Conflict where one is not attached."""
        return await self._attached.take_over(container_id, other_id, ports, names)

    def rename(self, container_id: str, name: str) -> None:
        """Tell that a container has another name."""
        self._attached.rename(container_id, name)

    # --- boot and end

    async def recover(self, live: Mapping[str, int], known: Mapping[str, Collection[str]] | None = None) -> None:
        """Make the kernel equal to what is stored: default networks, bridges, firewall, the networks of living containers (pid by id);
        `known`: the networks each has in its own row."""
        await self._defaults.ensure()
        if self._options.ip_forward:
            await aio.in_pool(osl.forward)
        await self._making.ensure_all()
        living = [sandbox for sandbox in self._sandboxes if sandbox.container_id in live]
        await self._firewall.open(self._making.rules(), [rule for sandbox in living for rule in rules_of(sandbox.published)])
        await self._watchmen.open(self._attached.guards(live.keys()))
        await self._attached.recover(live, known)
        self._watch.start()
        self._tasks.start(self._firewall.warn(), "look at the host's firewall")

    def _links(self) -> Collection[str]:
        return {rule.link for rule in self._making.rules()} | {one.link for one in self.made.values()} | self._attached.outers()

    async def _mend(self, happened: Happened) -> None:
        if happened.links or happened.lost:
            await self.repair()
        elif happened.table:
            await self._firewall.repair()
            await self._watchmen.repair()
        await self.cluster.mend()

    async def repair(self) -> None:
        """Make the kernel equal to what is stored, while everything runs: bridges, what stands on them, the firewall. Raises Internal."""
        async with self._lock("networks"):
            await self._making.ensure_all()
            await self._attached.repair()
            await self._firewall.repair()
            await self._watchmen.repair()

    def exposed(self) -> Sequence[dict[str, Any]]:
        """What can be reached from outside the containers: see `exposure.listing`."""
        return exposure.listing(self._networks, self._sandboxes, self._options.publish_policy)

    async def settle(self) -> None:
        """Wait until what was released is gone from the kernel; for tests and a clean end."""
        await self._making.gone()
        await self._attached.settle()

    async def close(self) -> None:
        """End of the daemon; bridges, rules and the networks of running containers stay.

        Without containers, and without networks of the user or after `leave_nothing`, nothing stays."""
        await self._watch.close()
        await self._tasks.drain()
        await self._attached.close()
        # the way out of overlay networks is made again at boot
        own = all(network.predefined or network.name == GATEWAY for network in self._networks)
        idle = not tuple(self._sandboxes) and (own or self._leave_nothing)
        if self._leave_nothing:
            await self.balancers.mesh((), "", ())
        if idle:
            await self._making.take_down()
        await self._firewall.close(remove_table=idle)
        await self._watchmen.close(remove_table=idle)
        bridge = self._networks.named("bridge")
        # a bridge of another name is the administrator's
        if idle and bridge is not None and bridge.link == NetworkOptions().bridge:
            await aio.in_pool(osl.remove_link, bridge.link)

    def leave_nothing(self) -> None:
        """`close` takes every network out of the kernel; the rows stay, and the next `recover` makes them again."""
        self._leave_nothing = True
