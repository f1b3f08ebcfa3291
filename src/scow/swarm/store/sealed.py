"""Objects as rows that lie on a disk or go to etcd: JSON, what is secret in them encrypted with the cluster's data key."""

import json
from collections.abc import Mapping
from typing import Any

from scow.swarm import ca
from scow.swarm.objects import Cluster, Config, Object, Secret, Service, from_json, to_json

_WHOLE = frozenset({Secret.kind, Config.kind, Cluster.kind})
_SEALED = "sealed"
_FIELDS = {Service.kind: ("registry_auth",)}


class Sealer:
    """Encodes and decodes rows with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, one: Object) -> dict[str, Any]:
        """A row."""
        document = to_json(one)
        if one.kind in _WHOLE:
            return {"id": one.id, _SEALED: ca.seal(self._key, json.dumps(document).encode())}
        for name in _FIELDS.get(one.kind, ()):
            if document.get(name):
                document[name] = ca.seal(self._key, str(document[name]).encode())
        return dict(document)

    def decode(self, kind: str, row: Mapping[str, Any]) -> Object:
        """The object of a row. Raises InvalidArgument when it was sealed with another key."""
        document = dict(row)
        if _SEALED in document:
            document = json.loads(ca.unseal(self._key, str(document[_SEALED])))
        else:
            for name in _FIELDS.get(kind, ()):
                if document.get(name):
                    document[name] = ca.unseal(self._key, str(document[name])).decode()
        return from_json(kind, document)
