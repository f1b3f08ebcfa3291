"""Pulling: the manifest, the right image of an index, its config, its layers; then names. Nothing is visible before all of it is in place.

Progress lines are Docker's. What is wrong before the first line is an error of the request (`progress.run`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scow import log
from scow.aio import Supervisor
from scow.content.store import KEPT_SECONDS
from scow.errors import InvalidArgument, ScowError
from scow.images import manifest as manifests
from scow.images import progress
from scow.images.manifest import ImageManifest, Index, Row
from scow.images.platforms import Platform, parse_platform
from scow.images.progress import Board, Line
from scow.images.store import Image, chain_ids, parse_spec
from scow.images.unpack import Arrival, Arrivals, Moved, Watcher
from scow.images.whereabouts import Whereabouts
from scow.reference import Reference
from scow.registry import fetcher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError, translated
from scow.registry.media import Descriptor, Manifest

if TYPE_CHECKING:
    from scow.images.service import ImageService

logger = log.get(__name__)

CONFIG_MAX = 8 << 20
_INDEX_DEPTH = 3
_ATTESTATIONS_MAX = 4
_ATTESTATION_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image whose layers are in place and that is recorded nowhere: `digest` is what its name led to, `layers` are chain ids."""

    digest: str
    config: bytes
    layers: tuple[str, ...]


Keep = Callable[[Pulled], None]
"""Takes an image in place of the store, while its layers are leased."""


