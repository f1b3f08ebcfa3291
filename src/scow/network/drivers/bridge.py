"""The bridge driver: a bridge of the host's kernel with the gateway's addresses, a veth pair an endpoint, the firewall around it."""

from scow.errors import InvalidArgument
from scow.model.network import NetworkCreate
from scow.network import checks, osl
from scow.network.drivers import options
from scow.network.endpoint import Endpoint
from scow.network.firewall.render import BridgeRule, Side
from scow.network.network import GATEWAY_MODES, LINK_NAME, Network, Pool, truth

_PREFIX = "com.docker.network.bridge."
_CHECKS = {
    options.MTU: options.mtu,
    LINK_NAME: options.link,
    f"{_PREFIX}enable_icc": truth,
    f"{_PREFIX}enable_ip_masquerade": truth,
    f"{_PREFIX}inhibit_ipv4": truth,
    f"{_PREFIX}host_binding_ipv4": options.ipv4,
    f"{_PREFIX}gateway_mode_ipv4": options.one_of(*GATEWAY_MODES),
    f"{_PREFIX}gateway_mode_ipv6": options.one_of(*GATEWAY_MODES),
    f"{_PREFIX}trusted_host_interfaces": options.links,
    "com.docker.network.host_ipv4": options.ipv4,
    "com.docker.network.host_ipv6": options.ipv6,
    "com.docker.network.container_iface_prefix": options.link,
}


class BridgeDriver:
    """See `osl.ensure_bridge` for what is in the kernel."""

    name = "bridge"

    def check(self, request: NetworkCreate, pools: list[Pool]) -> None:
        """Option values; one subnet of each kind; an isolated gateway is for internal networks."""
        options.check(request.options, _CHECKS)
        if request.enable_ipv6 and 0 < int(request.options.get(options.MTU) or 0) < 1280:
            raise InvalidArgument(f"{options.MTU} {request.options[options.MTU]} is too small for IPv6, which needs 1280")
        for version in (4, 6):
            if sum(pool.version == version for pool in pools) > 1:
                raise InvalidArgument("bridge driver doesn't support multiple subnets")
            if request.options.get(f"{_PREFIX}gateway_mode_ipv{version}") == "isolated" and not request.internal:
                raise InvalidArgument(f"gateway_mode_ipv{version} isolated is for internal networks: add --internal")

    def shape(self, network: Network) -> Network:
        """As it is."""
        return network

    def ensure(self, network: Network) -> None:
        """The bridge."""
        osl.ensure_bridge(network)

    def remove(self, network: Network) -> None:
        """No bridge; another's has the addresses it had before."""
        if network.borrowed:
            osl.give_back(network)
        else:
            osl.remove_link(network.link)

    def rule(self, network: Network) -> BridgeRule | None:
        """Masquerading, isolation and the way of published ports."""
        four, six = network.pool(4), network.pool(6)
        return BridgeRule(
            network.link,
            four.subnet if four else "",
            network.internal,
            network.masquerade,
            six.subnet if six else "",
            _side(network, 4),
            _side(network, 6),
            network.trusted_links,
        )

    def interface(self, network: Network, endpoint: Endpoint) -> osl.Interface | None:
        """A veth pair, its host end a port of the bridge."""
        settings = endpoint.settings
        return osl.Interface(
            endpoint.inner, osl.veth_name(endpoint.id), network.link, settings.mac_address, settings.ip_address, settings.ip_prefix_len,
            network.mtu, isolated=not network.icc, more=osl.more_addresses(settings), sysctls=tuple(checks.sysctls(settings)),
        )  # fmt: skip


def _side(network: Network, version: int) -> Side:
    mode = network.gateway_mode(version)
    return Side(mode == "nat-unprotected", network.host_source(version), mode == "routed")
