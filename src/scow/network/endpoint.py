"""Endpoints and sandboxes as the engine keeps them, and their stored form (table `sandboxes`, one row a container)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scow.model import codec
from scow.model.container import PortBinding
from scow.model.network import EndpointSettings
from scow.network.firewall.render import PortRule


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """What a container asks of the network when it starts. `mode` is HostConfig.NetworkMode, `files` the directory that gets
    hosts, resolv.conf and hostname; `links` are `name:alias` (or Docker's `/name:/container/alias`)."""

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    mode: str = "default"
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)
    port_bindings: Mapping[str, Sequence[PortBinding]] = field(default_factory=dict)
    exposed: Sequence[str] = ()
    publish_all: bool = False
    extra_hosts: Sequence[str] = ()
    dns: Sequence[str] = ()
    dns_search: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    links: Sequence[str] = ()
    files: Path = Path("/nonexistent")
    labels: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False  # may send under any address (a privileged container, which is as the host)

    def to_doc(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "container_id": self.container_id, "name": self.name, "hostname": self.hostname, "domainname": self.domainname,
            "mode": self.mode,
            "endpoints": {name: codec.encode(settings) for name, settings in self.endpoints.items()},
            "port_bindings": {port: [[b.host_ip, b.host_port] for b in bindings] for port, bindings in self.port_bindings.items()},
            "exposed": list(self.exposed), "publish_all": self.publish_all, "extra_hosts": list(self.extra_hosts), "dns": list(self.dns),
            "dns_search": list(self.dns_search), "dns_options": list(self.dns_options), "links": list(self.links), "files": str(self.files),
            "labels": dict(self.labels), "trusted": self.trusted,
        }  # fmt: skip

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "SandboxRequest":
        """The request of a stored row."""
        return cls(
            **{
                **doc,
                "endpoints": {name: codec.decode(EndpointSettings, settings) for name, settings in doc["endpoints"].items()},
                "port_bindings": {
                    port: [PortBinding(host_ip=ip, host_port=number) for ip, number in bindings]
                    for port, bindings in doc["port_bindings"].items()
                },
                "files": Path(doc["files"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place in a network: `inner` is the interface inside ("" where there is none: host, none). `way_out`: nobody asked for
    it; it leads to the outside for networks that have no gateway of their own, and is not shown."""

    id: str
    network_id: str
    network: str
    settings: EndpointSettings
    inner: str = ""
    way_out: bool = False

    def to_doc(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "id": self.id,
            "network_id": self.network_id,
            "network": self.network,
            "inner": self.inner,
            "way_out": self.way_out,
            "settings": codec.encode(self.settings),
        }

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "Endpoint":
        """The endpoint of a stored row."""
        return cls(**{**doc, "settings": codec.decode(EndpointSettings, doc["settings"])})


@dataclass(frozen=True, slots=True)
class Published:
    """A host port that leads to a container's: `host_ip` as inspect shows it; `address` is where it leads; `sources` = the subnets that
    may use it from outside the host, empty = everybody. `host_port` 0: the container's own port is open under its own address (gateway mode
    routed), unless `host_ip` limits it to the host."""

    proto: str
    host_ip: str
    host_port: int
    port: int
    address: str
    sources: tuple[str, ...] = ()

    @property
    def rule(self) -> PortRule | None:
        """The firewall's part; None where no rule can translate: from one kind of address to the other, and from ::1."""
        if self.direct:
            return PortRule(self.proto, "", 0, self.address, self.port, self.sources) if self.host_ip in ("0.0.0.0", "::") else None
        if (":" in self.host_ip) != (":" in self.address) or self.host_ip == "::1":
            return None
        host = "" if self.host_ip in ("0.0.0.0", "::") else self.host_ip
        return PortRule(self.proto, host, self.host_port, self.address, self.port, self.sources)

    @property
    def direct(self) -> bool:
        """Whether no port of the host is involved."""
        return self.host_port == 0

    @property
    def relayed(self) -> bool:
        """Whether a relay serves the port, or (besides the firewall) the host's own ::1."""
        return not self.direct and self.proto != "sctp" and (":" in self.host_ip or self.rule is None)


@dataclass(frozen=True, slots=True)
class SandboxState:
    """A container that is attached now. Replaced, never changed."""

    id: str
    key: str
    request: SandboxRequest
    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[Published, ...] = ()

    @property
    def container_id(self) -> str:
        return self.request.container_id

    def endpoint(self, network_id: str) -> Endpoint | None:
        """The endpoint in a network, or None."""
        return next((endpoint for endpoint in self.endpoints if endpoint.network_id == network_id), None)

    def named(self, name: str) -> "SandboxState":
        """The same after the container was renamed."""
        return replace(self, request=replace(self.request, name=name))

    def to_doc(self) -> dict[str, Any]:
        """The stored row."""
        return {
            "id": self.id, "key": self.key, "request": self.request.to_doc(),
            "endpoints": [endpoint.to_doc() for endpoint in self.endpoints],
            "published": [[p.proto, p.host_ip, p.host_port, p.port, p.address, list(p.sources)] for p in self.published],
        }  # fmt: skip

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "SandboxState":
        """The sandbox of a stored row."""
        return cls(
            doc["id"],
            doc["key"],
            SandboxRequest.from_doc(doc["request"]),
            tuple(Endpoint.from_doc(endpoint) for endpoint in doc["endpoints"]),
            tuple(Published(*one[:5], *(tuple(sources) for sources in one[5:])) for one in doc["published"]),
        )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What `attach` answers: `key` is the namespace's path, "" when the container shares the host's."""

    id: str
    key: str
    endpoints: dict[str, EndpointSettings]


@dataclass(frozen=True, slots=True)
class NetworkView:
    """What inspect shows of a container's networking; ports as Docker's NetworkSettings.Ports."""

    sandbox_id: str = ""
    key: str = ""
    ports: dict[str, list[dict[str, str]] | None] = field(default_factory=dict)
    networks: dict[str, EndpointSettings] = field(default_factory=dict)
