"""`save`: the members of a docker-archive that is an OCI layout too, as Docker 25 and newer write it. Nothing is read here but rows."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from scow.content.store import digest_of
from scow.errors import DataLoss, NotFound
from scow.images.store import Image
from scow.reference import Reference

if TYPE_CHECKING:
    from scow.images.service import ImageService

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INDEX = "application/vnd.oci.image.index.v1+json"
Member = list[Any]


@dataclass(slots=True)
class Plan:
    """What goes into the archive: members for the join job, the layers it needs, the images it holds."""

    members: list[Member] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def _wanted(service: "ImageService", refs: list[str]) -> dict[str, list[Reference]]:
    """Ids, each with the names to write; a bare repository means all its tags. Raises NotFound."""
    wanted: dict[str, list[Reference]] = {}
    for ref in refs:
        names: list[Reference] = []
        bare: Reference | None = None
        try:
            bare = Reference.parse(ref)
        except Exception:
            bare = None
        if bare and not bare.tag and not bare.digest:
            found = False
            for image in service.store.all():
                for name in service.store.names(image.id):
                    if name.name == bare.name and name.tag:
                        known = wanted.setdefault(image.id, [])
                        if name not in known:
                            known.append(name)
                        found = True
            if found:
                continue
        try:
            image = service.get(ref)
        except NotFound:
            raise NotFound(f"No such image: {ref}") from None
        if bare and bare.tag and service.store.named(bare) is image:
            names = [bare]
        known = wanted.setdefault(image.id, [])
        known.extend(name for name in names if name not in known)
    return wanted


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _text(name: str, data: bytes) -> Member:
    return [name, len(data), 0, {"data": data.decode("utf-8", "surrogateescape")}]


def plan(service: "ImageService", refs: list[str], platforms: list[str]) -> Plan:
    """Everything to write. Raises NotFound, DataLoss."""
    from scow.images.view import check_platform

    result = Plan()
    written: set[str] = set()
    items: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    members = result.members
    for folder in ("blobs", "blobs/sha256"):
        members.append([folder, 0, 0, {"dir": True}])
    for id, names in _wanted(service, refs).items():
        image = service.get(id)
        for platform in platforms[:1]:
            check_platform(image, refs[0], platform)
        result.ids.append(id)
        result.layers += image.layers
        manifest, layer_names = _image(service, image, members, written)
        digest = digest_of(manifest)
        if digest not in written:
            written.add(digest)
            members.append(_text(_blob(digest), manifest))
        row: dict[str, Any] = {"mediaType": _MANIFEST, "digest": digest, "size": len(manifest)}
        row["platform"] = {"architecture": image.architecture, "os": image.os, **({"variant": image.variant} if image.variant else {})}
        labels: list[Reference | None] = [*names] or [None]
        for name in labels:
            notes = {"io.containerd.image.name": name.full(), "org.opencontainers.image.ref.name": name.tag} if name else {}
            index.append({**row, **({"annotations": notes} if notes else {})})
            if name:
                repositories.setdefault(name.familiar_name, {})[name.tag] = image.diff_ids[-1][7:] if image.diff_ids else ""
        items.append({"Config": _blob(id), "RepoTags": [name.familiar() for name in names] or None, "Layers": layer_names})
    top = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": index}
    members.append(_text("index.json", orjson.dumps(top)))
    members.append(_text("manifest.json", orjson.dumps(items)))
    members.append(_text("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'))
    if repositories:
        members.append(_text("repositories", json.dumps(repositories).encode()))
    return result


def _image(service: "ImageService", image: Image, members: list[Member], written: set[str]) -> tuple[bytes, list[str]]:
    config = service.content.read(image.id)
    if image.id not in written:
        written.add(image.id)
        members.append([_blob(image.id), len(config), 0, {"file": str(service.content.path(image.id))}])
    layers: list[dict[str, Any]] = []
    names: list[str] = []
    for name in image.layers:
        layer = service.snapshots.layer(name)
        if layer is None or not service.content.has(layer.blob):
            raise DataLoss(f"layer {name} of image {image.id} is missing on disk; load or pull the image again")
        names.append(_blob(layer.diff_id))
        layers.append({"mediaType": _LAYER, "digest": layer.diff_id, "size": layer.tar_size})
        if layer.diff_id not in written:
            written.add(layer.diff_id)
            content: dict[str, Any] = {"file": str(service.content.path(layer.blob))}
            if layer.compression:
                content["compression"] = layer.compression
            members.append([_blob(layer.diff_id), layer.tar_size, 0, content])
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": image.id, "size": len(config)},
        "layers": layers,
    }
    return orjson.dumps(manifest), names
