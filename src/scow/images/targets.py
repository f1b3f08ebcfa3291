"""What names lead to: the manifest or index an image came as, kept as blobs to the byte, and which of its platforms are here.

A name's target (store.py) is a descriptor; its bytes, those of the manifests below an index, and attestations lie in the content store.
What of them is not here is simply not available: an index is kept whole even where one platform was pulled. An image that is in an index
of some name belongs to that name: it is no dangling image, and it goes when the last such name goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scow.content import ContentStore
from scow.errors import ScowError
from scow.images import manifest as manifests
from scow.images.manifest import ImageManifest, Index, Row
from scow.images.platforms import Platform
from scow.images.store import Image, ImageStore
from scow.reference import Reference
from scow.registry.media import Descriptor, Manifest

_CACHE_MAX = 2000
_DEPTH_MAX = 4
_ROWS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Variant:
    """One manifest of a target. `manifest` is None when it is not here, or no image; `image` when the image is not here as a whole."""

    row: Row
    manifest: ImageManifest | None
    image: Image | None

    @property
    def platform(self) -> Platform:
        """What it is for: as the index says, else as the image's config does."""
        if self.row.platform is not None and self.row.platform.architecture:
            return self.row.platform
        return platform_of(self.image) if self.image is not None else Platform("unknown", "unknown")


def platform_of(image: Image) -> Platform:
    """The platform of an image."""
    return Platform(image.os, image.architecture, image.variant)


class Targets:
    """Looks into targets. Nothing is held but what was parsed, by digest."""

    def __init__(self, store: ImageStore, content: ContentStore) -> None:
        self._store = store
        self._content = content
        self._parsed: dict[str, ImageManifest | Index] = {}

    def parsed(self, target: Descriptor) -> ImageManifest | Index | None:
        """The manifest or index, None when it is not here or makes no sense."""
        known = self._parsed.get(target.digest)
        if known is not None:
            return known if self._content.has(target.digest) else None
        try:
            found = manifests.parse(Manifest(target.digest, target.media_type, self._content.read(target.digest)))
        except ScowError:
            return None
        if len(self._parsed) > _CACHE_MAX:
            self._parsed.clear()
        self._parsed[target.digest] = found
        return found

    def variants(self, target: Descriptor | None) -> list[Variant]:
        """Every manifest of a target, those of nested indexes included; [] when the target is not here."""
        found: list[Variant] = []
        if target is not None:
            self._collect(Row(target, None), found, 0)
        return found

    def manifest_of(self, image_id: str) -> dict[str, Any] | None:
        """The descriptor of the manifest an image came as, with its platform; None where it came without one, or is gone."""
        for variant in self.variants(self._store.target_of(image_id)):
            if variant.image is not None and variant.image.id == image_id:
                where, platform = variant.row.descriptor, variant.platform
                told = {"architecture": platform.architecture, "os": platform.os}
                if platform.variant:
                    told["variant"] = platform.variant
                return {"mediaType": where.media_type, "digest": where.digest, "size": where.size, "platform": told}
        return None

    def _collect(self, row: Row, found: list[Variant], depth: int) -> None:
        parsed = self.parsed(row.descriptor) if row.real else None
        if isinstance(parsed, Index):
            for one in parsed.rows if depth < _DEPTH_MAX else ():
                if len(found) < _ROWS_MAX:
                    self._collect(one, found, depth + 1)
            return
        if depth == 0 and parsed is None:
            return
        image = self._store.by_id(parsed.config.digest) if parsed is not None else None
        found.append(Variant(row, parsed, image))

    def several(self, target: Descriptor | None) -> bool:
        """Whether a target is an index."""
        return target is not None and isinstance(self.parsed(target), Index)

    def pick(self, target: Descriptor | None, want: Platform) -> Image | None:
        """The image here that fits a platform best, None when none does."""
        scored = [
            (manifests.fits(platform_of(variant.image), want), -number, variant.image)
            for number, variant in enumerate(self.variants(target))
            if variant.image is not None
        ]
        best = max(scored, key=lambda one: one[:2], default=None)
        return best[2] if best is not None and best[0] else None

    def belonging(self) -> dict[str, set[str]]:
        """Ids of images that are in an index of a name, each with those names in full."""
        found: dict[str, set[str]] = {}
        for name, target in self._store.targets().items():
            for variant in self.variants(target):
                if variant.image is not None:
                    found.setdefault(variant.image.id, set()).add(name)
        return found

    def blobs(self, targets: Iterable[Descriptor]) -> set[str]:
        """The digests of targets, of the manifests below them, and of what attestations hold; layers and configs of images not."""
        found: set[str] = set()
        for target in targets:
            self._blobs(Row(target, None), found, 0)
        return found

    def _blobs(self, row: Row, found: set[str], depth: int) -> None:
        digest = row.descriptor.digest
        if digest in found or not self._content.has(digest):
            return
        found.add(digest)
        parsed = self.parsed(row.descriptor) if row.real else None
        if isinstance(parsed, Index):
            for one in parsed.rows if depth < _DEPTH_MAX else ():
                self._blobs(one, found, depth + 1)
        elif not row.real:
            try:
                found |= {blob.digest for blob in manifests.blobs(self._content.read(digest))}
            except ScowError:
                return

    def release(self, gone: Iterable[Descriptor | None], needed: set[str]) -> None:
        """Delete the blobs of targets that no name leads to any more, but those in `needed`."""
        old = self.blobs(target for target in gone if target is not None)
        if old:
            for digest in old - self.blobs(self._store.targets().values()) - needed:
                self._content.delete(digest)

    def names_of(self, image: Image) -> list[Reference]:
        """The names of an image; those it belongs to when it has none of its own."""
        own = self._store.names(image.id)
        return own or [Reference.parse(name) for name in sorted(self.belonging().get(image.id, ()))]
