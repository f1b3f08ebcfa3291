"""What a node keeps about its membership: ids, addresses, certificate, the data key of its manager's store.

Stored in the table `swarm_node`, row `node`; row `wish` while it has yet to get in (`joining.Wish`). With autolock, the keys are sealed
with the unlock key, which is stored nowhere.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scow.metadata import Database
from scow.swarm import ca
from scow.swarm.ca.peers import Trust

_TABLE, _ROW, _WISH = "swarm_node", "node", "wish"
_SECRETS = ("key", "data_key", "peer_key")


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node's membership. `managers`: `id@host:port` of each manager, for a node that looks for one; `root`: the roots that are
    believed, PEM, two while the root is exchanged; `issuer`: the one that has signed `certificate`."""

    node_id: str
    cluster_id: str
    role: str
    listen: str
    advertise: str
    data_path: str
    managers: tuple[str, ...] = ()
    root: str = ""
    issuer: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    data_key: str = field(default="", repr=False)
    """Base64 of the store's data key (managers)."""
    peer_root: str = ""
    peer_key: str = field(default="", repr=False)
    """The root that certificates of etcd's members are made of, and its key (managers; see `store/etcd/member.py`)."""
    peer_believed: str = ""
    """The roots that its member believes, PEM; "" for that one only. Another while the root is exchanged (`ca/peers.py`)."""
    locked: str = field(default="", repr=False)
    """The keys above, sealed with the unlock key; then those are empty on disk."""
    etcd: bool = False
    """The store is in etcd (more than one manager, now or once)."""

    @property
    def addresses(self) -> list[str]:
        """Where managers listen."""
        return [text.rpartition("@")[2] for text in self.managers]

    @property
    def trust(self) -> Trust:
        """What its member of etcd works with."""
        return Trust(ca.KeyPair(self.peer_root, self.peer_key), self.peer_believed or self.peer_root)

    def trusting(self, trust: Trust) -> "NodeState":
        """With another one."""
        return replace(self, peer_root=trust.root.certificate, peer_key=trust.root.key, peer_believed=trust.believed)

    @property
    def is_locked(self) -> bool:
        """Whether the unlock key is needed."""
        return bool(self.locked) and not self.data_key

    def unlocked(self, key: str) -> "NodeState":
        """With its secrets opened. Raises InvalidArgument for a wrong key."""
        return replace(self, **json.loads(ca.unseal(ca.unlock_bytes(key), self.locked)))

    def sealed(self, unlock_key: str) -> "NodeState":
        """As it goes to disk with autolock; without a key as it is."""
        if not unlock_key:
            return replace(self, locked="")
        held = {name: getattr(self, name) for name in _SECRETS}
        locked = ca.seal(ca.unlock_bytes(unlock_key), json.dumps(held).encode())
        return replace(self, locked=locked, key="", data_key="", peer_key="")


class StateStore:
    """Keeps it."""

    def __init__(self, db: Database) -> None:
        self._db = db
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
        """Keep it, and nothing of what was kept before: that may have been keys without a seal."""
        with self._db.forgetting():
            self._table.put(_ROW, asdict(state.sealed(unlock_key)))
            self._table.delete(_WISH)

    def forget(self) -> None:
        """The node has left."""
        with self._db.forgetting():
            self._table.delete(_ROW)
            self._table.delete(_WISH)

    def wish(self) -> dict[str, Any] | None:
        """What was kept of the wish to join, None for a node that has none."""
        return self._table.get(_WISH)

    def keep_wish(self, wish: dict[str, Any]) -> None:
        """Keep it until the node is in, or leaves."""
        self._table.put(_WISH, wish)
