"""Names that a cluster gives on its networks: services, their tasks, containers of all hosts. Replaced whole when the cluster changes."""

from collections.abc import Mapping


class ClusterNames:
    """By network: names (lower case) to addresses; a name without addresses is known all the same, and has none now."""

    def __init__(self) -> None:
        self.version = 0  # grows with each change
        self._names: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
        self._bearers: Mapping[str, Mapping[str, str]] = {}

    def replace(self, names: Mapping[str, Mapping[str, tuple[str, ...]]], bearers: Mapping[str, Mapping[str, str]]) -> None:
        """`names`: network → name → addresses; `bearers`: network → address → name."""
        if names != self._names or bearers != self._bearers:
            self._names, self._bearers = names, bearers
            self.version += 1

    def lookup(self, network_id: str, name: str) -> tuple[str, ...] | None:
        """The addresses of a name, None for one the cluster does not know."""
        return self._names.get(network_id, {}).get(name)

    def reverse(self, network_id: str, address: str) -> str:
        """The name that bears an address, or ""."""
        return self._bearers.get(network_id, {}).get(address, "")
