"""The key manager: which public keys nodes have for encrypted networks. Kept in the node objects (`Node.tunnel`), told by the dispatcher.

A node has one key, two while one follows the other. Private keys never leave their node; a node can set its own keys only, and none that
another node has, whose packets it would draw to itself.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from scow.errors import InvalidArgument, NotFound
from scow.swarm.objects import Node
from scow.swarm.store.store import Store, Tx

_MOST = 2
_BYTES = 32


class KeyManager:
    """Notes keys, in one transaction each."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, node_id: str, keys: Sequence[Mapping[str, Any]]) -> None:
        """A node's keys are these: {"key": base64, "port": UDP port}, the one in use first. Raises InvalidArgument, NotFound."""
        rows = _checked(keys)

        def write(tx: Tx) -> None:
            node = tx.get(Node, node_id)
            if node is None:
                raise NotFound(f"node {node_id} is not part of this swarm")
            if list(node.tunnel) == rows:
                return
            mine = {row["key"] for row in rows}
            if any(row.get("key") in mine for other in tx.all(Node) if other.id != node_id for row in other.tunnel):
                raise InvalidArgument("another node of the swarm has this key for encrypted networks")
            tx.update(node.changed(tunnel=tuple(rows)))

        await self._store.update(write)


def _checked(keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if len(keys) > _MOST:
        raise InvalidArgument(f"a node has at most {_MOST} keys for encrypted networks")
    found: list[dict[str, Any]] = []
    for row in keys:
        try:
            public = base64.b64decode(str(row["key"]), validate=True)
            port = int(row["port"])
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise InvalidArgument("a key for encrypted networks has the members key (base64) and port") from None
        if len(public) != _BYTES or not any(public) or not 0 < port < 1 << 16:
            raise InvalidArgument("a key for encrypted networks has 32 bytes, its UDP port is between 1 and 65535")
        # one spelling, so that keys can be compared as text
        found.append({"key": base64.b64encode(public).decode(), "port": port})
    if len({row["key"] for row in found}) != len(found):
        raise InvalidArgument("a node's keys for encrypted networks are not the same")
    return found
