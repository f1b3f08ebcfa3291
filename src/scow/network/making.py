"""Making networks and taking them away: what a request describes, its subnets, its row, its part of the kernel.

A network is recorded before its bridge is made. Its removal marks the row; the bridge, whose end waits for the kernel, goes behind the
answer, then the row. So a crash leaves a row that boot completes, one way or the other.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence

from scow import aio, ids, log
from scow.errors import Forbidden, ScowError
from scow.model.network import NetworkCreate
from scow.network import drivers, osl
from scow.network.driver import NetworkDriver
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import BridgeRule
from scow.network.ipam import pools
from scow.network.network import LINK_NAME, IPNetwork, Network, Pool
from scow.network.options import NetworkOptions
from scow.network.store import NetworkStore

logger = log.get(__name__)


class Making:
    """Of one daemon; `service.py` calls it under its lock."""

    def __init__(
        self,
        networks: NetworkStore,
        drivers_: Mapping[str, NetworkDriver],
        firewall: Firewall,
        options: NetworkOptions,
        tasks: aio.Supervisor,
    ) -> None:
        self._networks = networks
        self._drivers = dict(drivers_)
        self._firewall = firewall
        self._options = options
        self._tasks = tasks
        self.going: dict[str, asyncio.Task[None]] = {}

    def with_defaults(self, request: NetworkCreate) -> NetworkCreate:
        """The daemon's default-network-opts under the request's own options."""
        defaults = self._options.default_network_opts.get(request.driver or "bridge", {})
        if not defaults or (request.config_from and request.config_from.network):
            return request
        return dataclasses.replace(request, options={**defaults, **request.options})

    def planned(self, request: NetworkCreate, pools_: Sequence[Pool]) -> tuple[Network, NetworkDriver]:
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

    def from_config(self, network: Network) -> Network:
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

    async def with_pools(self, network: Network) -> Network:
        """The same with a pool for each kind of addresses. Raises Overlap, InvalidArgument (no free subnet)."""
        if any(_overlap(pool.network, taken) for pool in network.pools for taken in self.subnets()):
            raise pools.Overlap
        found = list(network.pools)
        for version, enabled in ((4, network.enable_ipv4), (6, network.enable_ipv6)):
            if enabled and network.pool(version) is None:
                found.append(await self.choose(version))
        return dataclasses.replace(network, pools=tuple(sorted(found, key=lambda pool: pool.version)))

    async def make(self, network: Network, driver: NetworkDriver) -> None:
        """Row, kernel and firewall; all or nothing. Raises Forbidden (its bridge or parent belongs to another), Internal."""
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
            await self.gone()
        if network.driver == "bridge" and network.options.get(LINK_NAME) and await aio.in_pool(osl.is_there, network.link):
            network = dataclasses.replace(network, borrowed=True, had=await aio.in_pool(osl.addresses_of, network.link))
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

    def subnets(self) -> Iterable[IPNetwork]:
        """What new networks must not overlap."""
        return [
            pool.network
            for network in self._networks
            if not network.config_only and (network.driver != "overlay" or network.own_end)
            for pool in network.pools
        ]

    async def choose(self, version: int = 4) -> Pool:
        """A subnet that neither a network nor a route of the host uses."""
        await self.gone()
        taken = [*self.subnets(), *await aio.in_pool(osl.host_subnets)]
        subnet = pools.choose(self._options.default_address_pools, taken, version)
        return Pool(str(subnet), str(subnet.network_address + 1))

    def go(self, network: Network) -> None:
        """Take away what the kernel has of a network whose row says that it leaves; behind the answer."""
        self.going[network.id] = self._tasks.start(self._finish(network), f"remove {network.link}")

    async def _finish(self, network: Network) -> None:
        """The kernel's part of a removed network, then its row."""
        try:
            await aio.behind(aio.in_pool, self._drivers[network.driver].remove, network)
            self._networks.drop(network)
        except (ScowError, OSError) as error:
            logger.error("what the kernel has of network %s stays until the next repair: %s", network.name, error)
        finally:
            self.going.pop(network.id, None)

    async def gone(self) -> None:
        """Wait until the kernel has nothing of removed networks: their links and routes are in the way of new ones."""
        if self.going:
            await asyncio.wait(list(self.going.values()))

    async def ensure_all(self) -> None:
        """Make the kernel's part of all networks equal to the rows; what cannot be made is told in the log."""
        for network in list(self._networks.leaving.values()):
            if network.id not in self.going:
                self.go(network)
        await self.gone()
        for network in self._networks:
            try:
                await aio.in_pool(self._drivers[network.driver].ensure, network)
            except (ScowError, OSError) as error:
                logger.error("network %s cannot be made in the kernel: %s", network.name, error)

    async def take_down(self) -> None:
        """Take the kernel's part of all networks away, but for those every host has; `ensure_all` makes it again."""
        for network in self._networks:
            if network.predefined:
                continue
            try:
                await aio.in_pool(self._drivers[network.driver].remove, network)
            except (ScowError, OSError) as error:
                logger.error("what the kernel has of network %s stays: %s", network.name, error)

    def rules(self) -> Sequence[BridgeRule]:
        """The firewall's part of all networks."""
        rules = (self._drivers[network.driver].rule(network) for network in self._networks)
        return [rule for rule in rules if rule is not None]


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)
