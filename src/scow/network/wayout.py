"""The way out of overlay networks, which have no gateway: an endpoint on `docker_gwbridge` that nobody asked for."""

import dataclasses
from collections.abc import Collection, Sequence

from scow.errors import ScowError
from scow.model.network import EndpointSettings
from scow.network.cluster import GATEWAY
from scow.network.endpoint import Endpoint, SandboxRequest
from scow.network.endpoints import Endpoints
from scow.network.network import Network
from scow.network.store import NetworkStore


class WayOut:
    """Adds and drops such endpoints; bookkeeping only."""

    def __init__(self, networks: NetworkStore, endpoints: Endpoints) -> None:
        self._networks = networks
        self._endpoints = endpoints

    def _open(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is on an overlay network that is not internal."""
        try:
            network = self._networks.get(endpoint.network_id)
        except ScowError:
            return False
        return network.driver == "overlay" and not network.internal

    def missing(self, endpoints: Sequence[Endpoint]) -> Network | None:
        """The network on which these endpoints lack one, None when they don't."""
        if any(one.way_out or one.settings.gateway for one in endpoints) or not any(map(self._open, endpoints)):
            return None
        return self._networks.named(GATEWAY)

    def make(self, request: SandboxRequest, network: Network, taken: Collection[str]) -> Endpoint:
        """The endpoint; the caller must free it if it is not stored."""
        made = self._endpoints.make(request, network, EndpointSettings(), taken)
        return dataclasses.replace(made, way_out=True, settings=dataclasses.replace(made.settings, dns_names=[]))

    def spare(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        """The endpoint that none of the others needs any more."""
        found = next((one for one in endpoints if one.way_out), None)
        return found if found is not None and not any(map(self._open, endpoints)) else None