class Puller:
    """Pulls images into an ImageService."""

    def __init__(self, service: "ImageService", registry: Registry, whereabouts: Whereabouts) -> None:
        self._service = service
        self._registry = registry
        self._whereabouts = whereabouts
        self._tasks = Supervisor("pull")
        self.arrivals = Arrivals(service.content, service.snapshots, service.layers, service.workers, lambda: registry.settings.downloads)

    async def close(self) -> None:
        """End the pulls under way."""
        await self._tasks.close()
        await self.arrivals.close()

    def pull(self, reference: Reference, platform: str, credentials: Credentials, keep: Keep | None = None) -> AsyncIterator[Line]:
        """Pull a tag, a digest, or (a bare name) all tags. Closing the iterator ends it. The iterator raises ScowError.

        `keep`: the image is given to it and neither recorded nor named (builds)."""
        return progress.run(self._tasks, lambda board: self._work(board, reference, platform, credentials, keep), "pull")

    async def _work(self, board: Board, reference: Reference, platform: str, credentials: Credentials, keep: Keep | None) -> None:
        want = parse_platform(platform) if platform else None
        repository = self._registry.repository(reference, credentials)
        if reference.digest:
            reference = Reference(reference.domain, reference.path, "", reference.digest)
        try:
            if reference.tag or reference.digest:
                newer = await self._one(board, repository, reference, want, keep)
            else:
                newer = False
                for tag in await fetcher.tags(repository):
                    newer |= await self._one(board, repository, reference.with_tag(tag), want, keep)
        except ScowError as error:
            raise translated(error, reference.familiar_name, reference.familiar()) from None
        self._service.content.expire(KEPT_SECONDS, self.arrivals.busy())
        status = "Downloaded newer image" if newer else "Image is up to date"
        board.put({"status": f"Status: {status} for {reference.familiar()}"})

    async def config(self, reference: Reference, platform: str, credentials: Credentials) -> tuple[str, dict[str, Any]]:
        """See Travel.config."""
        want = parse_platform(platform) if platform else None
        repository = self._registry.repository(reference, credentials)
        try:
            top = await fetcher.manifest(repository, reference.digest or reference.tag)
            image, _ = await self._choose(repository, manifests.parse(top), want, [top])
            return top.digest, parse_spec(await self._config(repository, image))
        except ScowError as error:
            raise translated(error, reference.familiar_name, reference.familiar()) from None

    async def current(self, reference: Reference, credentials: Credentials) -> str:
        """The digest a tag leads to in its registry, "" when the registry does not say. Raises ScowError."""
        try:
            return (await fetcher.head(self._registry.repository(reference, credentials), reference.tag))[0]
        except ScowError as error:
            raise translated(error, reference.familiar_name, reference.familiar()) from None

    async def _one(self, board: Board, repository: Repository, reference: Reference, want: Platform | None, keep: Keep | None) -> bool:
        """Pull one image; whether it is another one than before."""
        store = self._service.store
        known = store.named(reference)
        if keep is None and known is not None and reference.tag and self._fits(known, want):
            digest = await self._current(repository, reference.tag)
            if digest and store.named(Reference(reference.domain, reference.path, "", digest)) is known:
                self._head(board, reference)
                board.put({"status": f"Digest: {digest}"})
                return False
        top = await fetcher.manifest(repository, reference.digest or reference.tag)
        parsed = manifests.parse(top)
        papers = [top]
        image, attesting = await self._choose(repository, parsed, want, papers)
        self._head(board, reference)
        config = await self._config(repository, image)
        spec = parse_spec(config)
        if (spec.get("os") or "linux") != "linux":
            raise InvalidArgument(f'image operating system "{spec["os"]}" cannot be used on this platform')
        diff_ids = (spec.get("rootfs") or {}).get("diff_ids") or []
        if len(diff_ids) != len(image.layers):
            raise InvalidArgument(f"invalid image: its manifest has {len(image.layers)} layers and its config {len(diff_ids)}")
        names = chain_ids(diff_ids)
        with self._service.layers.lease(names):
            beside = self._tasks.start(self._attestations(repository, attesting), "attestations")
            try:
                if store.by_id(image.config.digest) is None or any(self._service.layers.gone(name) for name in names):
                    await _Layers(self, board, repository, names, diff_ids, image.layers).bring()
                statements = await beside
            finally:
                beside.cancel()
            if keep is not None:
                keep(Pulled(top.digest, config, names))
                self._whereabouts.note([image.config.digest, *(layer.digest for layer in image.layers)], reference.name)
                return True
            for data in [*(paper.data for paper in papers), *statements]:
                self._service.content.put(data, durable=False)
            id = self._service.recorded(config, spec, time.time_ns())
            self._name(id, reference, Descriptor(top.digest, len(top.data), parsed.media_type))
        self._whereabouts.note([image.config.digest, *(layer.digest for layer in image.layers)], reference.name)
        board.put({"status": f"Digest: {top.digest}"})
        pulled = self._service.get(id)
        if want is not None and not self._fits(pulled, want):
            actual = Platform(pulled.os, pulled.architecture, pulled.variant)
            text = f"image with reference {reference.familiar()} was found but does not match the specified platform"
            board.put({"status": f"WARNING: {text}: wanted {want}, actual: {actual}"})
        self._service.publish("pull", reference.familiar(), reference.familiar_name, pulled)
        return known is None or known.id != id

    @staticmethod
    def _head(board: Board, reference: Reference) -> None:
        board.put({"status": f"Pulling from {reference.path}", "id": reference.digest or reference.tag})

    @staticmethod
    def _fits(image: Image, want: Platform | None) -> bool:
        from scow.images.platforms import host_platform

        return manifests.fits(Platform(image.os, image.architecture, image.variant), want or host_platform()) > 0

    async def _current(self, repository: Repository, tag: str) -> str:
        """The digest a tag leads to, "" when that takes a GET to learn."""
        try:
            return (await fetcher.head(repository, tag))[0]
        except RegistryError:
            return ""

    def _name(self, id: str, reference: Reference, target: Descriptor) -> None:
        now = time.time_ns()
        if reference.tag:
            self._service.rename(id, reference, now, target)
        own = Reference(reference.domain, reference.path, "", target.digest)
        self._service.rename(id, own, now if not reference.tag else 0, target)

    async def _choose(
        self, repository: Repository, found: ImageManifest | Index, want: Platform | None, papers: list[Manifest]
    ) -> tuple[ImageManifest, list[Row]]:
        """The image for a platform and the attestations about it; `papers` takes the manifests on the way."""
        rows: list[Row] = []
        for _ in range(_INDEX_DEPTH):
            if isinstance(found, ImageManifest):
                break
            chosen = manifests.choose(found, want)
            rows += found.rows
            paper = await self._paper(repository, chosen)
            papers.append(paper)
            found = manifests.parse(paper)
        if isinstance(found, ImageManifest):
            return found, [row for row in rows if row.attests == found.digest][:_ATTESTATIONS_MAX]
        raise InvalidArgument("invalid manifest: indexes lead to indexes without end")

    async def _paper(self, repository: Repository, wanted: Descriptor) -> Manifest:
        """A manifest by its digest, from here if it is here."""
        content = self._service.content
        if content.has(wanted.digest):
            try:
                return Manifest(wanted.digest, wanted.media_type, content.read(wanted.digest))
            except ScowError as error:
                logger.info("manifest %s is fetched again: %s", wanted.digest, error.message)
        return await fetcher.manifest(repository, wanted.digest)

    async def _attestations(self, repository: Repository, rows: list[Row]) -> list[bytes]:
        """The attestations about an image, as far as they are small and there: an image is as good without."""
        found: list[bytes] = []
        for row in rows:
            try:
                paper = await self._paper(repository, row.descriptor)
                blobs = manifests.blobs(paper.data)
                if sum(blob.size for blob in blobs) > _ATTESTATION_BYTES:
                    continue
                statements = [await fetcher.small_blob(repository, blob, _ATTESTATION_BYTES) for blob in blobs]
            except ScowError as error:
                logger.info("an attestation about %s was left out: %s", row.attests, error.message)
                continue
            found += [paper.data, *statements]
        return found

    async def _config(self, repository: Repository, image: ImageManifest) -> bytes:
        content = self._service.content
        if content.has(image.config.digest) and self._service.store.by_id(image.config.digest) is not None:
            return content.read(image.config.digest)
        return await fetcher.small_blob(repository, image.config, CONFIG_MAX)


