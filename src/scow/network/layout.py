"""How a container lies in its networks: its interfaces, the way out, its ports. Only `hold` changes something (it takes ports)."""

import dataclasses
from collections.abc import Mapping

from scow.errors import Internal, InvalidArgument, NotFound, ScowError
from scow.model.network import EndpointSettings
from scow.network import checks, osl
from scow.network.driver import NetworkDriver
from scow.network.endpoint import Endpoint, Published, SandboxRequest, SandboxState
from scow.network.firewall.guard import Guard
from scow.network.network import Network
from scow.network.options import NetworkOptions
from scow.network.ports import sources
from scow.network.ports.allocator import wishes
from scow.network.ports.mapper import PortMapper, default_hosts
from scow.network.store import NetworkStore

SPOOFING = "scow.network.spoofing"  # the label `allow` of a container that has addresses of its own making (a router, a virtual address)
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Layout:
    """Of one daemon; `sandbox.py` asks."""

    def __init__(self, networks: NetworkStore, drivers: Mapping[str, NetworkDriver], options: NetworkOptions, ports: PortMapper) -> None:
        self._networks = networks
        self._drivers = drivers
        self._options = options
        self._ports = ports

    def primary(self, mode: str) -> str:
        """The network name of a NetworkMode."""
        return "bridge" if mode in ("", "default", "bridge") else mode

    def wanted(self, request: SandboxRequest) -> list[tuple[Network, EndpointSettings]]:
        """The networks a container asks for, that of its mode first. Raises ScowError."""
        primary = self.primary(request.mode)
        chosen = dict(request.endpoints)
        if not chosen:
            chosen = {primary: EndpointSettings()}
        found: dict[str, tuple[Network, EndpointSettings]] = {}
        for name, settings in chosen.items():
            network = self._networks.get(name)
            checks.endpoint(network, settings)
            found[network.id] = (network, settings)
        # the network of the mode gets eth0
        return sorted(found.values(), key=lambda pair: pair[0].name != primary and pair[0].id != primary)

    def interface(self, endpoint: Endpoint) -> osl.Interface:
        """The interface of an endpoint that has one."""
        network = self._networks.get(endpoint.network_id)
        found = self._drivers[network.driver].interface(network, endpoint)
        if found is None:
            raise Internal(f"the driver {network.driver} has no interface for {network.name}")
        return found

    def gateway(self, sandbox: SandboxState, version: int = 4) -> Endpoint | None:
        """The endpoint that leads out: highest priority, then by the network's name (as dockerd)."""
        leading = [
            endpoint
            for endpoint in sandbox.endpoints
            if endpoint.inner and (endpoint.settings.gateway if version == 4 else endpoint.settings.ipv6_gateway)
        ]
        return min(leading, key=lambda endpoint: (-endpoint.settings.gw_priority, endpoint.way_out, endpoint.network), default=None)

    def targets(self, sandbox: SandboxState) -> tuple[str, str]:
        """Where published ports lead, by kind of address: to bridge networks only."""
        four, six = (
            endpoint
            if (endpoint := self.gateway(sandbox, version)) and self._networks.get(endpoint.network_id).driver == "bridge"
            else None
            for version in (4, 6)
        )
        return (four.settings.ip_address if four else "", six.settings.global_ipv6_address if six else "")

    def routed(self, sandbox: SandboxState) -> frozenset[int]:
        """The kinds of addresses (4, 6) under which the container's published ports are reached without the host's."""
        ways = {version: self.gateway(sandbox, version) for version in (4, 6)}
        return frozenset(
            version for version, way in ways.items() if way and self._networks.get(way.network_id).gateway_mode(version) == "routed"
        )

    def routes(self, sandbox: SandboxState) -> list[tuple[str, str]]:
        """Default routes: (gateway, interface)."""
        four, six = self.gateway(sandbox, 4), self.gateway(sandbox, 6)
        found = [(four.settings.gateway, four.inner)] if four else []
        return [*found, (six.settings.ipv6_gateway, six.inner)] if six else found

    def outers(self, sandbox: SandboxState) -> list[str]:
        """Host ends; a link of a network that is gone counts."""
        return [osl.veth_name(endpoint.id) for endpoint in sandbox.endpoints if endpoint.inner and not self.stacked(endpoint)]

    def stacked(self, endpoint: Endpoint) -> bool:
        """Whether the interface has no host end."""
        try:
            return endpoint.inner != "" and self._networks.get(endpoint.network_id).driver in ("macvlan", "ipvlan")
        except NotFound:
            return False

    def guards(self, sandbox: SandboxState) -> list[Guard]:
        """What may be sent by the interfaces of a container that is not trusted."""
        if sandbox.request.trusted or sandbox.request.labels.get(SPOOFING) == "allow":
            return []
        return [Guard.of(self.interface(one)) for one in sandbox.endpoints if one.inner and not self.stacked(one)]

    def hold(self, sandbox: SandboxState) -> tuple[Published, ...]:
        """Take the host ports of a sandbox; they lead to the endpoint that leads out."""
        endpoint = self.gateway(sandbox, 4) or self.gateway(sandbox, 6)
        address, address6 = self.targets(sandbox)
        request = sandbox.request
        if endpoint is None or not (address or address6) or not (request.port_bindings or request.publish_all):
            return ()
        network = self._networks.get(endpoint.network_id)
        named = network.binding_ip or self._options.ip
        single = "" if named == "0.0.0.0" else named
        routed = self.routed(sandbox)
        limits = sources.read(network.options, request.labels, *(one.settings.driver_opts for one in sandbox.endpoints))
        wanted = wishes(
            request.port_bindings, request.exposed, request.publish_all, default_hosts(self._options.publish_policy, bool(address6)), single
        )
        if self._options.publish_policy == "user" and routed:
            # the chain sees translated ports only, so the others stay the host's
            wanted = [dataclasses.replace(wish, hosts=tuple(_LOOPBACK.get(host, host) for host in wish.hosts)) for wish in wanted]
        elif self._options.publish_policy == "user" and not address6:
            # the chain sees no relayed port, so only the host may use one
            wanted = [dataclasses.replace(wish, hosts=tuple(map(_guarded, wish.hosts))) for wish in wanted]
        try:
            return self._ports.hold(wanted, address, address6, limits, routed)
        except ScowError as error:
            raise type(error)(
                f"driver failed programming external connectivity on endpoint {request.name} ({endpoint.id}): {error.message}"
            ) from None


def _guarded(host: str) -> str:
    """A host address under the publish policy `user`, where its port would be relayed. Raises InvalidArgument."""
    if ":" not in host or host == "::1":
        return host
    if host == "::":
        return "::1"
    raise InvalidArgument(f"the publish policy user cannot guard a port on {host}: the container's network needs IPv6 for it")
