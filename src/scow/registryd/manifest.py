"""Manifests as they are pushed: what kind, what they refer to. Pure."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from scow.registry.media import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from scow.registryd import errors, names

INDEXES = (OCI_INDEX, DOCKER_LIST)
KINDS = (OCI_MANIFEST, DOCKER_MANIFEST, *INDEXES)
_CHILDREN_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Child:
    """What a manifest refers to: `kind` is blob, manifest, or elsewhere (a layer that its own URLs serve: it need not be here)."""

    digest: str
    size: int
    kind: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A manifest's facts; `subject` is the digest it is about, "" mostly."""

    media_type: str
    children: tuple[Child, ...]
    subject: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


def parse(data: bytes, content_type: str) -> Parsed:
    """Read a manifest sent with this Content-Type ("": none). Raises Refused (MANIFEST_INVALID)."""
    try:
        document = orjson.loads(data)
    except ValueError:
        raise errors.manifest_invalid("the manifest is no JSON") from None
    if not isinstance(document, dict):
        raise errors.manifest_invalid("the manifest is no JSON object")
    inner = document.get("mediaType")
    outer = content_type.partition(";")[0].strip().lower()
    kind = outer if outer not in ("", "application/json", "application/octet-stream") else inner
    if kind is None:
        kind = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    if kind not in KINDS:
        raise errors.manifest_invalid(f"manifests of type {str(kind)[:200]!r} are not taken")
    if inner is not None and inner != kind:
        raise errors.manifest_invalid(f"the manifest says it is {str(inner)[:200]!r}, the request that it is {kind!r}")
    if document.get("schemaVersion") != 2:
        raise errors.manifest_invalid("the manifest's schemaVersion is not 2")
    if kind in INDEXES:
        if "layers" in document or "config" in document:
            raise errors.manifest_invalid("an index has manifests, neither config nor layers")
        children = [_child(row, "manifest") for row in _rows(document, "manifests")]
        config: Any = None
    else:
        if "manifests" in document:
            raise errors.manifest_invalid("an image's manifest has layers, not manifests")
        config = document.get("config")
        children = [_child(config, "blob"), *(_child(row, "blob") for row in _rows(document, "layers"))]
    subject = document.get("subject")
    kind_of_artifact = document.get("artifactType")
    if not isinstance(kind_of_artifact, str) or not kind_of_artifact:
        kind_of_artifact = config.get("mediaType") if isinstance(config, dict) else ""
    annotations = document.get("annotations")
    unique = {child.digest: child for child in children}
    return Parsed(
        kind,
        tuple(unique.values()),
        _child(subject, "manifest").digest if subject is not None else "",
        kind_of_artifact if isinstance(kind_of_artifact, str) else "",
        {str(k): v for k, v in annotations.items() if isinstance(v, str)} if isinstance(annotations, dict) else {},
    )


def _rows(document: dict[str, Any], key: str) -> list[Any]:
    rows = document.get(key)
    if rows is None:
        return []
    if not isinstance(rows, list) or len(rows) > _CHILDREN_MAX:
        raise errors.manifest_invalid(f"the manifest's {key} are no list of at most {_CHILDREN_MAX}")
    return rows


def _child(row: Any, kind: str) -> Child:
    if not isinstance(row, dict):
        raise errors.manifest_invalid("a descriptor of the manifest is no JSON object")
    digest, size = row.get("digest"), row.get("size")
    if not isinstance(digest, str) or not names.valid_digest(digest):
        raise errors.manifest_invalid(f"a descriptor of the manifest has no valid digest: {str(digest)[:100]!r}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
        raise errors.manifest_invalid(f"the descriptor of {digest} has no valid size")
    media = row.get("mediaType")
    text = media if isinstance(media, str) else ""
    foreign = kind == "blob" and ("nondistributable" in text or ".foreign." in text or bool(row.get("urls")))
    return Child(digest, size, "elsewhere" if foreign else kind)


def platform_child(data: bytes, architecture: str = "amd64", system: str = "linux") -> str:
    """The digest of an index's manifest for a platform, "" where it has none."""
    try:
        document = orjson.loads(data)
        for row in document["manifests"]:
            platform = row.get("platform") or {}
            if platform.get("architecture") == architecture and platform.get("os") == system:
                return str(row["digest"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return ""
