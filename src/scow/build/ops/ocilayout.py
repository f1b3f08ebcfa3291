"""`oci-layout://store:tag@sha256:…`: an image in an OCI layout of the client, as `--build-context name=oci-layout:///path` gives it.

Manifest, config and layers are read from the client's content store (`oci:<store>`) through its session; layers are unpacked as those of
a pull are, and kept as a tree of the build cache. No image is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from scow.build.llb.ops import OCI_LAYOUT, Platform, SourceOp, Vertex
from scow.build.ops.image import wanted
from scow.build.ops.kit import Kit
from scow.build.refs import REGULAR, TreeRef, new_id
from scow.build.solver.cachestore import combine
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.content.store import check
from scow.errors import DataLoss, InvalidArgument, NotFound
from scow.images import manifest as manifests
from scow.images.manifest import Index
from scow.images.store import chain_ids, parse_spec
from scow.registry.media import Descriptor, Manifest

_DOCUMENT_MAX = 16 << 20
_LAYER_MAX = 1 << 40
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Found:
    """One image of a layout: its manifest's digest, its config document, and for each layer the blob and the diff id."""

    digest: str
    config: bytes
    layers: tuple[tuple[Descriptor, str], ...]


def split(name: str) -> tuple[str, str]:
    """(store, digest) of what stands behind the scheme. Raises InvalidArgument."""
    where, at, digest = name.partition("@")
    if not at or not where:
        raise InvalidArgument(f"invalid oci-layout {name[:200]!r}: a digest is needed (path@sha256:…)")
    return where.partition(":")[0], check(digest)


async def look(kit: Kit, session: str, name: str, platform: Platform | None) -> Found:
    """The image of a platform. Raises NotFound, InvalidArgument, DataLoss."""
    store, digest = split(name)
    for _ in range(_DEPTH):
        found = manifests.parse(Manifest(digest, "", await _document(kit, session, store, digest)))
        if isinstance(found, Index):
            want = wanted(platform)
            rows = [(manifests.fits(row.platform, want), row) for row in found.rows if row.real and row.platform is not None]
            best = max(rows, key=lambda one: one[0], default=None)
            if best is None or not best[0]:
                raise NotFound(f"no match for platform {want} in {name[:200]}")
            digest = best[1].descriptor.digest
            continue
        config = await _document(kit, session, store, found.config.digest)
        diff_ids = (parse_spec(config).get("rootfs") or {}).get("diff_ids") or []
        if len(diff_ids) != len(found.layers):
            raise InvalidArgument("invalid image: its manifest and its config name another number of layers")
        return Found(digest, config, tuple(zip(found.layers, (str(one) for one in diff_ids), strict=True)))
    raise InvalidArgument("an index of indexes that is too deep")


async def _document(kit: Kit, session: str, store: str, digest: str) -> bytes:
    data = bytearray()
    async for piece in kit.client().blob(session, f"oci:{store}", digest, _DOCUMENT_MAX):
        data += piece
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise DataLoss(f"the client's layout has another content under {digest}")
    return bytes(data)


class OciLayout:
    """The tree of an image in a layout."""

    weight = 0

    def __init__(self, kit: Kit, vertex: Vertex, op: SourceOp) -> None:
        self._kit, self._attrs, self._platform = kit, op.attrs, vertex.platform
        self._name = op.identifier.removeprefix(OCI_LAYOUT)

    async def cache_map(self, job: JobContext) -> CacheMap:
        """By digest and platform: nothing is fetched for that."""
        return CacheMap(combine("oci-layout", split(self._name)[1], str(wanted(self._platform))))

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Fetch and unpack the layers that are not here."""
        session = self._attrs.get("oci.session") or job.session
        found = await look(self._kit, session, self._name, self._platform)
        names = chain_ids(diff_id for _, diff_id in found.layers)
        if not names:
            return [None]
        images, refs = self._kit.images, self._kit.refs
        with images.layers.lease(names):
            for number, (blob, diff_id) in enumerate(found.layers):
                if images.snapshots.layer(names[number]) is None:
                    await self._layer(job, session, names[number - 1] if number else "", blob, diff_id)
            images.layers.pinned.add(names[-1])
            ref: TreeRef = refs.add(new_id(), names[-1], None, REGULAR, f"oci-layout {self._name}")
        return [ref]

    async def _layer(self, job: JobContext, session: str, parent: str, blob: Descriptor, diff_id: str) -> None:
        images = self._kit.images
        with images.layers.hold(blob.digest):
            if not images.content.has(blob.digest):
                hasher = hashlib.sha256()
                came = 0
                with images.content.ingest() as ingest:
                    with open(ingest.path / "data", "wb") as file:
                        store = f"oci:{split(self._name)[0]}"
                        async for piece in self._kit.client().blob(session, store, blob.digest, min(blob.size, _LAYER_MAX)):
                            hasher.update(piece)
                            file.write(piece)
                            came += len(piece)
                            job.status(blob.digest, current=came, total=blob.size)
                    if "sha256:" + hasher.hexdigest() != blob.digest:
                        raise DataLoss(f"the client's layout has another content under {blob.digest}")
                    images.content.commit(ingest.path / "data", blob.digest)
                    job.status(blob.digest, current=came, total=blob.size, completed=True)
            await images.layers.add_file(parent, diff_id, images.content.path(blob.digest), blob.digest)
