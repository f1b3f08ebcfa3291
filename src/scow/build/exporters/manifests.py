"""OCI manifests and indexes over made images: for names that lead to several platforms, annotations, attestations, and for archives.

Blobs lie in the content store; the caller keeps them there (`Assembled.release`) until somebody else has adopted or read them.
"""

import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from scow import units
from scow.build.exporters.results import Exported, Target
from scow.build.solver.step import Step
from scow.errors import Unsupported
from scow.images.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_CONFIG, OCI_LAYER
from scow.images.platforms import parse_platform
from scow.images.service import ImageService
from scow.registry.media import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor

_IN_TOTO = "application/vnd.in-toto+json"
_PROVENANCE = "https://slsa.dev/provenance/v0.2"
_STATEMENT = "https://in-toto.io/Statement/v0.1"
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_KIND, _ABOUT = "vnd.docker.reference.type", "vnd.docker.reference.digest"


@dataclass(slots=True)
class Assembled:
    """A manifest or index in the content store, with all that it names."""

    top: Descriptor
    blobs: list[Descriptor] = field(default_factory=list)
    """Everything below it, each once."""
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def release(self) -> None:
        """The blobs may go unless somebody else has them."""
        self.held.close()


def provenance(target: Target) -> dict[str, str] | None:
    """What provenance was asked for, None = none. What buildx adds by itself (`inline-only`) does not count: an image of one platform
    stays one that every engine and registry can take. Raises Unsupported for attestations that need a scanner."""
    for kind, text in target.attests.items():
        attrs = dict(part.partition("=")[::2] for part in text.split(",") if part)
        if attrs.get("disabled") in ("1", "true"):
            continue
        if kind == "provenance":
            if attrs.get("inline-only") != "true":
                return attrs
        else:
            raise Unsupported(f"attestations of type {kind} are not supported by this engine: it runs no scanner (leave out --{kind})")
    return None


