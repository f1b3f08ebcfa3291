"""Manifests and indexes as registries give them, checked before anything in them is believed. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

from scow.content.store import check
from scow.errors import InvalidArgument, NotFound
from scow.images.platforms import Platform, host_platform, normal, normal_architecture
from scow.registry.media import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, SCHEMA_1, Descriptor, Manifest

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIGS = frozenset((DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", "text/html", ""))
_LAYERS = (
    DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
_KIND = "vnd.docker.reference.type"
_ATTESTATION = "attestation-manifest"
_SUFFIXES = ("", ".gzip", "+gzip", ".zstd", "+zstd")
_LAYERS_MAX = 500
_ROWS_MAX = 1000
_SIZE_MAX = 1 << 44


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image: its config, its layers from the lowest up. `subject`: the digest of the manifest it refers to, mostly ""."""

    digest: str
    media_type: str
    size: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an index; `document` is the line as it stands there. `attests`: the manifest that an attestation is about."""

    descriptor: Descriptor
    platform: Platform | None
    attests: str = ""
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def real(self) -> bool:
        """Whether it may be an image: attestations and the like say that their platform is unknown."""
        return not self.attests and (self.platform is None or self.platform.os != "unknown")


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name."""

    digest: str
    media_type: str
    size: int
    rows: tuple[Row, ...]


def _descriptor(value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise InvalidArgument("invalid manifest: a descriptor is no object")
    size, kind = value.get("size"), value.get("mediaType") or ""
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _SIZE_MAX or not isinstance(kind, str):
        raise InvalidArgument("invalid manifest: a descriptor has no proper size or media type")
    return Descriptor(check(value.get("digest") or ""), size, kind)


def parse(manifest: Manifest) -> ImageManifest | Index:
    """Read a manifest. Raises InvalidArgument for what is none, and for what is no image."""
    try:
        document: Any = json.loads(manifest.data)
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid manifest: it is no JSON") from None
    if not isinstance(document, dict):
        raise InvalidArgument("invalid manifest: it is no object")
    own = document.get("mediaType") or ""
    kind = manifest.media_type
    known = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
    if not isinstance(own, str):
        raise InvalidArgument("invalid manifest: mediaType is no string")
    if kind not in known and not kind.startswith("application/vnd."):
        kind = own or (OCI_INDEX if "manifests" in document else OCI_MANIFEST)
    if kind.startswith(SCHEMA_1.partition("+")[0]) or document.get("schemaVersion") == 1:
        raise InvalidArgument("Docker Image manifest version 2, schema 1 is not supported: have the image pushed again by a newer client")
    if kind not in known:
        raise InvalidArgument(f"unsupported manifest media type {kind[:200]}")
    if own and own != kind:
        raise InvalidArgument(f"invalid manifest: it was sent as {kind} and calls itself {own[:200]}")
    if document.get("schemaVersion") != 2:
        raise InvalidArgument("invalid manifest: schemaVersion is not 2")
    if kind in (DOCKER_LIST, OCI_INDEX):
        if "layers" in document or "config" in document:
            raise InvalidArgument("invalid manifest: it is an index and an image at once")
        return _index(manifest, document, kind)
    if "manifests" in document:
        raise InvalidArgument("invalid manifest: it is an image and an index at once")
    return _image(manifest, document, kind)


def _index(manifest: Manifest, document: dict[str, Any], kind: str) -> Index:
    values = document.get("manifests")
    if not isinstance(values, list) or len(values) > _ROWS_MAX:
        raise InvalidArgument("invalid manifest: the index has no list of manifests")
    rows = []
    for value in values:
        descriptor = _descriptor(value)
        where = value.get("platform")
        platform = None
        if isinstance(where, dict):
            parts = [where.get(key) or "" for key in ("os", "architecture", "variant")]
            if all(isinstance(part, str) for part in parts):
                platform = Platform(parts[0].lower(), normal_architecture(parts[1]), parts[2].lower())
        notes = value.get("annotations")
        attests = notes.get("vnd.docker.reference.digest") if isinstance(notes, dict) and notes.get(_KIND) == _ATTESTATION else ""
        rows.append(Row(descriptor, platform, attests if isinstance(attests, str) else "", value))
    return Index(manifest.digest, kind, len(manifest.data), tuple(rows))


def _image(manifest: Manifest, document: dict[str, Any], kind: str) -> ImageManifest:
    config = _descriptor(document.get("config"))
    if config.media_type not in _CONFIGS:
        raise InvalidArgument(f"unsupported media type {config.media_type[:200]}: this is no container image")
    values = document.get("layers")
    if not isinstance(values, list) or len(values) > _LAYERS_MAX:
        raise InvalidArgument("invalid manifest: it has no list of layers")
    layers = tuple(_descriptor(value) for value in values)
    for layer in layers:
        if not any(layer.media_type == base + suffix for base in _LAYERS for suffix in _SUFFIXES):
            raise InvalidArgument(f"unsupported layer media type {layer.media_type[:200]}")
    subject = document.get("subject")
    about = check(subject.get("digest") or "") if isinstance(subject, dict) else ""
    return ImageManifest(manifest.digest, kind, len(manifest.data), config, layers, about)


def blobs(data: bytes) -> list[Descriptor]:
    """The config and layers that any image manifest names, whatever they hold: for attestations and artifacts. Raises InvalidArgument."""
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid manifest: it is no JSON") from None
    values = document.get("layers") if isinstance(document, dict) else None
    if not isinstance(values, list) or len(values) > _LAYERS_MAX:
        raise InvalidArgument("invalid manifest: it has no list of layers")
    return [_descriptor(value) for value in [document.get("config"), *values]]


def fits(have: Platform, want: Platform) -> int:
    """How well an image of platform `have` does on `want`: 0 not at all, more is better."""
    have, want = normal(have), normal(want)
    if (have.os, have.architecture) != (want.os, want.architecture):
        return 0
    if have.variant == want.variant:
        return 100
    if want.architecture in ("arm", "amd64", "arm64"):  # an older variant runs on a newer machine
        mine, theirs = _number(have), _number(want)
        return mine if 0 < mine <= theirs else 0
    return 1 if not have.variant else 0


def _number(platform: Platform) -> int:
    text = platform.variant.removeprefix("v").partition(".")[0]
    least = {"arm64": 8, "amd64": 1}.get(platform.architecture, 1)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else least if not text else 0


def choose(index: Index, platform: Platform | None) -> Descriptor:
    """The manifest of an index for a platform (None: this machine). Raises NotFound."""
    want = platform or host_platform()
    scored = [(fits(row.platform, want), -number, row) for number, row in enumerate(index.rows) if row.platform is not None and row.real]
    best = max(scored, key=lambda one: one[:2], default=None)
    if best is None or not best[0]:
        if len(index.rows) == 1 and index.rows[0].platform is None:
            return index.rows[0].descriptor
        raise NotFound(f"no matching manifest for {want} in the manifest list entries")
    return best[2].descriptor
