"""Networks and sandboxes in memory with their rows behind them; the addresses in use follow from the sandboxes."""

from collections.abc import Iterator

from scow import ids
from scow.errors import NotFound
from scow.metadata.db import Database
from scow.network.endpoint import Endpoint, SandboxState
from scow.network.ipam.allocator import Addresses
from scow.network.network import Network

_LEAVING = "leaving"


class NoSuchNetwork(NotFound):
    """No network has that name or id."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"network {ref} not found")


class NetworkStore:
    """The networks by id and by name, and the allocator of each that has a subnet."""

    def __init__(self, db: Database) -> None:
        self._table = db.table("networks")
        rows = self._table.all()
        self._networks = {key: Network.from_doc(doc) for key, doc in rows.items() if not doc.get(_LEAVING)}
        self.leaving = {key: Network.from_doc(doc) for key, doc in rows.items() if doc.get(_LEAVING)}
        self._names = {network.name: network.id for network in self._networks.values()}
        self._allocators: dict[str, Addresses] = {}

    def __iter__(self) -> Iterator[Network]:
        return iter(tuple(self._networks.values()))

    def named(self, name: str) -> Network | None:
        """The network of exactly this name."""
        found = self._names.get(name)
        return self._networks[found] if found else None

    def get(self, ref: str) -> Network:
        """The network with this id, name or unique id prefix. Raises NoSuchNetwork, ids.Ambiguous."""
        found = self._networks.get(ref) or self.named("bridge" if ref == "default" else ref)
        if found is None and (full := ids.by_prefix(self._networks, ref)) is not None:
            found = self._networks[full]
        if found is None:
            raise NoSuchNetwork(ref)
        return found

    def put(self, network: Network) -> None:
        """Store a network, in place of an earlier one with its id."""
        self._table.put(network.id, network.to_doc())
        self.leaving.pop(network.id, None)
        self._networks[network.id] = network
        self._names[network.name] = network.id
        self._allocators.pop(network.id, None)

    def leave(self, network: Network) -> None:
        """Nobody finds the network from now on; its row stays, with the mark that the kernel's part must go."""
        self._table.put(network.id, {**network.to_doc(), _LEAVING: True})
        self.leaving[network.id] = network
        self._hide(network)

    def _hide(self, network: Network) -> None:
        self._networks.pop(network.id, None)
        if self._names.get(network.name) == network.id:
            del self._names[network.name]
        self._allocators.pop(network.id, None)

    def drop(self, network: Network) -> None:
        """Forget a network."""
        self._table.delete(network.id)
        self.leaving.pop(network.id, None)
        self._hide(network)

    def addresses(self, network: Network) -> Addresses:
        """The addresses of a network that has pools."""
        found = self._allocators.get(network.id)
        if found is None:
            found = self._allocators[network.id] = Addresses(network)
        return found


class SandboxStore:
    """The attached containers by id, with an index by network."""

    def __init__(self, db: Database) -> None:
        self._table = db.table("sandboxes")
        self._sandboxes = {key: SandboxState.from_doc(doc) for key, doc in self._table.all().items()}
        self._members: dict[str, dict[str, Endpoint]] = {}
        self._names: dict[tuple[str, str], dict[str, Endpoint]] = {}
        self.version = 0  # grows with each change
        for sandbox in self._sandboxes.values():
            self._index(sandbox)

    def __iter__(self) -> Iterator[SandboxState]:
        return iter(tuple(self._sandboxes.values()))

    def _index(self, sandbox: SandboxState) -> None:
        self.version += 1
        for endpoint in sandbox.endpoints:
            self._members.setdefault(endpoint.network_id, {})[sandbox.container_id] = endpoint
            for name in endpoint.settings.dns_names:
                self._names.setdefault((endpoint.network_id, name.lower()), {})[sandbox.container_id] = endpoint

    def _forget(self, sandbox: SandboxState) -> None:
        self.version += 1
        for endpoint in sandbox.endpoints:
            for name in endpoint.settings.dns_names:
                key = (endpoint.network_id, name.lower())
                if bearers := self._names.get(key):
                    bearers.pop(sandbox.container_id, None)
                    if not bearers:
                        del self._names[key]
            if members := self._members.get(endpoint.network_id):
                members.pop(sandbox.container_id, None)
                if not members:
                    del self._members[endpoint.network_id]

    def get(self, container_id: str) -> SandboxState | None:
        """The sandbox of a container, or None when it is not attached."""
        return self._sandboxes.get(container_id)

    def find(self, name: str) -> SandboxState | None:
        """The attached container of that name or id."""
        return self._sandboxes.get(name) or next((sandbox for sandbox in self._sandboxes.values() if sandbox.request.name == name), None)

    def members(self, network_id: str) -> dict[str, Endpoint]:
        """The endpoints of a network by container id."""
        return self._members.get(network_id, {})

    def bearers(self, network_id: str, name: str) -> dict[str, Endpoint]:
        """The endpoints of a network that have a DNS name (lower case), by container id."""
        return self._names.get((network_id, name), {})

    def put(self, sandbox: SandboxState) -> None:
        """Store a sandbox, in place of the container's earlier one."""
        if (old := self._sandboxes.get(sandbox.container_id)) is not None:
            self._forget(old)
        self._table.put(sandbox.container_id, sandbox.to_doc())
        self._sandboxes[sandbox.container_id] = sandbox
        self._index(sandbox)

    def drop(self, container_id: str) -> SandboxState | None:
        """Forget a sandbox; what it was."""
        sandbox = self._sandboxes.pop(container_id, None)
        if sandbox is not None:
            self._table.delete(container_id)
            self._forget(sandbox)
        return sandbox
