"""`save`: the members of a docker-archive that is an OCI layout too, as Docker 25 and newer write it. Nothing is read here but rows.

An image of one platform is written with plain layers and a manifest over them. A name that leads to an index is written with the index and
everything of it that is here as it came, so that all digests are the same after a load.
"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from scow.content.store import digest_of
from scow.errors import DataLoss, NotFound
from scow.images.manifest import OCI_CONFIG, OCI_LAYER
from scow.images.platforms import parse_platform
from scow.images.store import Image
from scow.images.targets import Variant
from scow.images.view import check_platform, is_platform
from scow.reference import Reference
from scow.registry.media import OCI_INDEX, OCI_MANIFEST, Descriptor

if TYPE_CHECKING:
    from scow.images.service import ImageService

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


class _Writer:
    """Puts a plan together."""

    def __init__(self, service: "ImageService") -> None:
        self.service = service
        self.plan = Plan()
        self.items: list[dict[str, Any]] = []
        self.index: list[dict[str, Any]] = []
        self.repositories: dict[str, dict[str, str]] = {}
        self._written: set[str] = set()
        for folder in ("blobs", "blobs/sha256"):
            self.plan.members.append([folder, 0, 0, {"dir": True}])

    def blob(self, digest: str, size: int, content: dict[str, Any]) -> None:
        """Write a blob once."""
        if digest not in self._written:
            self._written.add(digest)
            self.plan.members.append([_blob(digest), size, 0, content])

    def stored(self, digest: str) -> None:
        """Write a blob of the content store as it is."""
        content = self.service.content
        self.blob(digest, content.size(digest), {"file": str(content.path(digest))})

    def single(self, image: Image, names: list[Reference]) -> None:
        """Write an image of one platform."""
        self.plan.ids.append(image.id)
        self.plan.layers += image.layers
        manifest, layers = _image(self, image)
        digest = digest_of(manifest)
        self.blob(digest, len(manifest), {"data": manifest.decode("utf-8", "surrogateescape")})
        row: dict[str, Any] = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}
        row["platform"] = {"architecture": image.architecture, "os": image.os, **({"variant": image.variant} if image.variant else {})}
        self._name(row, image, names)
        self.items.append({"Config": _blob(image.id), "RepoTags": [name.familiar() for name in names] or None, "Layers": layers})

    def whole(self, target: Descriptor, selected: Image, names: list[Reference], variants: list[Variant]) -> None:
        """Write an index with the images in `variants`, and the attestations of it that are here."""
        for digest in sorted(self.service.targets.blobs([target])):
            self.stored(digest)
        for variant in sorted(variants, key=lambda one: one.image is not selected):
            image, manifest = variant.image, variant.manifest
            if image is None or manifest is None:
                continue
            self.plan.ids.append(image.id)
            self.plan.layers += image.layers
            for blob in (manifest.config, *manifest.layers):
                self.stored(blob.digest)
            tags = [name.familiar() for name in names] if image is selected else None
            layers = [_blob(one.digest) for one in manifest.layers]
            self.items.append({"Config": _blob(image.id), "RepoTags": tags or None, "Layers": layers})
        self._name({"mediaType": target.media_type, "digest": target.digest, "size": target.size}, selected, names)

    def _name(self, row: dict[str, Any], image: Image, names: list[Reference]) -> None:
        labels: list[Reference | None] = [*names] or [None]
        for name in labels:
            notes = {"io.containerd.image.name": name.full(), "org.opencontainers.image.ref.name": name.tag} if name else {}
            self.index.append({**row, **({"annotations": notes} if notes else {})})
            if name:
                self.repositories.setdefault(name.familiar_name, {})[name.tag] = image.diff_ids[-1][7:] if image.diff_ids else ""

    def end(self) -> Plan:
        """Write what lists the rest."""
        top = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.index}
        texts = [("index.json", orjson.dumps(top)), ("manifest.json", orjson.dumps(self.items))]
        texts.append(("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'))
        if self.repositories:
            texts.append(("repositories", json.dumps(self.repositories).encode()))
        self.plan.members += [_text(name, data) for name, data in texts]
        return self.plan


def plan(service: "ImageService", refs: list[str], platforms: list[str]) -> Plan:
    """Everything to write; `platforms`: only these, each has to be there. Raises NotFound, DataLoss."""
    writer = _Writer(service)
    for id, names in _wanted(service, refs).items():
        selected = service.get(id)
        targets: dict[str, Descriptor] = {}
        groups: dict[str, list[Reference]] = {}
        for name in names:
            target = service.store.target(name)
            if target is not None and service.targets.several(target):
                targets[target.digest] = target
            groups.setdefault(target.digest if target is not None and target.digest in targets else "", []).append(name)
        for digest, some in (groups or {"": []}).items():
            _group(writer, selected, targets.get(digest), some, platforms, refs[0])
    return writer.end()


def _group(writer: _Writer, selected: Image, target: Descriptor | None, names: list[Reference], platforms: list[str], ref: str) -> None:
    """Write an image, or the platforms of it that are wanted, under some of its names."""
    content = writer.service.content
    here = [one for one in writer.service.targets.variants(target) if one.image is not None and one.manifest is not None]
    images = [one.image for one in here if one.image is not None]
    chosen = images or [selected]
    if platforms:
        chosen = []
        for platform in platforms:
            want = parse_platform(platform)
            found = next((one for one in (selected, *images) if is_platform(one, want)), None)
            if found is None:
                check_platform(selected, ref, platform)
            elif found not in chosen:
                chosen.append(found)
    rows = [one for one in here if one.image in chosen]
    complete = all(content.has(blob.digest) for row in rows if row.manifest is not None for blob in row.manifest.layers)
    if target is not None and rows and complete and (len(chosen) > 1 or not platforms):
        writer.whole(target, selected if selected in chosen else chosen[0], names, rows)
        return
    for number, image in enumerate(chosen):
        writer.single(image, names if number == 0 else [])


def _image(writer: _Writer, image: Image) -> tuple[bytes, list[str]]:
    """The manifest of an image over its plain layers, which are written, and the names of those files."""
    service = writer.service
    config = service.content.read(image.id)
    writer.stored(image.id)
    layers: list[dict[str, Any]] = []
    names: list[str] = []
    for name in image.layers:
        layer = service.snapshots.layer(name)
        if layer is None or not service.content.has(layer.blob):
            raise DataLoss(f"layer {name} of image {image.id} is missing on disk; load or pull the image again")
        names.append(_blob(layer.diff_id))
        layers.append({"mediaType": OCI_LAYER, "digest": layer.diff_id, "size": layer.tar_size})
        content: dict[str, Any] = {"file": str(service.content.path(layer.blob))}
        if layer.compression:
            content["compression"] = layer.compression
        writer.blob(layer.diff_id, layer.tar_size, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": image.id, "size": len(config)},
        "layers": layers,
    }
    return orjson.dumps(manifest), names
