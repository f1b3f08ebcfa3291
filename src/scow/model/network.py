"""Network requests: endpoints, address management, create, connect and disconnect."""

from dataclasses import dataclass, field

from scow.model.codec import key


@dataclass(frozen=True, slots=True)
class EndpointIPAMConfig:
    """Addresses asked for on an endpoint."""

    ipv4_address: str = key("IPv4Address", "")
    ipv6_address: str = key("IPv6Address", "")
    link_local_ips: list[str] = key("LinkLocalIPs", factory=list)


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A container's place in one network: what was asked for and, while it runs, what it got."""

    ipam_config: EndpointIPAMConfig | None = key("IPAMConfig", None)
    links: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    driver_opts: dict[str, str] = field(default_factory=dict)
    gw_priority: int = key("GwPriority", 0)
    network_id: str = key("NetworkID", "")
    endpoint_id: str = key("EndpointID", "")
    gateway: str = ""
    ip_address: str = key("IPAddress", "")
    ip_prefix_len: int = key("IPPrefixLen", 0)
    ipv6_gateway: str = key("IPv6Gateway", "")
    global_ipv6_address: str = key("GlobalIPv6Address", "")
    global_ipv6_prefix_len: int = key("GlobalIPv6PrefixLen", 0)
    mac_address: str = ""
    dns_names: list[str] = key("DNSNames", factory=list)


@dataclass(frozen=True, slots=True)
class NetworkingConfig:
    """The endpoints of a container at its creation."""

    endpoints_config: dict[str, EndpointSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IPAMPool:
    """One subnet of a network."""

    subnet: str = ""
    ip_range: str = key("IPRange", "")
    gateway: str = ""
    aux_addresses: dict[str, str] = key("AuxiliaryAddresses", factory=dict)


@dataclass(frozen=True, slots=True)
class IPAM:
    """Address management of a network."""

    driver: str = ""
    options: dict[str, str] = field(default_factory=dict)
    config: list[IPAMPool] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ConfigReference:
    """The network whose configuration another one takes."""

    network: str = ""


@dataclass(frozen=True, slots=True)
class NetworkCreate:
    """Body of POST /networks/create."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    check_duplicate: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference | None = None
    enable_ipv4: bool | None = key("EnableIPv4", None)
    enable_ipv6: bool | None = key("EnableIPv6", None)
    ipam: IPAM | None = key("IPAM", None)
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkConnect:
    """Body of POST /networks/{id}/connect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


@dataclass(frozen=True, slots=True)
class NetworkDisconnect:
    """Body of POST /networks/{id}/disconnect."""

    container: str = ""
    force: bool = False
