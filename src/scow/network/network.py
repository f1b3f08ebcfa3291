"""A network as the engine keeps it, and its stored form (table `networks`)."""

import ipaddress
from dataclasses import asdict, dataclass, field
from typing import Any

from scow import ids

PREDEFINED = ("bridge", "host", "none")
DEFAULT_GATEWAY = "DefaultGatewayIPv4"  # the name dockerd gives the auxiliary address
DEFAULT_GATEWAY6 = "DefaultGatewayIPv6"
LINK_NAME = "com.docker.network.bridge.name"
GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_BRIDGE = "com.docker.network.bridge."


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet: all fields are text as Docker shows it, empty = not given."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    aux: dict[str, str] = field(default_factory=dict)

    @property
    def network(self) -> IPNetwork:
        return ipaddress.ip_network(self.subnet)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@dataclass(frozen=True, slots=True)
class Network:
    """A network: immutable once made."""

    id: str
    name: str
    driver: str
    created_ns: int
    pools: tuple[Pool, ...] = ()
    own_subnet: bool = False  # the user chose the IPv4 subnet, so static addresses are allowed
    own_subnet6: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    config_only: bool = False
    config_from: str = ""
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    scope: str = "local"  # or `swarm`: the cluster made it, addresses are the cluster's matter
    ingress: bool = False
    own_end: str = ""  # this host's own address on an overlay network, with its length
    borrowed: bool = False  # its bridge was there before the network, and stays when that goes
    had: tuple[str, ...] = ()  # the addresses, with lengths, that a borrowed bridge had; it gets them back
    data_path: str = ""  # of an overlay network: the UDP port and, if known, the address that its tunnels start from

    @property
    def link(self) -> str:
        """The bridge's link name."""
        if self.driver == "overlay":
            return f"ov-{ids.short(self.id)}"
        return self.options.get(LINK_NAME) or f"br-{ids.short(self.id)}"

    @property
    def encrypted(self) -> bool:
        """Whether an overlay network's packets go between hosts encrypted: the option has any value but false."""
        return self.driver == "overlay" and self.options.get("encrypted", "false") != "false"

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def attaches(self) -> bool:
        """Whether containers get an interface with addresses."""
        return self.driver not in ("host", "null") and not self.config_only

    def pools_of(self, version: int) -> tuple[Pool, ...]:
        """The pools of an IP version."""
        return tuple(pool for pool in self.pools if pool.version == version)

    def pool(self, version: int = 4) -> Pool | None:
        """The first pool of an IP version, or None."""
        return next((pool for pool in self.pools if pool.version == version), None)

    @property
    def closed(self) -> bool:
        """Nothing leaves the network: it is internal, or has no parent to leave through."""
        return self.internal

    def way_out(self, pool: Pool) -> str:
        """The gateway for containers with an address of `pool`, "" where there is none."""
        if self.closed or self.driver == "overlay" or self.gateway_mode(pool.version) == "isolated":
            return ""
        return pool.aux.get(DEFAULT_GATEWAY if pool.version == 4 else DEFAULT_GATEWAY6) or pool.gateway

    @property
    def gateway(self) -> str:
        """The way out over IPv4, "" where there is none."""
        pool = self.pool(4)
        return self.way_out(pool) if pool else ""

    def gateway_mode(self, version: int) -> str:
        """`nat` (only published ports come in, by the host's), `nat-unprotected` (everything does), `routed` (published ports come in under
        the container's own address, which the outside sees), `isolated` (the host has no address there)."""
        return self.options.get(f"{_BRIDGE}gateway_mode_ipv{version}") or "nat"

    def host_address(self, version: int) -> bool:
        """Whether the bridge gets the gateway's address."""
        inhibited = version == 4 and truth(self.options.get(f"{_BRIDGE}inhibit_ipv4") or "false")
        return not inhibited and self.gateway_mode(version) != "isolated"

    @property
    def prefix(self) -> str:
        """What the names of interfaces inside start with."""
        return self.options.get("com.docker.network.container_iface_prefix") or "eth"

    @property
    def mtu(self) -> int:
        """The links' MTU, 0 = the kernel's default."""
        return int(self.options.get("com.docker.network.driver.mtu") or 0)

    @property
    def icc(self) -> bool:
        """Whether containers of the network may talk to each other."""
        return truth(self.options.get(f"{_BRIDGE}enable_icc") or "true")

    @property
    def masquerade(self) -> bool:
        return truth(self.options.get(f"{_BRIDGE}enable_ip_masquerade") or "true")

    @property
    def trusted_links(self) -> tuple[str, ...]:
        """The host's links from which everything reaches the containers."""
        return tuple(link for link in self.options.get(f"{_BRIDGE}trusted_host_interfaces", "").split(":") if link)

    @property
    def binding_ip(self) -> str:
        """The address ports are published on where none is asked for."""
        return self.options.get(f"{_BRIDGE}host_binding_ipv4", "")

    def host_source(self, version: int) -> str:
        """The host's address that containers are seen by from outside, "" = that of the link they leave by."""
        return self.options.get(f"com.docker.network.host_ipv{version}", "")

    def to_doc(self) -> dict[str, Any]:
        """The stored row."""
        return asdict(self)

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "Network":
        """The network of a stored row."""
        fields = {key: value for key, value in doc.items() if key != "leaving"}
        return cls(**{**fields, "pools": tuple(Pool(**pool) for pool in doc["pools"]), "had": tuple(doc.get("had", ()))})


def truth(text: str) -> bool:
    """A Go boolean; raises ValueError."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(text)
