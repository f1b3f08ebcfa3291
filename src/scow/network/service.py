"""NetworkService: the one door of this package. Networks are made, shown and removed here; containers are handed to `Sandboxes`.

A network is recorded before its bridge is made and forgotten after the bridge is gone, so a crash leaves a row that boot completes.
"""

import dataclasses
import ipaddress
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scow import aio, ids, log, units
from scow.errors import Conflict, Forbidden, InvalidArgument, ScowError
from scow.events import EventBus
from scow.filters import Filters
from scow.metadata.db import Database
from scow.model.network import EndpointSettings, NetworkCreate
from scow.network import checks, osl, view
from scow.network.dns.records import Records
from scow.network.dns.server import NameServers
from scow.network.endpoint import NetworkView, Sandbox, SandboxRequest
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import BridgeRule
from scow.network.ipam import pools
from scow.network.network import DEFAULT_GATEWAY, LINK_NAME, Network, Pool
from scow.network.options import NetworkOptions
from scow.network.ports.mapper import PortMapper, rules_of
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
        self._firewall = Firewall(self._options.firewall)
        self._ports = PortMapper(self._firewall)
        names = NameServers(Records(self._sandboxes))
        self._attached = Sandboxes(self._networks, self._sandboxes, events, self._ports, names, self._options, pins)
        self._lock = aio.KeyedLock()

    # --- networks

    async def create(self, request: NetworkCreate) -> tuple[str, str]:
        """Make a network: (id, warning). Raises InvalidArgument, Forbidden, Conflict, NotFound (driver), Unsupported."""
        wanted = checks.create(request)
        async with self._lock("networks"):
            if self._networks.named(request.name) is not None:
                raise Conflict(f"network with name {request.name} already exists")
            if wanted and any(wanted[0].network.overlaps(taken) for taken in self._subnets()):
                raise pools.Overlap
            if not wanted:
                wanted = [await self._choose()]
            network = Network(
                ids.new_id(), request.name, "bridge", time.time_ns(), tuple(wanted), own_subnet=bool(request.ipam and request.ipam.config),
                internal=request.internal, attachable=request.attachable, ipam_options=dict(request.ipam.options) if request.ipam else None,
                options=dict(request.options), labels=dict(request.labels),
            )  # fmt: skip
            if any(other.driver == "bridge" and other.link == network.link for other in self._networks):
                raise Forbidden(f"cannot create network {network.name}: the bridge {network.link} belongs to another network")
            self._networks.put(network)
            try:
                await aio.in_pool(osl.ensure_bridge, network)
                await self._firewall.add_bridge(_rule(network))
            except BaseException:
                await aio.in_pool(osl.remove_link, network.link)
                self._networks.drop(network)
                raise
        self._tell("create", network)
        return network.id, ""

    def _subnets(self) -> Iterable[ipaddress.IPv4Network]:
        return [pool.network for network in self._networks for pool in network.pools]

    async def _choose(self) -> Pool:
        """A subnet that neither a network nor a route of the host uses."""
        taken = [*self._subnets(), *await aio.in_pool(osl.host_subnets)]
        subnet = pools.choose(self._options.default_address_pools, taken)
        return Pool(str(subnet), str(subnet.network_address + 1))

    def get(self, ref: str) -> Network:
        """The network with this name, id or id prefix. Raises NotFound."""
        return self._networks.get(ref)

    def check_endpoint(self, ref: str, settings: EndpointSettings) -> Network:
        """Check what a container (running or not) asks of a network; the network. Raises NotFound, InvalidArgument, Unsupported."""
        network = self._networks.get(ref)
        checks.endpoint(network, settings)
        return network

    def inspect(self, ref: str, verbose: bool = False) -> dict[str, Any]:
        """A network as the API shows it. Raises NotFound."""
        return self._view(self._networks.get(ref))

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
            for network in sorted(self._networks, key=lambda one: one.name)
            if view.matches(network, filters, bool(self._sandboxes.members(network.id)))
        ]

    async def remove(self, ref: str) -> None:
        """Remove a network. Raises NotFound, Forbidden (predefined, in use)."""
        async with self._lock("networks"):
            network = self._networks.get(ref)
            if network.predefined:
                raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
            await self._attached.left(self._sandboxes.members(network.id))
            members = self._sandboxes.members(network.id)
            if members:
                names = " ".join(
                    f'name:"{sandbox.request.name}" id:"{ids.short(endpoint.id)}"'
                    for container_id, endpoint in members.items()
                    if (sandbox := self._sandboxes.get(container_id)) is not None
                )
                raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({names})")
            # nobody may attach while the bridge goes; the row goes last, so that a crash here leaves a whole network
            self._networks.hide(network)
            try:
                await self._firewall.remove_bridge(network.link)
                await aio.in_pool(osl.remove_link, network.link)
            except BaseException:
                self._networks.put(network)
                raise
            self._networks.drop(network)
        self._tell("destroy", network)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove the user networks nobody uses: {"NetworksDeleted": names or null}. Networks of stopped containers count as unused."""
        before = min((units.parse_timestamp(text) for text in filters.values("until")), default=None)
        gone = []
        for network in self._networks:
            if network.predefined or self._sandboxes.members(network.id) or (before is not None and network.created_ns > before):
                continue
            if not filters.match_labels(network.labels) or filters.excluded_by_labels(network.labels):
                continue
            try:
                await self.remove(network.id)
            except ScowError as error:
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
        return await self._attached.attach(request)

    async def release(self, container_id: str) -> None:
        """See Sandboxes.release."""
        await self._attached.release(container_id)

    def farewell(self, container_id: str) -> None:
        """See Sandboxes.farewell."""
        self._attached.farewell(container_id)

    async def connect(self, container_id: str, network: str, settings: EndpointSettings) -> EndpointSettings:
        """See Sandboxes.connect."""
        return await self._attached.connect(container_id, network, settings)

    async def disconnect(self, container_id: str, network: str, force: bool = False) -> None:
        """See Sandboxes.disconnect."""
        await self._attached.disconnect(container_id, network, force)

    def settings(self, container_id: str) -> NetworkView:
        """See Sandboxes.settings."""
        return self._attached.settings(container_id)

    def rename(self, container_id: str, name: str) -> None:
        """Tell that a container has another name."""
        self._attached.rename(container_id, name)

    # --- boot and end

    async def recover(self, live: Mapping[str, int]) -> None:
        """Make the kernel equal to what is stored: default networks, bridges, firewall, the networks of living containers (pid by id)."""
        await self._defaults()
        if self._options.ip_forward:
            await aio.in_pool(osl.forward)
        bridges = [network for network in self._networks if network.driver == "bridge"]
        for network in bridges:
            try:
                await aio.in_pool(osl.ensure_bridge, network)
            except ScowError as error:
                logger.error("cannot make the bridge of network %s: %s", network.name, error.message)
        living = [sandbox for sandbox in self._sandboxes if sandbox.container_id in live]
        await self._firewall.open(map(_rule, bridges), [rule for sandbox in living for rule in rules_of(sandbox.published)])
        await self._attached.recover(live)

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
        pool = await self._default_pool(present)
        if present is None:
            self._networks.put(Network(ids.new_id(), "bridge", "bridge", time.time_ns(), (pool,), options=options))
        elif present.options != options or present.pools != (pool,):
            self._networks.put(dataclasses.replace(present, options=options, pools=(pool,)))

    async def _default_pool(self, present: Network | None) -> Pool:
        """The default bridge's addresses: bip, else what is stored, else fixed-cidr, else the bridge's own, else a free subnet."""
        options = self._options
        fixed = _subnet("fixed-cidr", options.fixed_cidr) if options.fixed_cidr else None
        if options.bip:
            chosen = _own(options.bip)
        elif present is not None:
            chosen = dataclasses.replace(present.pools[0], ip_range="", aux={})
        elif existing := await aio.in_pool(osl.address_of, options.bridge):
            chosen = _own(existing)
        elif fixed is not None and not any(fixed.subnet_of(subnet) for subnet in pools.candidates(options.default_address_pools)):
            chosen = Pool(str(fixed), str(fixed.network_address + 1))
        else:
            chosen = await self._choose()
        if fixed is not None and fixed.subnet_of(chosen.network):
            chosen = dataclasses.replace(chosen, ip_range=str(fixed))
        if options.default_gateway:
            if _subnet("default-gateway", options.default_gateway).network_address not in chosen.network:
                raise InvalidArgument(f"default gateway {options.default_gateway} is not in the default bridge's subnet {chosen.subnet}")
            chosen = dataclasses.replace(chosen, aux={DEFAULT_GATEWAY: options.default_gateway})
        return chosen

    async def settle(self) -> None:
        """Wait until what was released is gone from the kernel; for tests and a clean end."""
        await self._attached.settle()

    async def close(self) -> None:
        """End of the daemon; bridges, rules and the networks of running containers stay.

        Without containers and networks of the user nothing stays."""
        await self._attached.close()
        idle = not tuple(self._sandboxes) and all(network.predefined for network in self._networks)
        await self._firewall.close(remove_table=idle)
        bridge = self._networks.named("bridge")
        # a bridge of another name is the administrator's
        if idle and bridge is not None and bridge.link == NetworkOptions().bridge:
            await aio.in_pool(osl.remove_link, bridge.link)


def _rule(network: Network) -> BridgeRule:
    return BridgeRule(network.link, network.pools[0].subnet, network.internal, network.masquerade)


def _own(text: str) -> Pool:
    """The subnet and the host's address in it, of `address/prefix`."""
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError:
        raise InvalidArgument(f"invalid bip {text!r}: an IPv4 address with its prefix length is needed") from None
    return Pool(str(interface.network), str(interface.ip))


def _subnet(option: str, text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        raise InvalidArgument(f"invalid {option} {text!r}: {error}") from None