class _Layers:
    """The layers of one pull."""

    def __init__(
        self,
        puller: Puller,
        board: Board,
        repository: Repository,
        names: tuple[str, ...],
        diff_ids: list[str],
        blobs: tuple[Descriptor, ...],
    ) -> None:
        self._puller = puller
        self._service = puller._service
        self._board = board
        self._repository = repository
        self._rows = list(zip(names, ("", *names), diff_ids, blobs, strict=False))
        self._names = names
        self._joined: list[tuple[Arrival, Watcher]] = []

    async def bring(self) -> None:
        """Have every layer in place. What fails leaves nothing but bytes for the next try."""
        try:
            for name, parent, diff_id, blob in self._rows:
                short = blob.digest[7:19]
                if not self._service.layers.gone(name):
                    self._board.state(short, "Already exists")
                    continue
                self._board.state(short, "Pulling fs layer")
                watcher = self._watcher(short, blob.size)
                self._joined.append((self._puller.arrivals.join(name, parent, diff_id, blob, self._open, watcher), watcher))
            await self._wait()
        except BaseException:
            await asyncio.shield(self._undo())
            raise
        await self._leave()

    async def _wait(self) -> None:
        """Wait for all; the first failure ends it."""
        waiting = {arrival.task for arrival, _ in self._joined if arrival.task is not None}
        while waiting:
            ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                error = task.result()
                if error is not None:
                    raise error

    async def _leave(self) -> None:
        while self._joined:
            await self._puller.arrivals.leave(*self._joined.pop())

    async def _undo(self) -> None:
        await self._leave()
        kept = {name for image in self._service.store.all() for name in image.layers}
        try:
            await self._service.layers.forget(self._names, kept, demote=True)
        except ScowError as error:  # a full disk takes no row: the layers are there for the next try, or go at the next start
            logger.warning("layers of a pull that failed stay for now: %s", error.message)

    def _open(self, blob: Descriptor, offset: int, moved: Moved, retry: Moved) -> AsyncGenerator[bytes, None]:
        return fetcher.blob(self._repository, blob, offset, moved, retry)

    def _watcher(self, short: str, size: int) -> Watcher:
        board = self._board

        def watch(state: str, number: int) -> None:
            match state:
                case "waiting":
                    board.state(short, "Waiting")
                case "downloading":
                    board.moved(short, "Downloading", number, size)
                case "retrying":
                    board.state(short, f"Retrying in {number} second{'' if number == 1 else 's'}")
                case "verifying":
                    board.state(short, "Verifying Checksum")
                case "arrived":
                    board.state(short, "Download complete")
                case "unpacking":
                    detail = {"current": size, "total": size}
                    board.put({"status": "Extracting", "progressDetail": detail, "progress": progress.bar(size, size), "id": short})
                case "done":
                    board.state(short, "Pull complete")

        return watch
