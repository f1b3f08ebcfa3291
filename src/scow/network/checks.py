"""What a network or an endpoint must look like: pure checks with dockerd's texts."""

import ipaddress
import re
from collections.abc import Callable

from scow.errors import Forbidden, InvalidArgument, NotFound, Unsupported
from scow.model.network import EndpointSettings, IPAMPool, NetworkCreate
from scow.network.network import LINK_NAME, PREDEFINED, Network, Pool, truth

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_LINK = re.compile(r"[^/\s:]{1,15}\Z")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:(:[0-9a-fA-F]{2}){5}|(-[0-9a-fA-F]{2}){5})\Z")
_LATER = ("macvlan", "ipvlan", "overlay", "nat", "transparent", "l2bridge")
_SECOND = 1_000_000_000


def _ipv4(text: str, what: str) -> ipaddress.IPv4Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid network config:\ninvalid {what} {text}: invalid address") from None
    if not isinstance(address, ipaddress.IPv4Address):
        raise InvalidArgument(f"invalid network config:\ninvalid {what} {text}: parent subnet is an IPv4 block")
    return address


def pool(config: IPAMPool) -> Pool:
    """Check one IPAM config entry. Raises InvalidArgument."""
    subnet = _cidr(config.subnet, "subnet")
    if config.ip_range:
        ip_range = _cidr(config.ip_range, "ip-range", strict=False)
        if ip_range.prefixlen < subnet.prefixlen:
            raise InvalidArgument(
                f"invalid network config:\ninvalid ip-range {config.ip_range}: CIDR block is bigger than its parent subnet {subnet}"
            )
        if not ip_range.subnet_of(subnet):
            raise InvalidArgument(
                f"invalid network config:\ninvalid ip-range {config.ip_range}: parent subnet {subnet} doesn't contain ip-range"
            )
    if config.gateway and _ipv4(config.gateway, "gateway") not in subnet:
        raise InvalidArgument(
            f"invalid network config:\ninvalid gateway {config.gateway}: parent subnet {subnet} doesn't contain this address"
        )
    for text in config.aux_addresses.values():
        if _ipv4(text, "auxiliary address") not in subnet:
            raise InvalidArgument(
                f"invalid network config:\ninvalid auxiliary address {text}: parent subnet {subnet} doesn't contain this address"
            )
    return Pool(str(subnet), config.gateway or _first(subnet, config), config.ip_range, dict(config.aux_addresses))


def _first(subnet: ipaddress.IPv4Network, config: IPAMPool) -> str:
    """The gateway where none is named: the lowest address that isn't an auxiliary one, inside the ip-range if there is one (as dockerd)."""
    place = ipaddress.IPv4Network(config.ip_range, strict=False) if config.ip_range else subnet
    taken = set(config.aux_addresses.values())
    first = int(place.network_address) + (1 if place.network_address == subnet.network_address and subnet.prefixlen < 31 else 0)
    for number in range(first, int(place.broadcast_address) + 1):
        if (text := str(ipaddress.IPv4Address(number))) not in taken:
            return text
    raise InvalidArgument("no available IPv4 addresses on this network's address pools")


def _cidr(text: str, what: str, strict: bool = True) -> ipaddress.IPv4Network:
    if "/" not in text:
        raise InvalidArgument(f"invalid network config:\ninvalid {what} {text}: invalid CIDR block notation")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidArgument(f"invalid network config:\ninvalid {what} {text}: invalid CIDR block notation") from None
    if not isinstance(network, ipaddress.IPv4Network):
        raise Unsupported(f"IPv6 networks are not supported yet: {text}")
    if strict and str(network) != text:
        raise InvalidArgument(f"invalid network config:\ninvalid {what} {text}: it should be {network}")
    return network


def create(request: NetworkCreate) -> list[Pool]:
    """Check a request to create a network; its pools, empty where the engine chooses one."""
    if not request.name.strip():
        raise InvalidArgument("network name is required: invalid network name")
    if request.name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {request.name} network ")
    if not _NAME.match(request.name):
        raise InvalidArgument(f"invalid network name {request.name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    driver = request.driver or "bridge"
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver in _LATER:
        raise Unsupported(f"the network driver {driver} is not supported yet")
    if driver != "bridge":
        raise NotFound(f'could not find plugin {driver} in v1 plugin registry: plugin "{driver}" not found')
    if request.scope not in ("", "local"):
        raise InvalidArgument(f"network scope {request.scope} needs a swarm: this node is not a swarm manager")
    if request.enable_ipv6 or request.enable_ipv4 is False:
        raise Unsupported("IPv6 networks are not supported yet")
    if request.config_only or (request.config_from and request.config_from.network):
        raise Unsupported("networks made from a configuration network are not supported yet")
    if request.ingress:
        raise InvalidArgument("Ingress network cannot be created in a non-swarm node")
    _options(request.options)
    ipam = request.ipam
    if ipam is None:
        return []
    if ipam.driver not in ("", "default"):
        raise NotFound(f'could not find plugin {ipam.driver} in v1 plugin registry: plugin "{ipam.driver}" not found')
    pools = [pool(config) for config in ipam.config if config != IPAMPool()]
    if len(pools) > 1:
        raise InvalidArgument("bridge driver doesn't support multiple subnets")
    return pools


def _options(options: dict[str, str]) -> None:
    checks: dict[str, Callable[[str], object]] = {
        "com.docker.network.driver.mtu": _mtu,
        "com.docker.network.bridge.enable_icc": truth,
        "com.docker.network.bridge.enable_ip_masquerade": truth,
        "com.docker.network.bridge.host_binding_ipv4": ipaddress.IPv4Address,
        LINK_NAME: _link,
    }
    for name, value in options.items():
        try:
            if name in checks and value:
                checks[name](value)
        except ValueError:
            raise InvalidArgument(f'invalid value for option "{name}": {value!r}') from None


def _mtu(text: str) -> None:
    if not 68 <= int(text) <= 65535:
        raise ValueError(text)


def _link(text: str) -> None:
    if not _LINK.match(text) or text in (".", ".."):
        raise ValueError(text)


def endpoint(network: Network, settings: EndpointSettings) -> None:
    """Check what is asked of an endpoint in `network`. Raises InvalidArgument."""
    if settings.mac_address and not _MAC.match(settings.mac_address):
        raise InvalidArgument(f"invalid MAC address: address {settings.mac_address}: invalid MAC address")
    if network.name == "bridge" and settings.aliases:
        raise InvalidArgument("network-scoped alias is supported only for containers in user defined networks")
    config = settings.ipam_config
    if config is None:
        return
    if config.ipv6_address:
        raise Unsupported("IPv6 addresses are not supported yet")
    if not config.ipv4_address:
        return
    try:
        address = ipaddress.IPv4Address(config.ipv4_address)
    except ValueError:
        raise InvalidArgument(f"invalid endpoint settings:\ninvalid IPv4 address: {config.ipv4_address}") from None
    if network.predefined:
        raise InvalidArgument("user specified IP address is supported on user defined networks only")
    if not network.own_subnet:
        raise InvalidArgument("user specified IP address is supported only when connecting to networks with user configured subnets")
    if not any(address in candidate.network for candidate in network.pools):
        raise InvalidArgument(f"no configured subnet or ip-range contain the IP address {address}")
