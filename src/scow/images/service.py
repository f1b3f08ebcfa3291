"""Images as the rest of the daemon sees them: names, import, load, save, commit, removal, and the root trees of containers.

Rows, blobs and trees: see the package. Built by wiring, called by api, containers and system. Progress is an async iterator of the JSON
objects Docker streams; its first item raises what is wrong with the request.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from scow import aio, log, units
from scow.archive.workers import Workers
from scow.content import ContentStore
from scow.errors import Conflict, InvalidArgument, NotFound
from scow.events import EventBus
from scow.filters import Filters
from scow.images import adopt, changes, load, save, view
from scow.images.delete import Deleted, Remover
from scow.images.layers import Layers
from scow.images.platforms import Platform, host_platform, parse_platform
from scow.images.store import Image, ImageStore, parse_spec
from scow.images.targets import Targets
from scow.metadata import Database, References
from scow.reference import Reference
from scow.registry.media import Descriptor
from scow.registry.settings import Settings
from scow.snapshots.overlay import Overlay
from scow.snapshots.snapshotter import Change

if TYPE_CHECKING:
    from scow.images.travel import Travel

__all__ = ["CommitSource", "Image", "ImageService"]

logger = log.get(__name__)

Texts = list[str]
Rows = list[dict[str, Any]]
Changes = list[Change]

_URL_TIMEOUT = 60
_URL_CHUNK = 256 << 10


@dataclass(frozen=True, slots=True)
class CommitSource:
    """The container that `commit` takes: its id, its image, its configuration (Docker's keys) and command as history shows it."""

    container_id: str
    image_id: str
    config: dict[str, Any]
    command: str = ""
    hostname: str = field(default="")


def target_reference(repo: str, tag: str) -> Reference | None:
    """The name that `repo` and `tag` parameters give, None when there is no repo. Raises InvalidArgument."""
    if not repo:
        if tag:
            raise InvalidArgument("invalid reference format: a tag needs a repository")
        return None
    reference = Reference.parse(repo)
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    if reference.familiar_name in ("sha256", "sha384", "sha512"):
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return reference.with_tag(tag) if tag else reference.tagged()


class ImageService:
    """The images of this engine."""

    def __init__(self, root: Path, db: Database, refs: References, events: EventBus, workers: Workers | None = None) -> None:
        """`root` is the data directory: content/ and snapshots/ lie below it."""
        self._refs = refs
        self._events = events
        self.workers = workers or Workers()
        self.content = ContentStore(root / "content")
        self.snapshots = Overlay(root / "snapshots", db, self.workers)
        self.layers = Layers(self.content, self.snapshots, self.workers)
        self.store = ImageStore(db, self.content)
        self._db = db
        self.targets = Targets(self.store, self.content)
        self._remover = Remover(self.store, self.content, self.layers, self.targets, refs, self._publish)
        self._pruning = False
        self._travel: Travel | None = None
        self._registries = Settings()

    def registries(self, settings: Settings) -> None:
        """What to know of registries, from now on."""
        self._registries = settings
        if self._travel is not None:
            self._travel.configure(settings)

    def travel(self) -> "Travel":
        """Everything that needs a registry."""
        if self._travel is None:
            from scow.images.travel import Travel  # costly, and not needed by an engine that only loads

            self._travel = Travel(self, self._db, self._registries)
        return self._travel

    def publish(self, action: str, actor: str, name: str, image: Image) -> None:
        """Tell everybody what happened to an image under a name."""
        self._events.publish("image", action, actor, {**image.labels, "name": name})

    def _publish(self, action: str, id: str, name: str = "") -> None:
        image = self.store.by_id(id)
        labels = dict(image.labels) if image else {}
        self._events.publish("image", action, id, {**labels, "name": name or id})

    # --- looking ---------------------------------------------------------------------------------------------------

    def get(self, ref: str, platform: str = "") -> Image:
        """The image of a name or id; of several platforms the one that fits `platform`, if one does.

        Raises NotFound (`No such image: x:tag`), InvalidArgument."""
        image = self.store.find(ref)
        if platform:
            want = parse_platform(platform)
            if not view.is_platform(image, want):
                return self.targets.pick(self.target(ref, image), want) or image
        return image

    def target(self, ref: str, image: Image) -> Descriptor | None:
        """What the name `ref` of an image leads to; what any of its names does when `ref` is an id."""
        try:
            reference = Reference.parse(ref)
        except InvalidArgument:
            return self.store.target_of(image.id)
        key = Reference(reference.domain, reference.path, "", reference.digest) if reference.digest else reference.tagged()
        return self.store.target(key) if self.store.named(key) is image else self.store.target_of(image.id)

    def leads_to(self, ref: str, id: str) -> bool:
        """Whether a name or id leads to this image, be it as another platform of it. Raises NotFound, InvalidArgument."""
        image = self.store.find(ref)
        return image.id == id or any(
            variant.image is not None and variant.image.id == id for variant in self.targets.variants(self.target(ref, image))
        )

    def _variant(self, ref: str, platform: str) -> Image:
        image = self.get(ref, platform)
        view.check_platform(image, ref, platform)
        return image

    def inspect(self, ref: str, manifests: bool = False, platform: str = "") -> dict[str, Any]:
        """Docker's inspect reply. `manifests`: with every platform. Raises NotFound."""
        named = self.get(ref)
        image = self._variant(ref, platform)
        reply = view.inspect(image, self.layers.chain(image.layers), self.snapshots)
        if image is not named:
            reply |= {"RepoTags": list(named.tags), "RepoDigests": list(named.digests)}
        target = self.target(ref, named)
        if target is not None:
            reply["Descriptor"] = view.descriptor(target)
        if manifests:
            reply["Manifests"] = self._manifests(named, target)
        return reply

    def _manifests(self, image: Image, target: Descriptor | None) -> Rows:
        return view.manifests(image, self.targets.variants(target), self.layers, self.content, self._refs.used("image"))

    def history(self, ref: str, platform: str = "") -> Rows:
        """The history rows, newest first. Raises NotFound."""
        image = self._variant(ref, platform)
        return view.history(image, self.layers.chain(image.layers))

    async def list(self, all: bool, filters: Filters, shared_size: bool = False, digests: bool = False, manifests: bool = False) -> Rows:
        """The rows of `images`, newest first. Raises InvalidArgument, NotFound (before/since)."""
        rows = view.listed(self.store, filters, all, self.targets.belonging())
        shared = view.shared_sizes(self.store.all(), self.layers) if shared_size else {}
        used = self._refs.used("image") if shared_size else {}
        found = []
        for image, tags, digests_ in rows:
            row = view.summary(image, tags, digests_, shared.get(image.id, -1), len(used.get(image.id, ())) if shared_size else -1)
            target = self.store.target_of(image.id)
            if target is not None:
                row["Descriptor"] = view.descriptor(target)
            if manifests:
                row["Manifests"] = self._manifests(image, target)
            found.append(row)
        return found

    async def disk_usage(self) -> dict[str, Any]:
        """What `system/df` says of images: {"Images": [...], "LayersSize": bytes}."""
        belonging = self.targets.belonging()
        used = self._refs.used("image")
        shared = view.shared_sizes(self.store.all(), self.layers)
        images = [
            view.summary(image, list(image.tags), list(image.digests), shared[image.id], len(used.get(image.id, ())))
            for image in sorted(self.store.all(), key=lambda image: -image.created_ns)
            if image.tags or image.digests or image.id not in belonging
        ]
        return {"Images": images, "LayersSize": sum(layer.size for layer in self.snapshots.layers())}

    async def blocks(self, data: Path) -> dict[str, int]:
        """Bytes on disk of the data directory, by path below it ("" for all), two levels deep."""
        report = await self.workers.run({"job": "blocks", "path": str(data), "levels": 2})
        return dict(report["blocks"])

    # --- names -----------------------------------------------------------------------------------------------------

    def tag(self, ref: str, repo: str, tag: str) -> None:
        """Give another name. Raises NotFound, InvalidArgument."""
        target = target_reference(repo, tag)
        image = self.get(ref)
        if target is None:
            raise InvalidArgument("invalid reference format: the repository name is empty")
        self.name(image.id, target, came_as=self.target(ref, image))

    def name(self, id: str, target: Reference, now: int | None = None, came_as: Descriptor | None = None) -> None:
        """Name an image, taking the name from whatever had it; tells everybody. `now` 0 leaves the time of the last tagging as it was.

        `came_as`: the manifest or index it came as, whose bytes are in the content store."""
        self.rename(id, target, time.time_ns() if now is None else now, came_as)
        self._publish("tag", id, target.familiar())

    def rename(self, id: str, target: Reference, now: int, came_as: Descriptor | None) -> None:
        """Name an image without a word; what the name came as before goes when no other name leads there."""
        before = self.store.target(target)
        self.store.name(id, target, now, came_as)
        if before is not None and before != came_as:
            self.targets.release([before], self._remover.needed())

    async def remove(
        self, ref: str, force: bool = False, noprune: bool = False, running: "set[str] | None" = None, platforms: Texts | None = None
    ) -> Deleted:
        """Untag or delete: [{"Untagged": …}, {"Deleted": …}]. `running`: ids of the containers that run. Raises NotFound, Conflict.

        `platforms`: only these platforms of the image go; its names go with the last one."""
        if platforms:
            image = self.get(ref)
            return await self._remover.remove_platforms(
                ref, self.target(ref, image), [parse_platform(text) for text in platforms], force, noprune, running or set()
            )
        return await self._remover.remove(ref, force, noprune, running or set())

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove dangling images, or all unused ones with `dangling=false`: {"ImagesDeleted": [...], "SpaceReclaimed": bytes}."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            deleted, freed = await self._remover.prune(filters)
            freed += self.content.expire(0, self._travel.busy() if self._travel is not None else set())
        finally:
            self._pruning = False
        self._events.publish("image", "prune", "", {"reclaimed": str(freed)})
        return {"ImagesDeleted": deleted or None, "SpaceReclaimed": freed}

    # --- in --------------------------------------------------------------------------------------------------------

    async def import_(
        self,
        source: AsyncIterable[bytes] | str,
        repo: str = "",
        tag: str = "",
        message: str = "",
        changes_: Texts | None = None,
        platform: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Make an image of a root tree: a byte stream of its tar, or the URL of one. The last status is the id."""
        target = target_reference(repo, tag)
        config = changes.apply({}, changes_ or [])
        where = parse_platform(platform) if platform else host_platform()
        if where.os != "linux":
            raise InvalidArgument("operating system is not supported")
        if isinstance(source, str):
            chunks: AsyncIterable[bytes] = await _download(source)
            yield {"status": f"Downloading from {source}"}
        else:
            chunks = source
        layer = await self.layers.add_stream(chunks)
        now = time.time_ns()
        comment = message or (f"Imported from {source}" if isinstance(source, str) else "Imported from -")
        spec = self._spec(
            where, config, [layer.diff_id], now, comment=comment, history=[{"created": units.rfc3339nano(now), "comment": comment}]
        )
        id = self._record(spec, layer.size, now)
        self._publish("import", id)
        if target:
            self.name(id, target)
        yield {"status": id}

    async def load(
        self, source: AsyncIterable[bytes], quiet: bool = False, platforms: Texts | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Load a docker-archive or an OCI layout: lines `Loaded image: x:tag`. Raises InvalidArgument for what is none."""
        async for line in load.run(self, source, quiet, platforms or []):
            yield line

    async def adopt(self, target: Descriptor, names: Sequence[Reference] = (), platform: str = "") -> str:
        """Make images of a manifest or index whose blobs lie in the content store; the id of the one its names lead to. For builders.

        See adopt.py. Raises InvalidArgument, DataLoss, NotFound (no image of `platform` in it)."""
        return await adopt.adopt(self, target, names, platform)

    def recorded(self, data: bytes, spec: dict[str, Any], now: int, parent: str = "") -> str:
        """Record an image whose layers are in place; its id. `parent` is the image it was built on."""
        id = self.content.put(data)
        layers = self.layers.chain(self.store_layers(spec))
        self.store.add(id, spec, sum(layer.size for layer in layers), now, parent)
        return id

    @staticmethod
    def store_layers(spec: dict[str, Any]) -> tuple[str, ...]:
        """The chain ids of a config document."""
        from scow.images.store import chain_ids

        return chain_ids((spec.get("rootfs") or {}).get("diff_ids") or ())

    def loaded(self, id: str, name: str = "") -> None:
        """Tell everybody that an image was loaded."""
        self._publish("load", id, name)

    async def commit(
        self,
        source: CommitSource,
        repo: str = "",
        tag: str = "",
        comment: str = "",
        author: str = "",
        changes_: Texts | None = None,
        config: dict[str, Any] | None = None,
    ) -> str:
        """Make an image of a container's changes; its id. `config` (Docker's keys), then `changes_`, go over the container's.

        The caller pauses the container meanwhile.
        """
        target = target_reference(repo, tag)
        merged = changes.apply(view.merged_config(source.config, config or {}), changes_ or [])
        parent = self.get(source.image_id)
        with self.layers.lease(parent.layers):
            layer = await self.layers.add_changes(source.container_id, parent.layers[-1] if parent.layers else "")
            now = time.time_ns()
            row = {"created": units.rfc3339nano(now), "created_by": source.command}
            row |= {"author": author} if author else {}
            row |= {"comment": comment} if comment else {}
            where = Platform(parent.os, parent.architecture, parent.variant)
            diff_ids = [*parent.diff_ids, layer.diff_id]
            history = [*(parent.spec.get("history") or []), row]
            spec = self._spec(where, merged, diff_ids, now, comment=comment, author=author, history=history)
            spec["container"] = source.container_id
            id = self._record(spec, parent.size + layer.size, now, parent.id)
        if target:
            self.name(id, target)
        return id

    @staticmethod
    def _spec(where: Platform, config: dict[str, Any], diff_ids: Texts, now: int, **more: Any) -> dict[str, Any]:
        spec: dict[str, Any] = {"architecture": where.architecture, "os": where.os}
        if where.variant:
            spec["variant"] = where.variant
        spec |= {key: value for key, value in more.items() if value and key != "history"}
        return spec | {
            "config": config,
            "created": units.rfc3339nano(now),
            "history": more["history"],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }

    def _record(self, spec: dict[str, Any], size: int, now: int, parent: str = "") -> str:
        data = orjson.dumps(spec)
        id = self.content.put(data)
        self.store.add(id, parse_spec(data), size, now, parent)
        return id

    # --- out -------------------------------------------------------------------------------------------------------

    async def save(self, refs: Texts, platforms: Texts | None = None) -> AsyncIterator[bytes]:
        """A docker-archive (with an OCI layout in it) of the images. The first item raises NotFound."""
        plan = save.plan(self, refs, platforms or [])
        with self.layers.lease(plan.layers):
            async for data in self.workers.run_to({"job": "join", "members": plan.members}):
                yield data
        for id in plan.ids:
            self._publish("save", id)

    # --- containers ------------------------------------------------------------------------------------------------

    async def prepare_rootfs(self, container_id: str, image_id: str) -> None:
        """Make the writable layer of a container."""
        image = self.store.by_id(image_id)
        if image is None:
            raise NotFound(f"No such image: {image_id}")
        await self.snapshots.prepare(container_id, image.layers[-1] if image.layers else "")

    async def mount_rootfs(self, container_id: str, target: Path) -> None:
        """Mount a container's root; mounted already is fine."""
        await self.snapshots.mount(container_id, target)

    async def mount_image(self, id: str, target: Path) -> None:
        """Mount an image read-only; the caller unmounts it and holds a reference meanwhile. Raises NotFound."""
        image = self.get(id)
        if image.layers:
            await self.snapshots.mount_layers(image.layers[-1], target)

    async def unmount_rootfs(self, container_id: str, target: Path) -> None:
        """Unmount it; not mounted is fine, and a busy mount goes away with its last user."""
        await self.snapshots.unmount(target)

    async def remove_rootfs(self, container_id: str) -> None:
        """Remove the writable layer, and layers below it whose image was removed by force; absent is fine."""
        below = [layer.name for layer in self.snapshots.stack(container_id)][::-1]
        await self.snapshots.remove(container_id)
        await self._remover.drop_unused(below)

    async def drop_unused(self, layer: str) -> None:
        """Remove a layer of the build cache, and those below it, that neither an image nor a container nor the cache has any more."""
        if self.snapshots.layer(layer) is not None:
            await self._remover.drop_unused([*[one.name for one in self.snapshots.stack(layer)][::-1], layer])

    async def rootfs_size(self, container_id: str) -> tuple[int, int]:
        """(bytes of the writable layer's files, those and the image's)."""
        own = await self.snapshots.usage(container_id)
        return own, own + sum(layer.size for layer in self.snapshots.stack(container_id))

    async def rootfs_changes(self, container_id: str) -> Changes:
        """What the container changed in its root."""
        return await self.snapshots.changes(container_id)

    # --- life ------------------------------------------------------------------------------------------------------

    async def recover(self, containers: "set[str] | None" = None) -> None:
        """At boot: remove half-written content and snapshots nobody owns (`containers`: the ids of those that exist)."""
        await aio.in_pool(self.content.recover)
        await self.snapshots.recover(containers if containers is not None else self._refs_users())
        await self._remover.sweep()
        self.workers.warm()

    def _refs_users(self) -> set[str]:
        return {user for users in self._refs.used("image").values() for user in users}

    async def close(self) -> None:
        """End the helpers."""
        if self._travel is not None:
            await self._travel.close()
        await self.snapshots.close()
        self.workers.close()


async def _download(url: str) -> AsyncIterable[bytes]:
    import urllib.error  # costly, and rarely needed
    import urllib.request

    if not url.lower().startswith(("http://", "https://")):
        raise InvalidArgument(f"cannot import from {url!r}: only http and https addresses, or - for the request's body")
    try:
        reply = await aio.in_pool(urllib.request.urlopen, url, None, _URL_TIMEOUT)
    except urllib.error.HTTPError as error:
        raise InvalidArgument(f"cannot download {url}: the server answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # urllib wraps what went wrong
        raise InvalidArgument(f"cannot download {url}: {getattr(cause, 'strerror', None) or cause}") from error

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while data := await aio.in_pool(reply.read, _URL_CHUNK):
                yield data
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"cannot download {url}: {error}") from error
        finally:
            with contextlib.suppress(Exception):
                await asyncio.shield(aio.in_pool(reply.close))

    return chunks()
