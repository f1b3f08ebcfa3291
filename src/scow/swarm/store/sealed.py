"""Objects as rows that lie on a disk or go to etcd: JSON, encrypted with the cluster's data key, as Docker's raft log is.

A service's environment may hold as much of a secret as a secret does, so every kind is sealed whole.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from scow.errors import DataLoss
from scow.swarm import ca
from scow.swarm.objects import Object, from_json, to_json

_SEALED = "sealed"


class Sealer:
    """Encodes and decodes rows with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, one: Object) -> dict[str, Any]:
        """A row."""
        return {"id": one.id, _SEALED: ca.seal(self._key, orjson.dumps(to_json(one), option=orjson.OPT_NON_STR_KEYS))}

    def decode(self, kind: str, row: Mapping[str, Any]) -> Object:
        """The object of a row. Raises InvalidArgument when it was sealed with another key, DataLoss for what is no row of this version."""
        if _SEALED not in row:
            raise DataLoss(
                f"the swarm's stored state has a {kind} that this version cannot read: leave the swarm with --force and join anew"
            )
        return from_json(kind, orjson.loads(ca.unseal(self._key, str(row[_SEALED]))))
