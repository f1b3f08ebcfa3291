"""Compose applications as artifacts of registries: a manifest whose layers are compose files and env files, as the compose plugin makes
them. Written by `commands/publish.py`, read by `remote.py`."""

from __future__ import annotations

import hashlib
import os
import time

from scow import fastjson
from scow.compose import labels
from scow.compose.records import record
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.registryclient import RegistryClient

PROJECT = "application/vnd.docker.compose.project"
EMPTY_CONFIG = "application/vnd.docker.compose.config.empty.v1+json"  # says in OCI 1.0 what the type of the artifact says in 1.1
COMPOSE_FILE = "application/vnd.docker.compose.file+yaml"
ENV_FILE = "application/vnd.docker.compose.envfile"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
MAX_LAYERS = 256
_EMPTY = b"{}"
_FILE, _ENV, _EXTENDS, _VERSION = (labels.PREFIX + name for name in ("file", "envfile", "extends", "version"))
_NOT_AUTH = frozenset(range(400, 500)) - {401, 403, 407}


@record(frozen=True, slots=True, kw_only=True)
class Layer:
    """A file of the application: `kind` is COMPOSE_FILE or ENV_FILE; `extended`: not read by itself, others name it."""

    name: str
    data: bytes
    kind: str = COMPOSE_FILE
    extended: bool = False

    def descriptor(self) -> dict[str, Any]:
        """As a manifest names it."""
        notes = {_VERSION: labels.SPOKEN, (_ENV if self.kind == ENV_FILE else _FILE): self.name}
        if self.extended:
            notes[_EXTENDS] = "true"
        return {**_descriptor(self.kind, self.data), "annotations": notes}


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest(layers: list[Layer], version: str) -> bytes:
    """The manifest in OCI version 1.0 or 1.1."""
    found: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if version == "1.1":
        found["artifactType"] = PROJECT
    found["config"] = _descriptor(OCI_EMPTY if version == "1.1" else EMPTY_CONFIG, _EMPTY)
    found["layers"] = [layer.descriptor() for layer in layers]
    found["annotations"] = {"org.opencontainers.image.created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    return fastjson.dumps(found).encode()


def push(client: RegistryClient, tag: str, layers: list[Layer], version: str = "") -> dict[str, Any]:
    """Sends it; the manifest's descriptor. Without a version 1.1 is tried, and 1.0 where the registry takes no such manifest. Raises
    ScowError."""
    client.upload(_digest(_EMPTY), _EMPTY)
    for layer in layers:
        client.upload(_digest(layer.data), layer.data)
    for one in (version,) if version else ("1.1", "1.0"):
        data = manifest(layers, one)
        try:
            client.put(tag, OCI_MANIFEST, data)
        except ScowError as exc:
            if version or one == "1.0" or getattr(exc, "status", 0) not in _NOT_AUTH:
                raise
            continue
        return _descriptor(OCI_MANIFEST, data)
    raise AssertionError


def push_images(client: RegistryClient, project: dict[str, Any], images: list[dict[str, Any]]) -> None:
    """Sends the index of an application's images, which are in its repository: it refers to the application. Raises ScowError."""
    notes = {_VERSION: labels.SPOKEN}
    found = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": images, "subject": project, "annotations": notes}
    data = fastjson.dumps(found).encode()
    client.put(_digest(data), OCI_INDEX, data)


def pull(client: RegistryClient, ref: str) -> tuple[str, list[Layer]]:
    """(digest, layers) of an application; of an index those of the application that it names. Raises ScowError."""
    found = client.manifest(ref)
    content = _json(found.data)
    if isinstance(content.get("manifests"), list):
        named = [one for one in content["manifests"] if isinstance(one, dict) and one.get("artifactType") == PROJECT]
        if not named:
            raise ScowError("it is an index without a compose application")
        content = _json(client.manifest(str(named[-1].get("digest"))).data)
    kind = content.get("artifactType") or _mapping(content.get("config")).get("mediaType")
    if kind not in (PROJECT, EMPTY_CONFIG):
        raise ScowError(f"it is no compose application but {str(kind)[:200] if kind else 'something else'}")
    rows = content.get("layers")
    if not isinstance(rows, list) or not rows or len(rows) > MAX_LAYERS:
        raise ScowError("it is a compose application without files, or with too many")
    return found.digest, [_layer(client, row) for row in rows if isinstance(row, dict) and row.get("mediaType") in (COMPOSE_FILE, ENV_FILE)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = fastjson.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ScowError("its manifest can't be read")
    return found


def _layer(client: RegistryClient, row: dict[str, Any]) -> Layer:
    notes = _mapping(row.get("annotations"))
    kind = str(row["mediaType"])
    name = str(notes.get(_ENV if kind == ENV_FILE else _FILE) or "")
    extended = _EXTENDS in notes
    if (extended or kind == ENV_FILE) and (name in ("", ".", "..") or set("/\\\0") & set(name) or len(name) > 255):
        raise ScowError(f"a file of it has no name that a file may have: {name[:100]!r}")
    size = row.get("size")
    data = client.blob(str(row.get("digest")), size if isinstance(size, int) and size >= 0 else 0)
    return Layer(name=name, data=data, kind=kind, extended=extended)


def write(layers: list[Layer], folder: str) -> None:
    """The files of an application in a folder: those that are read by themselves as the documents of `compose.yaml`."""
    whole = [layer.data for layer in layers if layer.kind == COMPOSE_FILE and not layer.extended]
    files = {layer.name: layer.data for layer in layers if layer.kind == ENV_FILE or layer.extended}
    for name, data in {**files, "compose.yaml": b"\n---\n".join(whole)}.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
