"""What the daemon's configuration says about networks."""

from dataclasses import dataclass, field

# Docker's, which are 31 networks; then podman's, for 256 more
DEFAULT_POOLS: tuple[tuple[str, int], ...] = (
    *((f"172.{n}.0.0/16", 16) for n in range(17, 32)),
    ("192.168.0.0/16", 20),
    ("10.89.0.0/16", 24),
)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The daemon's network options, named after dockerd's flags; `bridge="none"` switches the default bridge off."""

    bridge: str = "scow0"
    bip: str = ""
    fixed_cidr: str = ""
    default_gateway: str = ""
    icc: bool = True
    ip_masq: bool = True
    ip_forward: bool = True
    firewall: bool = True
    mtu: int = 1500
    ip: str = ""
    default_address_pools: tuple[tuple[str, int], ...] = DEFAULT_POOLS
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    # who reaches a port published without an address: everybody (open, as Docker), the host (loopback), who the chain of the user lets in
    publish_policy: str = "open"
    ipv6: bool = False
    bip6: str = ""
    fixed_cidr_v6: str = ""
    default_gateway_v6: str = ""
    default_network_opts: dict[str, dict[str, str]] = field(default_factory=dict)
    host_gateway_ips: tuple[str, ...] = field(default=())
