"""A network as the engine keeps it, and its stored form (table `networks`)."""

import ipaddress
from dataclasses import asdict, dataclass, field
from typing import Any

from scow import ids

PREDEFINED = ("bridge", "host", "none")
DEFAULT_GATEWAY = "DefaultGatewayIPv4"  # the name dockerd gives the auxiliary address
LINK_NAME = "com.docker.network.bridge.name"


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet: all fields are text as Docker shows it, empty = not given."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    aux: dict[str, str] = field(default_factory=dict)

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)


@dataclass(frozen=True, slots=True)
class Network:
    """A network: immutable once made."""

    id: str
    name: str
    driver: str
    created_ns: int
    pools: tuple[Pool, ...] = ()
    own_subnet: bool = False  # the user chose the subnet, so static addresses are allowed
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """The bridge's link name."""
        return self.options.get(LINK_NAME) or f"br-{ids.short(self.id)}"

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def gateway(self) -> str:
        """The way out for containers, "" where there is none."""
        if self.internal or not self.pools:
            return ""
        return self.pools[0].aux.get(DEFAULT_GATEWAY) or self.pools[0].gateway

    @property
    def mtu(self) -> int:
        """The links' MTU, 0 = the kernel's default."""
        return int(self.options.get("com.docker.network.driver.mtu") or 0)

    @property
    def icc(self) -> bool:
        """Whether containers of the network may talk to each other."""
        return truth(self.options.get("com.docker.network.bridge.enable_icc", "true"))

    @property
    def masquerade(self) -> bool:
        return truth(self.options.get("com.docker.network.bridge.enable_ip_masquerade", "true"))

    @property
    def binding_ip(self) -> str:
        """The address ports are published on where none is asked for."""
        return self.options.get("com.docker.network.bridge.host_binding_ipv4", "")

    def to_doc(self) -> dict[str, Any]:
        """The stored row."""
        return asdict(self)

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "Network":
        """The network of a stored row."""
        return cls(**{**doc, "pools": tuple(Pool(**pool) for pool in doc["pools"])})


def truth(text: str) -> bool:
    """A Go boolean; raises ValueError."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(text)
