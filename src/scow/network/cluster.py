"""What networks ask of a swarm: its networks, addresses on them for plain containers. The swarm's side is `engine_executor/networks.py`."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scow.errors import Forbidden, Unavailable
from scow.model.network import EndpointSettings, NetworkCreate
from scow.network import osl
from scow.network.endpoint import SandboxRequest
from scow.network.network import Network, Pool

GATEWAY = "docker_gwbridge"  # the way out of overlay networks


def of_swarm(request: NetworkCreate) -> bool:
    """Whether a network is to span hosts."""
    return request.driver == "overlay" or request.scope == "swarm" or request.ingress


class Cluster(Protocol):
    """A swarm as seen by the networks of one of its hosts."""

    def networks(self) -> Sequence[Network]:
        """The networks of swarm scope that this host knows of, whether they are made here or not."""

    async def fresh(self) -> None:
        """Have in `networks` whatever anybody has made until now; where nobody can say so (no leader), what this host has by itself."""

    def peers(self, network_id: str) -> list[dict[str, str]]:
        """The hosts that take part in a network, as inspect shows them."""

    def services(self, network_id: str) -> dict[str, Any]:
        """The services on a network, as a verbose inspect shows them."""

    async def create(self, request: NetworkCreate, pools: Sequence[Pool]) -> str:
        """Make a network of swarm scope; its id. Raises ScowError."""

    async def remove(self, network: Network) -> None:
        """Remove one. Raises ScowError."""

    async def attaching(self, request: SandboxRequest) -> SandboxRequest:
        """A container starts: the same request with addresses, and its networks made here. Raises ScowError."""

    async def connecting(self, request: SandboxRequest, network: Network, asked: EndpointSettings) -> EndpointSettings:
        """A running container joins a network of swarm scope. Raises ScowError."""

    async def attached(self, container_id: str, fresh: bool) -> None:
        """A container is attached (`fresh`: in a new namespace), or has other networks now."""

    async def released(self, container_id: str, network_ids: Sequence[str]) -> None:
        """A container has left these networks of swarm scope."""

    async def mend(self) -> None:
        """The kernel has lost something."""


class NoCluster:
    """A host that is in no swarm."""

    def networks(self) -> Sequence[Network]:
        """None."""
        return ()

    async def fresh(self) -> None:
        """Nobody to ask."""

    def peers(self, network_id: str) -> list[dict[str, str]]:
        """None."""
        return []

    def services(self, network_id: str) -> dict[str, Any]:
        """None."""
        return {}

    async def create(self, request: NetworkCreate, pools: Sequence[Pool]) -> str:
        """Needs a swarm."""
        if request.ingress:
            raise Forbidden("Ingress network cannot be created in a non-swarm node")
        raise Unavailable(
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
        )

    async def remove(self, network: Network) -> None:
        """Needs a swarm."""
        raise Unavailable("This node is not a swarm manager.")

    async def attaching(self, request: SandboxRequest) -> SandboxRequest:
        """As it is."""
        return request

    async def connecting(self, request: SandboxRequest, network: Network, asked: EndpointSettings) -> EndpointSettings:
        """As it is."""
        return asked

    async def attached(self, container_id: str, fresh: bool) -> None:
        """Nothing to do."""

    async def released(self, container_id: str, network_ids: Sequence[str]) -> None:
        """Nothing to do."""

    async def mend(self) -> None:
        """Nothing to do."""


def shown(document: dict[str, Any], peers: Sequence[Mapping[str, str]], network: Network, made: bool) -> dict[str, Any]:
    """A network of swarm scope as inspect shows it; `made`: it is there on this host, with its own end on the ingress network."""
    found = {**document, "Peers": [dict(one) for one in peers]} if peers else dict(document)
    if not made:
        found["Containers"] = None
    elif network.ingress and network.own_end:
        end = {
            "Name": "ingress-endpoint",
            "EndpointID": hashlib.sha256(f"{network.id} {network.own_end}".encode()).hexdigest(),
            "MacAddress": osl.mac_of(network.own_end.partition("/")[0]),
            "IPv4Address": network.own_end,
            "IPv6Address": "",
        }
        found["Containers"] = {**found["Containers"], "ingress-sbox": end}
    return found


def with_endpoints(services: Mapping[str, Mapping[str, Any]], containers: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Services of a verbose inspect with the endpoints of those tasks that are on this host; of others nobody here knows them."""
    mine = {str(row["IPv4Address"]).partition("/")[0]: row["EndpointID"] for row in (containers or {}).values()}
    return {
        name: {**row, "Tasks": [{**task, "EndpointID": mine.get(task["EndpointIP"], task["EndpointID"])} for task in row["Tasks"]]}
        for name, row in services.items()
    }
