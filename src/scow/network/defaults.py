"""The networks that every host has: bridge, host, none, as the options say."""

import dataclasses
import ipaddress
import time
from collections.abc import Awaitable, Callable

from scow import aio, ids
from scow.errors import InvalidArgument
from scow.network import osl
from scow.network.ipam import pools
from scow.network.network import DEFAULT_GATEWAY, DEFAULT_GATEWAY6, LINK_NAME, IPNetwork, Network, Pool
from scow.network.options import NetworkOptions
from scow.network.store import NetworkStore

Choose = Callable[[int], Awaitable[Pool]]


class Defaults:
    """Puts them into the store; `choose` finds a free subnet of an IP version."""

    def __init__(self, networks: NetworkStore, options: NetworkOptions, choose: Choose) -> None:
        self._networks = networks
        self._options = options
        self._choose = choose

    async def ensure(self) -> None:
        """Have them as the options say. Raises InvalidArgument, pools.Overlap."""
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
            chosen = await self._choose(4)
        if fixed is not None and _within(fixed, chosen.network):
            chosen = dataclasses.replace(chosen, ip_range=str(fixed))
        if options.default_gateway:
            if _subnet("default-gateway", options.default_gateway).network_address not in chosen.network:
                raise InvalidArgument(f"default gateway {options.default_gateway} is not in the default bridge's subnet {chosen.subnet}")
            chosen = dataclasses.replace(chosen, aux={DEFAULT_GATEWAY: options.default_gateway})
        return chosen


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
