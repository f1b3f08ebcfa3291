"""Pushing: the layers that the repository lacks (mounted from another repository where that works), the config, the manifest.

Blobs go as they came in; layers that are plain on disk are compressed once, and stay so.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

import orjson

from scow import aio, log
from scow.aio import Supervisor
from scow.content.store import digest_of
from scow.errors import DataLoss, InvalidArgument, NotFound
from scow.images import manifest as manifests
from scow.images import progress
from scow.images.progress import Board, Line
from scow.images.store import Image
from scow.images.whereabouts import Whereabouts
from scow.reference import Reference
from scow.registry import fetcher, pusher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError
from scow.snapshots.snapshotter import Committed

if TYPE_CHECKING:
    from scow.images.service import ImageService

logger = log.get(__name__)

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

    def push(self, reference: Reference, credentials: Credentials) -> AsyncIterator[Line]:
        """Push a tag, or (a bare name) all tags of a repository. Closing the iterator ends it. The iterator raises ScowError."""
        if reference.digest:
            raise InvalidArgument("cannot push a digest reference")
        return progress.run(self._tasks, lambda board: self._work(board, reference, credentials), "push")

    async def _work(self, board: Board, reference: Reference, credentials: Credentials) -> None:
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
            with self._service.layers.lease(image.layers):
                await self._image(board, name, image, credentials)

    def _slots(self) -> asyncio.Semaphore:
        width = max(self._registry.settings.uploads, 1)
        if width != self._width:
            self._width, self._gate = width, asyncio.Semaphore(width)
        return self._gate

    async def _image(self, board: Board, reference: Reference, image: Image, credentials: Credentials) -> None:
        layers = self._service.layers.chain(image.layers)
        if len(layers) != len(image.layers):
            raise DataLoss(f"layers of image {image.id} are missing on disk; load or pull the image again")
        sources = {path for layer in layers for path in self._others(layer.blob, reference)[:_MOUNTS_TRIED]}
        repository = self._registry.repository(reference, credentials, push=True, also=sorted(sources)[:10])
        for layer in reversed(layers):
            board.state(layer.diff_id[7:19], "Preparing")
        wanted = list({layer.diff_id: layer for layer in layers}.values())
        results = await self._side_by_side([self._layer(board, repository, reference, layer) for layer in reversed(wanted)])
        config = self._service.content.read(image.id)
        if not await pusher.has_blob(repository, image.id):
            await pusher.upload(repository, image.id, len(config), lambda offset: _bytes(config[offset:]))
        done = {layer.diff_id: layer for layer in results}
        kind, data = self._manifest(image, len(config), [done[diff_id] for diff_id in image.diff_ids])
        digest = digest_of(data)
        told = await pusher.put_manifest(repository, reference.tag, kind, data)
        if told and told != digest:
            raise DataLoss(f"the registry stored another manifest: {told} instead of {digest}")
        self._whereabouts.note([image.id, *(layer.blob for layer in results)], reference.name)
        self._service.store.name(image.id, Reference(reference.domain, reference.path, "", digest), 0)
        board.put({"status": f"{reference.tag}: digest: {digest} size: {len(data)}"})
        board.put({"progressDetail": {}, "aux": {"Tag": reference.tag, "Digest": digest, "Size": len(data)}})
        self._service.publish("push", reference.familiar(), reference.familiar_name, image)

    async def _side_by_side(self, works: list[Coroutine[Any, Any, Committed]]) -> list[Committed]:
        tasks = [self._tasks.start(_outcome(work), "layer") for work in works]
        try:
            found: list[Committed] = []
            for future in asyncio.as_completed(tasks):
                layer, error = await future
                if error is not None:
                    raise error
                assert layer is not None
                found.append(layer)
            return found
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _layer(self, board: Board, repository: Repository, reference: Reference, layer: Committed) -> Committed:
        """Have one layer in the repository; as it is stored then."""
        short = layer.diff_id[7:19]
        slots = self._slots()
        if slots.locked():
            board.state(short, "Waiting")
        async with slots:
            if layer.compression not in ("gzip", "zstd"):
                layer = await self._service.layers.compress(layer)
            digest = layer.blob
            size = self._service.content.size(digest)
            if await pusher.has_blob(repository, digest):
                board.state(short, "Layer already exists")
                return layer
            location = ""
            for source in self._others(digest, reference)[:_MOUNTS_TRIED]:
                with contextlib.suppress(RegistryError):
                    done, location = await pusher.mount(repository, digest, source)
                    if done:
                        board.state(short, f"Mounted from {source}")
                        return layer
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
        return layer

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
        kind = fetcher.OCI_MANIFEST if oci else fetcher.DOCKER_MANIFEST
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


async def _outcome(doing: Coroutine[Any, Any, Committed]) -> tuple[Committed | None, Exception | None]:
    try:
        return await doing, None
    except Exception as error:
        return None, error
