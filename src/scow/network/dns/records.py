"""Which addresses a name has for a container: a pure look at the stores."""

from collections.abc import Sequence
from dataclasses import dataclass

from scow.network import links
from scow.network.dns.cluster import ClusterNames
from scow.network.endpoint import Endpoint
from scow.network.store import SandboxStore


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a name: `known` with no address of the asked family still ends the search."""

    known: bool
    addresses: tuple[str, ...] = ()


class Records:
    """Names of user networks as one container sees them."""

    def __init__(self, sandboxes: SandboxStore, cluster: ClusterNames | None = None) -> None:
        self._sandboxes = sandboxes
        self._cluster = cluster or ClusterNames()

    @property
    def version(self) -> int:
        """Another number whenever answers may have changed."""
        return self._sandboxes.version + self._cluster.version

    def _endpoints(self, container_id: str) -> Sequence[Endpoint]:
        sandbox = self._sandboxes.get(container_id)
        if sandbox is None:
            return ()
        return [endpoint for endpoint in sandbox.endpoints if endpoint.inner and endpoint.network != "bridge" and not endpoint.way_out]

    def outward(self, container_id: str) -> bool:
        """Whether the container may ask the outside: it is not on internal networks only."""
        sandbox = self._sandboxes.get(container_id)
        return sandbox is not None and any(
            endpoint.inner and (endpoint.settings.gateway or endpoint.settings.ipv6_gateway) for endpoint in sandbox.endpoints
        )

    def lookup(self, container_id: str, name: str) -> Found:
        """The addresses of `name` (lower case), own network first by the order of the container's endpoints."""
        for endpoint in self._endpoints(container_id):
            for one in (name, name.removesuffix(f".{endpoint.network.lower()}")):
                if (told := self._cluster.lookup(endpoint.network_id, one)) is not None:
                    return Found(True, told)
            found = {**self._sandboxes.bearers(endpoint.network_id, name), **self._linked(endpoint, name)}
            if suffix := name.removesuffix(f".{endpoint.network.lower()}"):
                found |= self._sandboxes.bearers(endpoint.network_id, suffix)
            hits = tuple(
                address for one in found.values() for address in (one.settings.ip_address, one.settings.global_ipv6_address) if address
            )
            if hits:
                return Found(True, hits)
        return Found(False)

    def _linked(self, endpoint: Endpoint, name: str) -> dict[str, Endpoint]:
        """What the container itself calls by this name, through its links: by the target's names or full id."""
        found: dict[str, Endpoint] = {}
        for link in endpoint.settings.links or []:
            target, alias = links.split(link)
            if alias.lower() == name:
                found |= self._sandboxes.bearers(endpoint.network_id, target.lower())
                if (member := self._sandboxes.members(endpoint.network_id).get(target)) is not None:
                    found[target] = member
        return found

    def reverse(self, container_id: str, address: str) -> str:
        """`container.network` for an address of one of the container's networks, or ""."""
        for endpoint in self._endpoints(container_id):
            if told := self._cluster.reverse(endpoint.network_id, address):
                return f"{told}.{endpoint.network}"
            for member in self._sandboxes.members(endpoint.network_id).values():
                if address in (member.settings.ip_address, member.settings.global_ipv6_address) and member.settings.dns_names:
                    return f"{member.settings.dns_names[0]}.{endpoint.network}"
        return ""
