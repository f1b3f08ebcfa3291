"""What a node keeps about its membership: ids, addresses, certificate, the data key of its manager's store.

Stored in the table `swarm_node`, row `node`. With autolock, key and data key are sealed with the unlock key, which is stored nowhere.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scow.metadata import Database
from scow.swarm import ca

_TABLE, _ROW = "swarm_node", "node"


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node's membership. `managers`: addresses (host:port) of managers, for a node that looks for one."""

    node_id: str
    cluster_id: str
    role: str
    listen: str
    advertise: str
    data_path: str
    managers: tuple[str, ...] = ()
    root: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    data_key: str = field(default="", repr=False)
    """Base64 of the store's data key (managers)."""
    locked: str = field(default="", repr=False)
    """`key` and `data_key` sealed with the unlock key; then those are empty on disk."""
    etcd: bool = False
    """The store is in etcd (more than one manager, now or once)."""

    @property
    def is_locked(self) -> bool:
        """Whether the unlock key is needed."""
        return bool(self.locked) and not self.data_key

    def unlocked(self, key: str) -> "NodeState":
        """With its secrets opened. Raises InvalidArgument for a wrong key."""
        import json

        found = json.loads(ca.unseal(ca.unlock_bytes(key), self.locked))
        return replace(self, key=found["key"], data_key=found["data_key"])

    def sealed(self, unlock_key: str) -> "NodeState":
        """As it goes to disk with autolock; without a key as it is."""
        import json

        if not unlock_key:
            return replace(self, locked="")
        text = json.dumps({"key": self.key, "data_key": self.data_key}).encode()
        return replace(self, locked=ca.seal(ca.unlock_bytes(unlock_key), text), key="", data_key="")


class StateStore:
    """Keeps it."""

    def __init__(self, db: Database) -> None:
        self._table = db.table(_TABLE)

    def read(self) -> NodeState | None:
        """What was kept, None for a node in no swarm."""
        row: dict[str, Any] | None = self._table.get(_ROW)
        if row is None:
            return None
        known = NodeState.__dataclass_fields__
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items() if name in known}
        return NodeState(**values)

    def write(self, state: NodeState, unlock_key: str = "") -> None:
        """Keep it."""
        self._table.put(_ROW, asdict(state.sealed(unlock_key)))

    def forget(self) -> None:
        """The node has left."""
        self._table.delete(_ROW)
