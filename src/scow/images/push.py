"""Pushing: the layers that the repository lacks (mounted from another repository where that works), the config, the manifest.

An image that came with a manifest goes out with that manifest, blob for blob, so its digest stays; of an index everything that is here
goes, then the index itself, cut down to what the registry has by then. Layers that are plain on disk and have no manifest are
compressed once, and stay so.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from scow import aio, log
from scow.aio import Supervisor
from scow.content.store import digest_of
from scow.errors import DataLoss, InvalidArgument, NotFound
from scow.images import manifest as manifests
from scow.images import progress
from scow.images.manifest import ImageManifest, Index, Row
from scow.images.platforms import Platform, parse_platform
from scow.images.progress import Board, Line
from scow.images.store import Image
from scow.images.view import descriptor, is_platform
from scow.images.whereabouts import Whereabouts
from scow.reference import Reference
from scow.registry import fetcher, pusher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError
from scow.registry.media import DOCKER_MANIFEST, OCI_MANIFEST, Descriptor
from scow.snapshots.snapshotter import Committed

if TYPE_CHECKING:
    from scow.images.service import ImageService

logger = log.get(__name__)

T = TypeVar("T")

_READ = 1 << 20
_MOUNTS_TRIED = 3


class Pusher:
    """Pushes images out of an ImageService."""

    def __init__(self, service: "ImageService", registry: Registry, whereabouts: Whereabouts) -> None:
        self._service = service
        self._registry = registry
        self._whereabouts = whereabouts
        self._tasks = Supervisor("push")
        self._width = 0
        self._gate = asyncio.Semaphore(1)

    async def close(self) -> None:
        """End the pushes under way."""
        await self._tasks.close()

    def push(self, reference: Reference, credentials: Credentials, platform: str = "") -> AsyncIterator[Line]:
        """Push a tag, or (a bare name) all tags of a repository; with `platform` only that image of each.

        Closing the iterator ends it. The iterator raises ScowError."""
        if reference.digest:
            raise InvalidArgument("cannot push a digest reference")
        want = parse_platform(platform) if platform else None
        return progress.run(self._tasks, lambda board: self._work(board, reference, credentials, want), "push")

    async def _work(self, board: Board, reference: Reference, credentials: Credentials, want: Platform | None) -> None:
        board.put({"status": f"The push refers to repository [{reference.name}]"})
        store = self._service.store
        named = [(name, image) for image in store.all() for name in store.names(image.id) if name.name == reference.name and name.tag]
        if not named:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        if reference.tag:
            named = [row for row in named if row[0].tag == reference.tag]
            if not named:
                raise NotFound(f"tag does not exist: {reference.familiar()}")
        for name, image in sorted(named, key=lambda row: row[0].tag):
            await self._name(board, name, image, credentials, want)

    async def _name(self, board: Board, reference: Reference, image: Image, credentials: Credentials, want: Platform | None) -> None:
        """Push what one name leads to."""
        service = self._service
        target = service.store.target(reference)
        variants = [one for one in service.targets.variants(target) if one.image is not None]
        raw = {one.image.id: one.manifest for one in variants if one.image is not None}
        if want is not None:
            image = self._of_platform(reference, image, [one.image for one in variants if one.image is not None], want)
        images = [one.image for one in variants if one.image is not None] if want is None else []
        images = images or [image]
        layers = [layer for one in images for layer in service.layers.chain(one.layers)]
        sources = {path for layer in layers for path in self._others(layer.blob, reference)[:_MOUNTS_TRIED]}
        repository = self._registry.repository(reference, credentials, push=True, also=sorted(sources)[:10])
        with service.layers.lease([name for one in images for name in one.layers]):
            whole = want is None and target is not None and service.targets.several(target)
            if whole and target is not None:
                kind, data = await _Whole(self, board, repository, reference, raw).bring(target)
            else:
                kind, data = await self.image(board, repository, reference, image, raw.get(image.id))
            digest = digest_of(data)
            told = await pusher.put_manifest(repository, reference.tag, kind, data)
            if told and told != digest:
                raise DataLoss(f"the registry stored another manifest: {told} instead of {digest}")
            if service.store.named(reference) is image:
                service.content.put(data, durable=False)
                own = Reference(reference.domain, reference.path, "", digest)
                service.rename(image.id, own, 0, Descriptor(digest, len(data), kind))
        board.put({"status": f"{reference.tag}: digest: {digest} size: {len(data)}"})
        board.put({"progressDetail": {}, "aux": {"Tag": reference.tag, "Digest": digest, "Size": len(data)}})
        service.publish("push", reference.familiar(), reference.familiar_name, image)

    @staticmethod
    def _of_platform(reference: Reference, image: Image, variants: list[Image], want: Platform) -> Image:
        for one in (image, *variants):
            if is_platform(one, want):
                return one
        raise NotFound(f"image with reference {reference.familiar()} was found but does not match the specified platform: wanted {want}")

    def _slots(self) -> asyncio.Semaphore:
        width = max(self._registry.settings.uploads, 1)
        if width != self._width:
            self._width, self._gate = width, asyncio.Semaphore(width)
        return self._gate

    async def image(
        self, board: Board, repository: Repository, reference: Reference, image: Image, raw: ImageManifest | None
    ) -> tuple[str, bytes]:
        """Have the layers and the config of an image in the repository: its manifest, which is not sent yet.

        `raw`: the one it came with."""
        content = self._service.content
        layers = self._service.layers.chain(image.layers)
        if len(layers) != len(image.layers):
            raise DataLoss(f"layers of image {image.id} are missing on disk; load or pull the image again")
        config = content.read(image.id)
        if raw is not None and all(content.has(blob.digest) for blob in raw.layers):
            diffs = [(diff_id[7:19], blob.digest) for diff_id, blob in zip(image.diff_ids, raw.layers, strict=True)]
            works = [self._blob(board, repository, reference, short, digest) for short, digest in dict(diffs[::-1]).items()]
            for short, _ in diffs[::-1]:
                board.state(short, "Preparing")
            await self._side_by_side(works)
            kind, data, digests = raw.media_type, content.read(raw.digest), [blob.digest for blob in raw.layers]
        else:
            for layer in reversed(layers):
                board.state(layer.diff_id[7:19], "Preparing")
            wanted = list({layer.diff_id: layer for layer in layers}.values())
            results = await self._side_by_side([self._layer(board, repository, reference, layer) for layer in reversed(wanted)])
            done = {layer.diff_id: layer for layer in results}
            kind, data = self._manifest(image, len(config), [done[diff_id] for diff_id in image.diff_ids])
            digests = [layer.blob for layer in results]
        await self.small(repository, image.id, config)
        self._whereabouts.note([image.id, *digests], reference.name)
        return kind, data

    @staticmethod
    async def small(repository: Repository, digest: str, data: bytes) -> None:
        """Have a blob that fits into memory in the repository."""
        if not await pusher.has_blob(repository, digest):
            await pusher.upload(repository, digest, len(data), lambda offset: _bytes(data[offset:]))

    async def _side_by_side(self, works: list[Coroutine[Any, Any, T]]) -> list[T]:
        tasks = [self._tasks.start(_outcome(work), "layer") for work in works]
        try:
            found: list[T] = []
            for future in asyncio.as_completed(tasks):
                result, error = await future
                if error is not None:
                    raise error
                found += result
            return found
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _layer(self, board: Board, repository: Repository, reference: Reference, layer: Committed) -> Committed:
        """Have one layer in the repository; as it is stored then."""
        if layer.compression not in ("gzip", "zstd"):
            async with self._slots():
                layer = await self._service.layers.compress(layer)
        await self._blob(board, repository, reference, layer.diff_id[7:19], layer.blob)
        return layer

    async def _blob(self, board: Board, repository: Repository, reference: Reference, short: str, digest: str) -> None:
        """Have the blob of one layer in the repository."""
        slots = self._slots()
        if slots.locked():
            board.state(short, "Waiting")
        async with slots:
            size = self._service.content.size(digest)
            if await pusher.has_blob(repository, digest):
                board.state(short, "Layer already exists")
                return
            location = ""
            for source in self._others(digest, reference)[:_MOUNTS_TRIED]:
                with contextlib.suppress(RegistryError):
                    done, location = await pusher.mount(repository, digest, source)
                    if done:
                        board.state(short, f"Mounted from {source}")
                        return
                    break
            board.moved(short, "Pushing", 0, size)
            await pusher.upload(
                repository,
                digest,
                size,
                lambda offset: self._read(digest, offset),
                location,
                lambda at: board.moved(short, "Pushing", at, size),
            )
            board.state(short, "Pushed")

    def _others(self, digest: str, reference: Reference) -> list[str]:
        return self._whereabouts.others(digest, reference.domain, reference.path)

    async def _read(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        fd = self._service.content.open(digest)
        try:
            at = offset
            while data := await aio.in_pool(os.pread, fd, _READ, at):
                at += len(data)
                yield data
        finally:
            os.close(fd)

    def _manifest(self, image: Image, config_size: int, layers: list[Committed]) -> tuple[str, bytes]:
        """(media type, bytes): Docker's schema 2, which every registry takes, or OCI's where a layer is zstd."""
        oci = any(layer.compression == "zstd" for layer in layers)
        kind = OCI_MANIFEST if oci else DOCKER_MANIFEST
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": manifests.OCI_CONFIG if oci else manifests.DOCKER_CONFIG, "size": config_size, "digest": image.id},
            "layers": [
                {
                    "mediaType": f"{manifests.OCI_LAYER}+{layer.compression}" if oci else f"{manifests.DOCKER_LAYER}.gzip",
                    "size": self._service.content.size(layer.blob),
                    "digest": layer.blob,
                }
                for layer in layers
            ],
        }
        return kind, orjson.dumps(document, option=orjson.OPT_INDENT_2)


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _outcome(doing: Coroutine[Any, Any, T]) -> tuple[list[T], Exception | None]:
    try:
        return [await doing], None
    except Exception as error:
        return [], error


class _Whole:
    """One index on its way out: rows that are here are pushed, those that the registry has are left, others are left out."""

    def __init__(
        self, pusher_: Pusher, board: Board, repository: Repository, reference: Reference, raw: dict[str, ImageManifest | None]
    ) -> None:
        self._pusher = pusher_
        self._service = pusher_._service
        self._board = board
        self._repository = repository
        self._reference = reference
        self._raw = raw
        self._whole = True
        self._sent: dict[str, tuple[str, bytes]] = {}  # digest in the index → the manifest that was sent
        self._looked = True

    async def bring(self, target: Descriptor) -> tuple[str, bytes]:
        """Everything but the index itself, which is what it returns; a lone image stands for an index that is not whole, as in Docker."""
        top = Row(target, None)
        kind, data = await self._index(top, 0)
        if not self._whole and len(self._sent) == 1:
            kind, lone = next(iter(self._sent.values()))
            text = "Not all multiplatform-content is present and only the available single-platform image was pushed"
            self._board.put({"status": text})
            selected = descriptor(Descriptor(digest_of(lone), len(lone), kind))
            aux = {"manifestPushedInsteadOfIndex": True, "originalIndex": descriptor(target), "selectedManifest": selected}
            self._board.put({"progressDetail": {}, "aux": aux})
            return kind, lone
        return kind, data

    async def _index(self, row: Row, depth: int) -> tuple[str, bytes]:
        index = self._service.targets.parsed(row.descriptor)
        if not isinstance(index, Index) or depth > 3:
            raise DataLoss(f"the index {row.descriptor.digest} is missing on disk; load or pull the image again")
        documents: dict[int, dict[str, Any] | None] = {}
        for number, one in sorted(enumerate(index.rows), key=lambda pair: not pair[1].real):  # attestations after what they are about
            documents[number] = await self._row(one, depth)
        kept = [found for number in range(len(index.rows)) if (found := documents[number]) is not None]
        if kept == [one.document for one in index.rows]:
            return index.media_type, self._service.content.read(index.digest)
        self._whole = False
        if not kept:
            raise DataLoss(f"nothing of the index {row.descriptor.digest} is on disk; load or pull the image again")
        document = {**orjson.loads(self._service.content.read(index.digest)), "manifests": kept}
        return index.media_type, orjson.dumps(document, option=orjson.OPT_INDENT_2)

    async def _row(self, row: Row, depth: int) -> dict[str, Any] | None:
        """Push a row; as the pushed index has to say it, None when it is nowhere."""
        service, digest = self._service, row.descriptor.digest
        parsed = service.targets.parsed(row.descriptor) if row.real else None
        if isinstance(parsed, Index):
            kind, data = await self._index(row, depth + 1)
            await pusher.put_manifest(self._repository, digest_of(data), kind, data)
            return {**row.document, "digest": digest_of(data), "size": len(data)}
        image = service.store.by_id(parsed.config.digest) if parsed is not None else None
        if image is not None:
            kind, data = await self._pusher.image(self._board, self._repository, self._reference, image, self._raw.get(image.id))
            await pusher.put_manifest(self._repository, digest_of(data), kind, data)
            self._sent[digest] = kind, data
            return row.document if digest_of(data) == digest else {**row.document, "digest": digest_of(data), "size": len(data)}
        if not row.real and await self._statement(row):
            return row.document
        return row.document if await self._there(digest) else None

    async def _statement(self, row: Row) -> bool:
        """Push an attestation or artifact, if all of it is here and what it is about was pushed as it is."""
        content, digest = self._service.content, row.descriptor.digest
        about = self._sent.get(row.attests)
        if not content.has(digest) or (row.attests and (about is None or digest_of(about[1]) != row.attests)):
            return False
        data = content.read(digest)
        blobs = manifests.blobs(data)
        if not all(content.has(blob.digest) for blob in blobs):
            return False
        for blob in blobs:
            await self._pusher.small(self._repository, blob.digest, content.read(blob.digest))
        await pusher.put_manifest(self._repository, digest, row.descriptor.media_type, data)
        return True

    async def _there(self, digest: str) -> bool:
        """Whether the registry has a manifest already; once one is missing, nobody asks for the rest."""
        if self._looked:
            try:
                await fetcher.head(self._repository, digest)
            except RegistryError:
                self._looked = False
        return self._looked
