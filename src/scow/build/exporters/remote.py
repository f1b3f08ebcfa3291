"""`--cache-to type=registry` and `type=local`: the cache of a build for other machines, as an OCI image manifest over its layers.

Its config (BuildKit's media type for caches) has rows `{"blob", "diff_id", "parent", "created"}` of layers, and records over them as
`cache.py` has them. `mode=max` holds every step of the build, `mode=min` the steps of the result. `remotecache.py` reads it back.
Stored: nothing here.
"""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from scow.build.exporters import chain
from scow.build.exporters.cache import MAX_RECORDS
from scow.build.exporters.results import Target
from scow.build.refs import Refs, TreeRef
from scow.build.session.contentstore import ClientStore
from scow.build.session.registry import Sessions
from scow.build.solver.step import Step, step
from scow.errors import InvalidArgument, NotFound
from scow.images.manifest import OCI_LAYER
from scow.images.service import ImageService
from scow.reference import Reference
from scow.registry import pusher
from scow.registry.media import OCI_MANIFEST, Descriptor
from scow.snapshots.snapshotter import Committed

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_READ = 1 << 20


@dataclass(slots=True)
class _Cache:
    """A cache on its way out: its manifest, and all blobs below it (layers by the content store, the config by its bytes)."""

    manifest: bytes = b""
    config: bytes = b""
    layers: list[Descriptor] = field(default_factory=list)

    @property
    def records(self) -> int:
        return len(json.loads(self.config)["records"])


async def export(refs: Refs, sessions: Sessions, target: Target, kind: str, attrs: Mapping[str, str]) -> dict[str, str]:
    """Write one cache. Errors are the build's, unless the client said `ignore-error=true`."""
    mode = attrs.get("mode", "min")
    if mode not in ("min", "max"):
        raise InvalidArgument(f"unknown cache mode {mode[:20]!r}: use min or max")
    where = "registry" if kind == "registry" else "client directory"
    try:
        async with step(target.progress, f"exporting cache to {where}") as told, contextlib.AsyncExitStack() as held:
            with told.part("preparing build cache for export"):
                made = await _made(refs, target, mode, held)
            digest = "sha256:" + hashlib.sha256(made.manifest).hexdigest()
            if kind == "registry":
                await _to_registry(refs.images, sessions, target, attrs, made, told)
            else:
                store = ClientStore((await sessions.get(target.session)).begin, f"local:{attrs.get('dest', '')}")
                for blob in made.layers:
                    with told.part(f"writing layer {blob.digest}"):
                        await store.write(blob.digest, blob.size, read_blob(refs.images, blob.digest))
                with told.part(f"writing config {_digest(made.config)}"):
                    await store.write(_digest(made.config), len(made.config), _bytes(made.config))
                with told.part(f"writing cache image manifest {digest}"):
                    await store.write(digest, len(made.manifest), _bytes(made.manifest))
    except Exception:
        if attrs.get("ignore-error", "").lower() in ("1", "true"):
            return {}
        raise
    return {"cache.manifest": json.dumps({"mediaType": OCI_MANIFEST, "digest": digest, "size": len(made.manifest)})}


async def _made(refs: Refs, target: Target, mode: str, held: contextlib.AsyncExitStack) -> _Cache:
    rows: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    made = _Cache()
    final: set[str] = set()
    for tree in (await target.trees()).values():
        final |= {layer.name for layer in await chain.layers(refs, tree)}
    records: list[dict[str, Any]] = []
    for key, canonical, results in target.build.job.recorded()[:MAX_RECORDS]:
        tree = results[0] if len(results) == 1 else None
        if not isinstance(tree, TreeRef):
            continue
        try:
            layers = await chain.layers(refs, tree)
        except NotFound:
            continue
        if not layers or (mode == "min" and layers[-1].name not in final):
            continue
        for layer, made_ns in zip(layers, refs.made_ns(tree), strict=True):
            if layer.name not in numbers:
                numbers[layer.name] = len(rows)
                stored = await _compressed(refs.images, layer, held)
                blob = Descriptor(stored.blob, refs.images.content.size(stored.blob), f"{OCI_LAYER}+{stored.compression}")
                rows.append(
                    {
                        "blob": blob.digest,
                        "diff_id": layer.diff_id,
                        "parent": numbers.get(layer.parent, -1),
                        "created": made_ns,
                    }
                )
                if all(one.digest != blob.digest for one in made.layers):
                    made.layers.append(blob)
        records.append({"digest": f"sha256:{key}", "canonical": canonical, "layers": [{"layer": numbers[layers[-1].name]}]})
    made.config = orjson.dumps({"layers": rows, "records": records})
    config = {"mediaType": CONFIG, "digest": _digest(made.config), "size": len(made.config)}
    below = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in made.layers]
    made.manifest = orjson.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": below})
    return made


async def _compressed(images: ImageService, layer: Committed, held: contextlib.AsyncExitStack) -> Committed:
    with images.layers.lease([layer.name]):
        stored = await images.layers.compress(images.snapshots.layer(layer.name) or layer)
    held.enter_context(images.layers.hold(stored.blob))
    return stored


async def _to_registry(
    images: ImageService, sessions: Sessions, target: Target, attrs: Mapping[str, str], made: _Cache, told: Step
) -> None:
    if not attrs.get("ref"):
        raise InvalidArgument("registry cache exporter requires ref")
    reference = Reference.parse(attrs["ref"]).tagged()
    repository = images.travel().repository(reference, await sessions.credentials(target.session, reference.domain), push=True)
    for blob in made.layers:
        with told.part(f"writing layer {blob.digest}"):
            if not await pusher.has_blob(repository, blob.digest):
                await pusher.upload(repository, blob.digest, blob.size, _source(images, blob.digest))
    with told.part("writing cache manifest"):
        if not await pusher.has_blob(repository, _digest(made.config)):
            await pusher.upload(repository, _digest(made.config), len(made.config), lambda offset: _bytes(made.config[offset:]))
        await pusher.put_manifest(repository, reference.tag, OCI_MANIFEST, made.manifest)


def _source(images: ImageService, digest: str) -> Any:
    return lambda offset: read_blob(images, digest, offset)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def read_blob(images: ImageService, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
    """The bytes of a blob of the content store."""
    with open(images.content.path(digest), "rb") as file:
        file.seek(offset)
        while data := file.read(_READ):
            yield data


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data
