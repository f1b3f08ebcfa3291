"""Images out of blobs that are here already: what an exporter of builds calls when it has put an OCI layout into the content store.

    id = await images.adopt(Descriptor(digest, size, media type), [Reference…], platform="linux/amd64")

The target is an image manifest or an index (of indexes). Each image in it whose config and layer blobs are all here is unpacked where it is
not yet, and recorded; others are left out, as after a pull of one platform. The names lead to the image for `platform` ("" = this
machine's, else the first); the target itself, attestations in it included, is kept to the byte, so that a push has the same digest. Blobs
are the caller's until this returns: write them by `content.put`, or `content.ingest` and `commit`, under `layers.hold(digest)`.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from scow.errors import DataLoss, InvalidArgument, NotFound
from scow.images import manifest as manifests
from scow.images.manifest import ImageManifest, Index
from scow.images.platforms import Platform, host_platform, parse_platform
from scow.images.store import chain_ids, parse_spec
from scow.reference import Reference
from scow.registry.media import Descriptor, Manifest

if TYPE_CHECKING:
    from scow.images.service import ImageService

_DEPTH_MAX = 4
_IMAGES_MAX = 1000


async def adopt(service: "ImageService", target: Descriptor, names: Sequence[Reference], platform: str = "") -> str:
    """See the module docstring and `ImageService.adopt`."""
    want = parse_platform(platform) if platform else None
    found = _images(service, target)
    if not found:
        raise InvalidArgument(f"nothing of {target.digest} can be an image: its blobs are not in the content store")
    with ExitStack() as held:
        for image in found:
            for blob in (image.config, *image.layers):
                held.enter_context(service.layers.hold(blob.digest))
        made = [await _record(service, image) for image in found]
        scored = [(manifests.fits(where, want or host_platform()), -number, id) for number, (where, id) in enumerate(made)]
        fit, _, id = max(scored)
        if want is not None and not fit:
            raise NotFound(f"no matching manifest for {want} in {target.digest}")
        for name in names:
            service.name(id, name, came_as=target)
    return id


def _images(service: "ImageService", target: Descriptor) -> list[ImageManifest]:
    """The image manifests of a target whose blobs are all here. Raises InvalidArgument, DataLoss when the target itself is no good."""
    content = service.content
    top = manifests.parse(Manifest(target.digest, target.media_type, content.read(target.digest)))
    found: list[ImageManifest] = []
    left: list[tuple[ImageManifest | Index, int]] = [(top, 0)]
    while left:
        one, depth = left.pop(0)
        if isinstance(one, ImageManifest):
            if all(content.has(blob.digest) for blob in (one.config, *one.layers)):
                found.append(one)
            continue
        for row in one.rows if depth < _DEPTH_MAX else ():
            if row.real and content.has(row.descriptor.digest) and len(found) + len(left) < _IMAGES_MAX:
                where = row.descriptor
                left.append((manifests.parse(Manifest(where.digest, where.media_type, content.read(where.digest))), depth + 1))
    return found


async def _record(service: "ImageService", image: ImageManifest) -> tuple[Platform, str]:
    """Unpack and record one image; its platform and id."""
    config = service.content.read(image.config.digest)
    spec = parse_spec(config)
    diff_ids = (spec.get("rootfs") or {}).get("diff_ids") or []
    if len(diff_ids) != len(image.layers):
        raise InvalidArgument(f"invalid image: its manifest has {len(image.layers)} layers and its config {len(diff_ids)}")
    names = chain_ids(diff_ids)
    with service.layers.lease(names):
        files = [(diff_id, service.content.path(blob.digest), blob.digest) for diff_id, blob in zip(diff_ids, image.layers, strict=True)]
        try:
            await service.layers.add_files(files)
        except BaseException:
            kept = {name for one in service.store.all() for name in one.layers}
            await service.layers.forget(names, kept)
            raise
        id = service.recorded(config, spec, time.time_ns())
    found = service.store.by_id(id)
    if found is None:
        raise DataLoss(f"image {id} could not be recorded")
    return Platform(found.os, found.architecture, found.variant), id
