"""NetworkService: the one door of this package. Networks are made, shown and removed here; containers are handed to `Sandboxes`.

A network is recorded before its bridge is made. Its removal marks the row; the bridge, whose end waits for the kernel, goes behind the
answer, then the row. So a crash leaves a row that boot completes, one way or the other.
"""

import asyncio
import dataclasses
import ipaddress
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
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
from scow.network.cluster import GATEWAY, Cluster, NoCluster, of_swarm, shown
from scow.network.dns.cluster import ClusterNames
from scow.network.dns.records import Records
from scow.network.dns.server import NameServers
from scow.network.driver import NetworkDriver
from scow.network.endpoint import NetworkView, Sandbox, SandboxRequest
from scow.network.firewall.guard import Guards
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import TABLE, BridgeRule
from scow.network.ipam import pools
from scow.network.lb.balancers import Balancers
from scow.network.network import DEFAULT_GATEWAY, DEFAULT_GATEWAY6, LINK_NAME, IPNetwork, Network, Pool
from scow.network.options import NetworkOptions
from scow.network.ports.mapper import PortMapper, rules_of
from scow.network.repair import Watch
from scow.network.sandbox import Sandboxes
from scow.network.store import NetworkStore, SandboxStore

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
        self.balancers = Balancers(self._spaces)
        names = NameServers(Records(self._sandboxes, self.cluster_names))
        self._drivers = drivers.table()
        self._watchmen = Guards(self._options.firewall)
        self._attached = Sandboxes(
            self._networks, self._sandboxes, events, self._ports, self._watchmen, names, self._options, pins, self._drivers
        )
        self._lock = aio.KeyedLock()
        self._tasks = aio.Supervisor("networks")
        self._going: dict[str, asyncio.Task[None]] = {}
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
        request = self._with_defaults(request)
        wanted = checks.create(request)
        async with self._lock("networks"):
            network, driver = self._planned(request, wanted)
            if self._networks.named(request.name) is not None or any(one.name == request.name for one in self.cluster.networks()):
                raise Conflict(f"network with name {request.name} already exists")
            if network.config_only:
                self._networks.put(network)
            else:
                await self._make(driver.shape(await self._with_pools(network)), driver)
        self._tell("create", network)
        return network.id, ""

    def _with_defaults(self, request: NetworkCreate) -> NetworkCreate:
        """The daemon's default-network-opts under the request's own options."""
        defaults = self._options.default_network_opts.get(request.driver or "bridge", {})
        if not defaults or (request.config_from and request.config_from.network):
            return request
        return dataclasses.replace(request, options={**defaults, **request.options})

    def _planned(self, request: NetworkCreate, pools_: Sequence[Pool]) -> tuple[Network, NetworkDriver]:
        """The network a request describes, pools as far as it names them; what its configuration network says is taken over."""
        if request.config_only:
            shown = request.ipam.driver if request.ipam else ""
            return Network(
                ids.new_id(), request.name, "null", time.time_ns(), tuple(pools_), ipam_driver=shown or "default",
                ipam_options=dict(request.ipam.options) if request.ipam else None, enable_ipv4=request.enable_ipv4 is not False,
                enable_ipv6=bool(request.enable_ipv6), options=dict(request.options), labels=dict(request.labels), config_only=True,
            ), self._drivers["null"]  # fmt: skip
        driver = drivers.find(self._drivers, request.driver)
        enable4, enable6 = request.enable_ipv4 is not False, bool(request.enable_ipv6)
        labels, options, ipam_options = dict(request.labels), dict(request.options), dict(request.ipam.options) if request.ipam else None
        origin = request.config_from.network if request.config_from else ""
        if origin:
            source = self._networks.get(origin)
            if not source.config_only:
                raise Forbidden(f"network {origin} is not a configuration network")
            origin, enable4, enable6 = source.name, source.enable_ipv4, source.enable_ipv6
            options, labels, ipam_options, pools_ = dict(source.options), {**source.labels, **labels}, source.ipam_options, source.pools
            request = dataclasses.replace(request, options=options)
        driver.check(request, list(pools_))
        return Network(
            ids.new_id(), request.name, driver.name, time.time_ns(), tuple(pools_), internal=request.internal,
            attachable=request.attachable, ipam_options=ipam_options, options=options, labels=labels, enable_ipv4=enable4,
            enable_ipv6=enable6, config_from=origin, own_subnet=any(one.version == 4 for one in pools_),
            own_subnet6=any(one.version == 6 for one in pools_),
        ), driver  # fmt: skip

    async def _with_pools(self, network: Network) -> Network:
        """The same with a pool for each kind of addresses. Raises Overlap, InvalidArgument (no free subnet)."""
        if any(_overlap(pool.network, taken) for pool in network.pools for taken in self._subnets()):
            raise pools.Overlap
        found = list(network.pools)
        for version, enabled in ((4, network.enable_ipv4), (6, network.enable_ipv6)):
            if enabled and network.pool(version) is None:
                found.append(await self._choose(version))
        return dataclasses.replace(network, pools=tuple(sorted(found, key=lambda pool: pool.version)))

    async def _make(self, network: Network, driver: NetworkDriver) -> None:
        if network.driver == "bridge" and any(other.driver == "bridge" and other.link == network.link for other in self._networks):
            raise Forbidden(f"cannot create network {network.name}: the bridge {network.link} belongs to another network")
        if network.options.get("macvlan_mode") == "passthru" or any(
            other.options.get("macvlan_mode") == "passthru" and other.options.get("parent") == network.options.get("parent")
            for other in self._networks
            if other.driver == "macvlan"
        ):
            parent = network.options.get("parent")
            user = next((one for one in self._networks if one.driver == "macvlan" and one.options.get("parent") == parent), None)
            if user is not None:
                raise Forbidden(f"network {user.name} is already using parent interface {parent}")
        if any(leaving.link == network.link or leaving.options.get("parent") for leaving in self._networks.leaving.values()):
            await self._gone()
        self._networks.put(network)
        steps: list[Awaitable[None]] = [aio.in_pool(driver.ensure, network)]
        if (rule := driver.rule(network)) is not None:
            steps.append(self._firewall.add_bridge(rule))
        try:
            for result in await asyncio.gather(*steps, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
        except BaseException:
            if driver.rule(network) is not None:
                await self._firewall.remove_bridge(network.link)
            await aio.in_pool(driver.remove, network)
            self._networks.drop(network)
            raise

    def _subnets(self) -> Iterable[IPNetwork]:
        return [
            pool.network
            for network in self._networks
            if not network.config_only and (network.driver != "overlay" or network.own_end)
            for pool in network.pools
        ]

    async def _choose(self, version: int = 4) -> Pool:
        """A subnet that neither a network nor a route of the host uses."""
        await self._gone()
        taken = [*self._subnets(), *await aio.in_pool(osl.host_subnets)]
        subnet = pools.choose(self._options.default_address_pools, taken, version)
        return Pool(str(subnet), str(subnet.network_address + 1))

    def get(self, ref: str) -> Network:
        """The network with this name, id or id prefix, of this host or of its swarm. Raises NotFound."""
        try:
            return self._networks.get(ref)
        except NotFound:
            every = self.cluster.networks()
            for test in (lambda one: ref in (one.name, one.id), lambda one: bool(ref) and one.id.startswith(ref)):
                if len(found := [one for one in every if test(one)]) == 1:
                    return found[0]
            raise

    def check_endpoint(self, ref: str, settings: EndpointSettings) -> Network:
        """Check what a container (running or not) asks of a network; the network. Raises NotFound, InvalidArgument, Unsupported."""
        network = self.get(ref)
        checks.endpoint(network, settings)
        return network

    def inspect(self, ref: str, verbose: bool = False) -> dict[str, Any]:
        """A network as the API shows it. Raises NotFound."""
        network = self.get(ref)
        if network.scope != "swarm":
            return self._view(network)
        document = shown(self._view(network), self.cluster.peers(network.id))
        return {**document, "Services": self.cluster.services(network.id)} if verbose else document

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
                await self._gone()
            driver = drivers.find(self._drivers, network.driver)
            if network.driver != "overlay":
                if network.id not in self.made:
                    await self._make(driver.shape(await self._with_pools(self._from_config(network))), driver)
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
            self._go(network)
            return True

    def _from_config(self, network: Network) -> Network:
        """A network of the swarm with what its configuration network on this host says. Raises NotFound, Forbidden."""
        if not network.config_from:
            return network
        source = self._networks.get(network.config_from)
        if not source.config_only:
            raise Forbidden(f"network {network.config_from} is not a configuration network")
        return dataclasses.replace(
            network, pools=source.pools, options=dict(source.options), labels={**source.labels, **network.labels},
            ipam_options=source.ipam_options, enable_ipv4=source.enable_ipv4, enable_ipv6=source.enable_ipv6,
            own_subnet=any(one.version == 4 for one in source.pools), own_subnet6=any(one.version == 6 for one in source.pools),
        )  # fmt: skip

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
            self._go(network)
        self._tell("destroy", network)

    def _go(self, network: Network) -> None:
        self._going[network.id] = self._tasks.start(self._finish(network), f"remove {network.link}")

    async def _finish(self, network: Network) -> None:
        """The kernel's part of a removed network, then its row."""
        try:
            await aio.behind(aio.in_pool, self._drivers[network.driver].remove, network)
            self._networks.drop(network)
        except (ScowError, OSError) as error:
            logger.error("what the kernel has of network %s stays until the next repair: %s", network.name, error)
        finally:
            self._going.pop(network.id, None)

    async def _gone(self) -> None:
        """Wait until the kernel has nothing of removed networks: their links and routes are in the way of new ones."""
        if self._going:
            await asyncio.wait(list(self._going.values()))

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
        await self._defaults()
        if self._options.ip_forward:
            await aio.in_pool(osl.forward)
        await self._ensure_all()
        living = [sandbox for sandbox in self._sandboxes if sandbox.container_id in live]
        await self._firewall.open(self._rules(), [rule for sandbox in living for rule in rules_of(sandbox.published)])
        await self._watchmen.open(self._attached.guards(live.keys()))
        await self._attached.recover(live, known)
        self._watch.start()
        self._tasks.start(self._firewall.warn(), "look at the host's firewall")

    def _links(self) -> Collection[str]:
        return {rule.link for rule in self._rules()} | {one.link for one in self.made.values()} | self._attached.outers()

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
            await self._ensure_all()
            await self._attached.repair()
            await self._firewall.repair()
            await self._watchmen.repair()

    def exposed(self) -> Sequence[dict[str, Any]]:
        """What can be reached from outside the containers: see `exposure.listing`."""
        return exposure.listing(self._networks, self._sandboxes, self._options.publish_policy)

    async def _ensure_all(self) -> None:
        for network in list(self._networks.leaving.values()):
            if network.id not in self._going:
                self._go(network)
        await self._gone()
        for network in self._networks:
            try:
                await aio.in_pool(self._drivers[network.driver].ensure, network)
            except (ScowError, OSError) as error:
                logger.error("network %s cannot be made in the kernel: %s", network.name, error)

    def _rules(self) -> Sequence[BridgeRule]:
        rules = (self._drivers[network.driver].rule(network) for network in self._networks)
        return [rule for rule in rules if rule is not None]

    async def _defaults(self) -> None:
        for name, driver in (("host", "host"), ("none", "null")):
            if self._networks.named(name) is None:
                self._networks.put(Network(ids.new_id(), name, driver, time.time_ns()))
        present = self._networks.named("bridge")
        if self._options.bridge == "none":
            if present is not None:
                self._networks.drop(present)
            return
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": str(self._options.icc).lower(),
            "com.docker.network.bridge.enable_ip_masquerade": str(self._options.ip_masq).lower(),
            "com.docker.network.bridge.host_binding_ipv4": self._options.ip or "0.0.0.0",
            LINK_NAME: self._options.bridge,
            "com.docker.network.driver.mtu": str(self._options.mtu),
        }
        found = [await self._default_pool(present)]
        if self._options.ipv6:
            found.append(await self._default_pool6(present))
        wanted = {"options": options, "pools": tuple(found), "enable_ipv6": self._options.ipv6}
        if present is None:
            self._networks.put(Network(ids.new_id(), "bridge", "bridge", time.time_ns(), **wanted))  # type: ignore[arg-type]
        elif (changed := dataclasses.replace(present, **wanted)) != present:  # type: ignore[arg-type]
            self._networks.put(changed)

    async def _default_pool6(self, present: Network | None) -> Pool:
        """The default bridge's IPv6 addresses: bip6, else fixed-cidr-v6, else what is stored, else a free unique local subnet."""
        options = self._options
        stored = present.pool(6) if present else None
        if options.bip6:
            chosen = _own(options.bip6, 6)
        elif options.fixed_cidr_v6:
            fixed = _subnet("fixed-cidr-v6", options.fixed_cidr_v6, 6)
            chosen = Pool(str(fixed), str(fixed.network_address + 1))
        else:
            chosen = stored or await self._choose(6)
        if options.default_gateway_v6:
            if _subnet("default-gateway-v6", options.default_gateway_v6, 6).network_address not in chosen.network:
                raise InvalidArgument(f"default gateway {options.default_gateway_v6} is not in the default bridge's subnet {chosen.subnet}")
            chosen = dataclasses.replace(chosen, aux={DEFAULT_GATEWAY6: options.default_gateway_v6})
        return chosen

    async def _default_pool(self, present: Network | None) -> Pool:
        """The default bridge's addresses: bip, else what is stored, else fixed-cidr, else the bridge's own, else a free subnet."""
        options = self._options
        fixed = _subnet("fixed-cidr", options.fixed_cidr) if options.fixed_cidr else None
        if options.bip:
            chosen = _own(options.bip)
        elif present is not None and (stored := present.pool(4)) is not None:
            chosen = dataclasses.replace(stored, ip_range="", aux={})
        elif existing := await aio.in_pool(osl.address_of, options.bridge):
            chosen = _own(existing)
        elif fixed is not None and not any(_within(fixed, subnet) for subnet in pools.candidates(options.default_address_pools)):
            chosen = Pool(str(fixed), str(fixed.network_address + 1))
        else:
            chosen = await self._choose()
        if fixed is not None and _within(fixed, chosen.network):
            chosen = dataclasses.replace(chosen, ip_range=str(fixed))
        if options.default_gateway:
            if _subnet("default-gateway", options.default_gateway).network_address not in chosen.network:
                raise InvalidArgument(f"default gateway {options.default_gateway} is not in the default bridge's subnet {chosen.subnet}")
            chosen = dataclasses.replace(chosen, aux={DEFAULT_GATEWAY: options.default_gateway})
        return chosen

    async def settle(self) -> None:
        """Wait until what was released is gone from the kernel; for tests and a clean end."""
        await self._gone()
        await self._attached.settle()

    async def close(self) -> None:
        """End of the daemon; bridges, rules and the networks of running containers stay.

        Without containers and networks of the user nothing stays."""
        await self._watch.close()
        await self._tasks.drain()
        await self._attached.close()
        # the way out of overlay networks is made again at boot
        idle = not tuple(self._sandboxes) and all(network.predefined or network.name == GATEWAY for network in self._networks)
        if idle and (outside := self._networks.named(GATEWAY)) is not None:
            await aio.in_pool(osl.remove_link, outside.link)
        await self._firewall.close(remove_table=idle)
        await self._watchmen.close(remove_table=idle)
        bridge = self._networks.named("bridge")
        # a bridge of another name is the administrator's
        if idle and bridge is not None and bridge.link == NetworkOptions().bridge:
            await aio.in_pool(osl.remove_link, bridge.link)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _own(text: str, version: int = 4) -> Pool:
    """The subnet and the host's address in it, of `address/prefix`."""
    try:
        interface = ipaddress.ip_interface(text)
        if interface.version != version:
            raise ValueError(text)
    except ValueError:
        raise InvalidArgument(f"invalid bip {text!r}: an IPv{version} address with its prefix length is needed") from None
    return Pool(str(interface.network), str(interface.ip))


def _subnet(option: str, text: str, version: int = 4) -> IPNetwork:
    try:
        found = ipaddress.ip_network(text, strict=False)
        if found.version != version:
            raise ValueError(f"an IPv{version} subnet is needed")
    except ValueError as error:
        raise InvalidArgument(f"invalid {option} {text!r}: {error}") from None
    return found