def annotations(attrs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """`annotation[-manifest|-index|-manifest-descriptor|-index-descriptor][[platform]].KEY` by where they go; others are dropped."""
    found: dict[str, dict[str, str]] = {}
    for key, value in attrs.items():
        if key.startswith("annotation"):
            where, dot, name = key.removeprefix("annotation").partition(".")
            if dot and name:
                found.setdefault(where.lstrip("-") or "manifest", {})[name] = value
    return found


def wants_index(target: Target, attrs: Mapping[str, str]) -> bool:
    """Whether the image has to be more than a config and its layers."""
    return len(target.answer.references) > 1 or provenance(target) is not None or bool(annotations(attrs))


async def assemble(images: ImageService, exported: list[Exported], attrs: Mapping[str, str], target: Target, told: Step) -> Assembled:
    """Write manifests for the images, an index over them when there are several or attestations."""
    writer = _Writer(images, attrs)
    try:
        rows = [await writer.image(one) for one in exported]
        wanted = provenance(target)
        if wanted is not None:
            rows += [writer.attestation(row, one, target, wanted) for row, one in zip(list(rows), exported, strict=True)]
        only = len(rows) == 1 and "" in target.answer.references and not annotations(attrs).get("index")
        if only:
            writer.made.top = Descriptor(rows[0]["digest"], rows[0]["size"], rows[0]["mediaType"])
        else:
            writer.index(rows)
        told.status(
            f"exporting manifest list {writer.made.top.digest}" if not only else f"exporting manifest {writer.made.top.digest}",
            completed=True,
        )
    except BaseException:
        writer.made.release()
        raise
    return writer.made


class _Writer:
    def __init__(self, images: ImageService, attrs: Mapping[str, str]) -> None:
        self.images = images
        self.notes = annotations(attrs)
        self.oci = attrs.get("oci-mediatypes", "true").lower() not in ("false", "0")
        compression = attrs.get("compression", "gzip")
        if compression not in ("gzip", "uncompressed"):
            raise Unsupported(f"compression {compression[:20]!r} is not supported by this engine: use gzip or uncompressed")
        self.plain = compression == "uncompressed"
        self.made = Assembled(Descriptor("", 0))

    def put(self, document: Any, media_type: str) -> Descriptor:
        """A document as a blob."""
        data = document if isinstance(document, bytes) else orjson.dumps(document)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.made.held.enter_context(self.images.layers.hold(digest))
        self.images.content.put(data)
        found = Descriptor(digest, len(data), media_type)
        self._keep(found)
        return found

    def _keep(self, blob: Descriptor) -> None:
        if all(one.digest != blob.digest for one in self.made.blobs):
            self.made.blobs.append(blob)

    async def image(self, one: Exported) -> dict[str, Any]:
        """The manifest of one platform; its row for an index."""
        layers: list[dict[str, Any]] = []
        names = [layer.name for layer in one.layers]
        with self.images.layers.lease(names):
            for layer in one.layers:
                stored = self.images.snapshots.layer(layer.name) or layer
                if not self.plain or stored.compression:
                    stored = await self.images.layers.compress(stored)
                self.made.held.enter_context(self.images.layers.hold(stored.blob))
                kind = OCI_LAYER + ("+" + stored.compression if stored.compression else "")
                if not self.oci:
                    kind = DOCKER_LAYER + ("." + stored.compression if stored.compression else "")
                blob = Descriptor(stored.blob, self.images.content.size(stored.blob), kind)
                self._keep(blob)
                layers.append(_row(blob))
        config = self.put(one.spec, OCI_CONFIG if self.oci else DOCKER_CONFIG)
        notes = self._notes("manifest", one.platform)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST if self.oci else DOCKER_MANIFEST,
            "config": _row(config),
            "layers": layers,
        }
        found = _row(self.put({**manifest, **({"annotations": notes} if notes else {})}, str(manifest["mediaType"])))
        where = parse_platform(one.platform)
        found["platform"] = {"architecture": where.architecture, "os": where.os, **({"variant": where.variant} if where.variant else {})}
        if notes := self._notes("manifest-descriptor", one.platform):
            found["annotations"] = notes
        return found

    def _notes(self, where: str, platform: str) -> dict[str, str]:
        return {**self.notes.get(where, {}), **self.notes.get(f"{where}[{platform}]", {})}

    def attestation(self, row: Mapping[str, Any], one: Exported, target: Target, wanted: Mapping[str, str]) -> dict[str, Any]:
        """The attestation manifest about an image; its row."""
        digest = str(row["digest"]).removeprefix("sha256:")
        statement = {
            "_type": _STATEMENT,
            "predicateType": _PROVENANCE,
            "subject": [{"name": f"pkg:docker/{one.key or 'image'}", "digest": {"sha256": digest}}],
            "predicate": predicate(one, target, wanted),
        }
        layer = self.put(statement, _IN_TOTO)
        config = {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer.digest]}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _row(self.put(config, OCI_CONFIG)),
            "layers": [{**_row(layer), "annotations": {"in-toto.io/predicate-type": _PROVENANCE}}],
        }
        found = _row(self.put(manifest, OCI_MANIFEST))
        found["annotations"] = {_ABOUT: row["digest"], _KIND: "attestation-manifest"}
        found["platform"] = {"architecture": "unknown", "os": "unknown"}
        return found

    def index(self, rows: list[dict[str, Any]]) -> None:
        """The index on top."""
        kind = OCI_INDEX if self.oci or any("annotations" in row for row in rows) else DOCKER_LIST
        notes = self._notes("index", "")
        document = {"schemaVersion": 2, "mediaType": kind, "manifests": rows, **({"annotations": notes} if notes else {})}
        self.made.top = self.put(document, kind)


def _row(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def predicate(one: Exported, target: Target, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The provenance of a build as SLSA v0.2 says it: `mode=min` leaves out the arguments, `max` has them and the sources."""
    options = {key: value for key, value in target.options.items() if not key.startswith("attest:")}
    largest = wanted.get("mode") == "max"
    secret = ("build-arg:", "label:", "context:", "source", "cmdline")
    shown = options if largest else {key: value for key, value in options.items() if not key.startswith(secret)}
    materials = [{"uri": f"pkg:docker/{name}", "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in target.materials]
    return {
        "builder": {"id": wanted.get("builder-id", "")},
        "buildType": _BUILD_TYPE,
        "materials": materials,
        "invocation": {
            "configSource": {"entryPoint": options.get("filename", "Dockerfile")},
            "parameters": {"frontend": "dockerfile.v0", "args": shown},
            "environment": {"platform": one.platform},
        },
        "metadata": {
            "buildInvocationID": target.build.id,
            "buildStartedOn": units.rfc3339nano(target.started_ns or time.time_ns()),
            "buildFinishedOn": units.rfc3339nano(time.time_ns()),
            "completeness": {"parameters": largest, "environment": True, "materials": False},
            "reproducible": wanted.get("reproducible") == "true",
        },
    }
