"""What a network or an endpoint must look like: pure checks with dockerd's texts. What one driver wants is checked in `drivers/`."""

import ipaddress
import re
from collections.abc import Mapping

from scow.errors import Forbidden, InvalidArgument
from scow.model.network import EndpointSettings, IPAMPool, NetworkCreate
from scow.network.driver import no_plugin
from scow.network.network import PREDEFINED, IPNetwork, Network, Pool
from scow.network.ports import sources

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:(:[0-9a-fA-F]{2}){5}|(-[0-9a-fA-F]{2}){5})\Z")
_INTERFACE = re.compile(r"[^/\s:]{1,15}\Z")
_SYSCTL = re.compile(r"net\.(ipv4|ipv6|mpls)\.[a-z0-9_]+\.(?:IFNAME|ifname)\.[a-z0-9_]+=[-0-9a-zA-Z. ]*\Z")
_FIRST_SEARCHED = 1 << 16
_RESERVED = {  # nothing the kernel routes to: dockerd makes such networks, and their containers reach nobody
    "loopback": ("127.0.0.0/8", "::1/128"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::/128"),
    "broadcast": ("255.255.255.255/32",),
}
IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"


def _bad(what: str) -> InvalidArgument:
    return InvalidArgument(f"invalid network config:\n{what}")


def _inside(text: str, subnet: IPNetwork, what: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _bad(f"invalid {what} {text}: invalid address") from None
    if address.version != subnet.version:
        raise _bad(f"invalid {what} {text}: parent subnet is an IPv{subnet.version} block")
    if address not in subnet:
        raise _bad(f"invalid {what} {text}: parent subnet {subnet} doesn't contain this address")


def pool(config: IPAMPool) -> Pool:
    """Check one IPAM config entry. Raises InvalidArgument."""
    subnet = _cidr(config.subnet, "subnet")
    for kind, blocks in _RESERVED.items():
        for block in map(ipaddress.ip_network, blocks):
            if block.version == subnet.version and block.overlaps(subnet):
                raise _bad(f"invalid subnet {subnet}: it has {kind} addresses ({block}), which no container can have")
    if config.ip_range:
        ip_range = _cidr(config.ip_range, "ip-range", strict=False)
        if ip_range.version != subnet.version:
            raise _bad(f"invalid ip-range {config.ip_range}: parent subnet is an IPv{subnet.version} block")
        if ip_range.prefixlen < subnet.prefixlen:
            raise _bad(f"invalid ip-range {config.ip_range}: CIDR block is bigger than its parent subnet {subnet}")
        if not _within(ip_range, subnet):
            raise _bad(f"invalid ip-range {config.ip_range}: parent subnet {subnet} doesn't contain ip-range")
    if config.gateway:
        _inside(config.gateway, subnet, "gateway")
        _no_end(config.gateway, subnet)
    for text in config.aux_addresses.values():
        _inside(text, subnet, "auxiliary address")
    return Pool(str(subnet), config.gateway or _first(subnet, config), config.ip_range, dict(config.aux_addresses))


def _no_end(gateway: str, subnet: IPNetwork) -> None:
    """A gateway is neither the network's nor the broadcast address, where a subnet has such (dockerd's text)."""
    ends = [subnet.network_address, subnet.broadcast_address][: 2 if subnet.version == 4 else 1]
    if subnet.prefixlen < subnet.max_prefixlen - 1 and ipaddress.ip_address(gateway) in ends:
        raise InvalidArgument(f"failed to allocate gateway ({gateway}): Address already in use")


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.network_address in outer and inner.broadcast_address in outer


def _first(subnet: IPNetwork, config: IPAMPool) -> str:
    """The gateway where none is named: the lowest address that isn't an auxiliary one, inside the ip-range if there is one (as dockerd)."""
    place = ipaddress.ip_network(config.ip_range, strict=False) if config.ip_range else subnet
    taken = {ipaddress.ip_address(text) for text in config.aux_addresses.values()}
    skip = place.network_address == subnet.network_address and subnet.prefixlen < subnet.max_prefixlen - 1
    first = int(place.network_address) + (1 if skip else 0)
    for number in range(first, min(int(place.broadcast_address) + 1, first + _FIRST_SEARCHED)):
        address = type(subnet.network_address)(number)
        if address not in taken:
            return str(address)
    raise InvalidArgument(f"no available IPv{subnet.version} addresses on this network's address pools")


def _cidr(text: str, what: str, strict: bool = True) -> IPNetwork:
    if "/" not in text:
        raise _bad(f"invalid {what} {text}: invalid CIDR block notation")
    try:
        network = ipaddress.ip_network(text, strict=False)
        given = ipaddress.ip_interface(text)
    except ValueError:
        raise _bad(f"invalid {what} {text}: invalid CIDR block notation") from None
    if strict and given.ip != network.network_address:
        raise _bad(f"invalid {what} {text}: it should be {network}")
    return network


def create(request: NetworkCreate) -> list[Pool]:
    """Check what every driver wants of a request to create a network; the pools it names, IPv4 first. Raises InvalidArgument, Forbidden,
    NotFound, Unsupported."""
    if not request.name.strip():
        raise InvalidArgument("network name is required: invalid network name")
    if request.name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {request.name} network ")
    if not _NAME.match(request.name):
        raise InvalidArgument(f"invalid network name {request.name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    if request.scope not in ("", "local"):
        raise InvalidArgument(f"network scope {request.scope} needs a swarm: this node is not a swarm manager")
    if request.ingress:
        raise InvalidArgument("Ingress network cannot be created in a non-swarm node")
    sources.read(request.options)
    if request.enable_ipv4 is False and not request.enable_ipv6 and not _inherits(request):
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if _inherits(request):
        if request.config_only:
            raise InvalidArgument("a configuration network cannot be based on another configuration network")
        if request.ipam and (request.ipam.config or request.ipam.options):
            raise InvalidArgument("user specified IPAM options are not supported if the network depends on a configuration network")
        if request.options:
            raise InvalidArgument("user specified driver options are not supported if the network depends on a configuration network")
    elif request.config_only and (request.internal or request.attachable):
        raise InvalidArgument("configuration network can only contain network specific fields, not internal or attachable")
    ipam = request.ipam
    if ipam is None:
        return []
    if ipam.driver not in ("", "default"):
        raise no_plugin(ipam.driver)
    pools = [pool(config) for config in ipam.config if config != IPAMPool()]
    for number, one in enumerate(pools):
        if any(one.version == other.version and one.network.overlaps(other.network) for other in pools[:number]):
            raise InvalidArgument("invalid pool request: Pool overlaps with other one on this address space")
    if request.enable_ipv4 is False:
        pools = [one for one in pools if one.version == 6]
    if not request.enable_ipv6:
        pools = [one for one in pools if one.version == 4]
    return sorted(pools, key=lambda one: one.version)


def _inherits(request: NetworkCreate) -> bool:
    return bool(request.config_from and request.config_from.network)


def asked(labels: Mapping[str, str], endpoints: Mapping[str, EndpointSettings]) -> None:
    """Check what a new container asks of networks that may not be there yet. Raises InvalidArgument."""
    sources.read(labels, *(one.driver_opts for one in endpoints.values()))
    for settings in endpoints.values():
        _mac(settings.mac_address)


def _mac(text: str) -> None:
    if text and not _MAC.match(text):
        raise InvalidArgument(f"invalid MAC address: address {text}: invalid MAC address")
    if text and (int(text[:2], 16) & 1 or not text.strip("0:-")):
        raise InvalidArgument(f"invalid MAC address {text}: it is a group's or nobody's, take one that starts with 02")


def endpoint(network: Network, settings: EndpointSettings) -> None:
    """Check what is asked of an endpoint in `network`. Raises InvalidArgument, Forbidden, Unsupported."""
    if network.config_only:
        raise Forbidden(f"cannot create an endpoint in configuration-only network {network.name}")
    _mac(settings.mac_address)
    sources.read(settings.driver_opts)
    if network.name == "bridge" and settings.aliases:
        raise InvalidArgument("network-scoped alias is supported only for containers in user defined networks")
    _driver_options(settings)
    config = settings.ipam_config
    if config is None:
        return
    for version, text in ((4, config.ipv4_address), (6, config.ipv6_address)):
        if text:
            _static(network, version, text)
    for text in config.link_local_ips:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise InvalidArgument(f"invalid endpoint settings:\ninvalid link-local IP address: {text}") from None


def _driver_options(settings: EndpointSettings) -> None:
    name = settings.driver_opts.get(IFNAME, "")
    if name and (not _INTERFACE.match(name) or name in (".", "..", "lo")):
        raise InvalidArgument(f"invalid interface name {name!r} in {IFNAME}")
    for entry in sysctls(settings):
        if not _SYSCTL.match(entry):
            raise InvalidArgument(f"invalid sysctl {entry!r} in {SYSCTLS}: it must be net.X.Y.IFNAME.Z=VALUE")


def sysctls(settings: EndpointSettings) -> list[str]:
    """The `net.ipv4.conf.IFNAME.x=1` entries of an endpoint's driver options; some clients make them lower case."""
    return [entry.strip().replace(".ifname.", ".IFNAME.") for entry in settings.driver_opts.get(SYSCTLS, "").split(",") if entry.strip()]


def _static(network: Network, version: int, text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
        if address.version != version:
            raise ValueError(text)
    except ValueError:
        raise InvalidArgument(f"invalid endpoint settings:\ninvalid IPv{version} address: {text}") from None
    if network.predefined:
        raise InvalidArgument("user specified IP address is supported on user defined networks only")
    if not (network.own_subnet if version == 4 else network.own_subnet6):
        raise InvalidArgument("user specified IP address is supported only when connecting to networks with user configured subnets")
    if not any(address in candidate.network for candidate in network.pools_of(version)):
        raise InvalidArgument(f"no configured subnet or ip-range contain the IP address {address}")
