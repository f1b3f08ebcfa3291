"""Removing images: Docker's rules about names, containers and children. A row goes first, then blobs and trees.

With the last name of an index go the images of its other platforms, unless a container or a name of their own keeps them.
"""

from collections.abc import Callable, Sequence

from scow import ids, log, units
from scow.content import ContentStore
from scow.errors import Conflict, InvalidArgument, NotFound
from scow.filters import Filters
from scow.images.layers import Layers
from scow.images.manifest import fits
from scow.images.platforms import Platform
from scow.images.store import Image, ImageStore
from scow.images.targets import Targets
from scow.metadata import References
from scow.reference import Reference
from scow.registry.media import Descriptor

logger = log.get(__name__)

Deleted = list[dict[str, str]]


class Remover:
    """Removes and prunes."""

    def __init__(
        self,
        store: ImageStore,
        content: ContentStore,
        layers: Layers,
        targets: Targets,
        refs: References,
        publish: Callable[[str, str, str], None],
    ) -> None:
        self._store = store
        self._content = content
        self._layers = layers
        self._targets = targets
        self._refs = refs
        self._publish = publish

    def needed(self) -> set[str]:
        """The blobs of every image and every layer."""
        return {image.id for image in self._store.all()} | self._layers.blobs() | self._store.rows()

    async def remove(self, ref: str, force: bool, noprune: bool, running: set[str]) -> Deleted:
        """Untag `ref`, or delete its image when no name is left. Raises NotFound, Conflict."""
        before = dict(self._store.targets())
        siblings = self._siblings(self._store.find(ref))
        try:
            done = await self._remove(ref, force, noprune, running, siblings)
            for sibling in siblings:
                await self._drop_sibling(sibling, done)
        finally:
            self._release(before)
        return done

    def _siblings(self, image: Image) -> list[Image]:
        """The nameless images of other platforms that share an index with an image."""
        found: dict[str, Image] = {}
        for name in self._store.names(image.id):
            for variant in self._targets.variants(self._store.target(name)):
                other = variant.image
                if other is not None and other.id != image.id and not self._store.names(other.id):
                    found[other.id] = other
        return list(found.values())

    async def _drop_sibling(self, image: Image, done: Deleted) -> int:
        if self._store.by_id(image.id) is None or image.id in self._targets.belonging() or self._store.names(image.id):
            return 0
        return await self._delete(image, True, done)

    def _release(self, before: dict[str, Descriptor]) -> None:
        now = self._store.targets()
        gone = {target.digest: target for name, target in before.items() if now.get(name) != target}
        if gone:
            self._targets.release(gone.values(), self.needed())

    async def remove_platforms(
        self, ref: str, target: Descriptor | None, platforms: list[Platform], force: bool, noprune: bool, running: set[str]
    ) -> Deleted:
        """Remove the images of some platforms of `ref`; a name goes on to another platform, with the last one it goes.

        Raises NotFound, Conflict."""
        image = self._store.find(ref)
        here = {one.image.id: one.image for one in self._targets.variants(target) if one.image is not None} or {image.id: image}
        chosen: list[Image] = []
        for want in platforms:
            fitting = [one for one in here.values() if fits(Platform(one.os, one.architecture, one.variant), want) == 100]
            if not fitting:
                raise NotFound(f"image with reference {ref} was found but does not match the specified platform: wanted {want}")
            chosen += [one for one in fitting if one not in chosen]
        left = [one for one in here.values() if one not in chosen]
        if not left:
            return await self.remove(ref, force, noprune, running)
        done: Deleted = []
        for one in chosen:
            users = sorted(self._refs.users("image", one.id))
            self._check(one, ids.short(one.id), users, [user for user in users if user in running], force)
        for one in chosen:
            for name in self._store.names(one.id):
                if (came_as := self._store.target(name)) is not None and self._targets.several(came_as):
                    self._store.name(left[0].id, name, 0, came_as)
            if not self._store.names(one.id):
                await self._delete(one, True, done, sorted(self._refs.users("image", one.id)) if force else ())
        return done

    async def _remove(self, ref: str, force: bool, noprune: bool, running: set[str], siblings: list[Image]) -> Deleted:
        image = self._store.find(ref)
        done: Deleted = []
        users = sorted(self._refs.users("image", image.id))
        live = [user for user in users if user in running]
        names = self._store.names(image.id)
        if self._by_id(image, ref):
            tags = [name for name in names if not name.digest]
            if not force and (len({name.name for name in names}) > 1 or len(tags) > 1):
                raise Conflict(
                    f"conflict: unable to delete {ids.short(image.id)} (must be forced) - image is referenced in multiple repositories"
                )
            self._check(image, ids.short(image.id), users, live, force)
            self._check_siblings(siblings, running, force)
            for name in names:
                self._untag(image.id, name, done)
        else:
            reference = Reference.parse(ref)
            target = next((name for name in names if name.full() == reference.tagged().full()), None)
            if target is None:  # name@digest of an image that has the name
                target = next((name for name in names if name.name == reference.name), names[0])
            others = [name for name in names if name != target]
            if others and any(not name.digest or name.name != target.name for name in others):
                self._untag(image.id, target, done)
                same = [name for name in others if name.name == target.name]
                if target.tag and all(name.digest for name in same):  # a repository without tags keeps no digests
                    for name in same:
                        self._untag(image.id, name, done)
                return done
            if users and not force:
                user = ids.short((live or users)[0])
                raise Conflict(
                    f'conflict: unable to remove repository reference "{ref}" (must force)'
                    f" - container {user} is using its referenced image {ids.short(image.id)}"
                )
            self._check_siblings(siblings, running, force)
            self._untag(image.id, target, done)
            for name in others:
                self._untag(image.id, name, done)
            if live:
                return done  # forced: the running container keeps the image, nameless
        await self._delete(image, noprune, done, users)
        return done

    @staticmethod
    def _by_id(image: Image, ref: str) -> bool:
        return image.id.removeprefix("sha256:").startswith(ref.removeprefix("sha256:")) and not any(
            tag == ref or tag.rpartition(":")[0] == ref for tag in image.tags
        )

    def _check_siblings(self, siblings: list[Image], running: set[str], force: bool) -> None:
        for image in siblings if not force else ():
            users = sorted(self._refs.users("image", image.id))
            self._check(image, ids.short(image.id), users, [user for user in users if user in running], force)

    def _check(self, image: Image, shown: str, users: list[str], live: list[str], force: bool) -> None:
        if live:
            raise Conflict(
                f"conflict: unable to delete {shown} (cannot be forced) - image is being used by running container {ids.short(live[0])}"
            )
        if users and not force:
            raise Conflict(
                f"conflict: unable to delete {shown} (must be forced) - image is being used by stopped container {ids.short(users[0])}"
            )
        if self._store.children(image.id) and not force:
            raise Conflict(f"conflict: unable to delete {shown} (cannot be forced) - image has dependent child images")

    def _untag(self, id: str, name: Reference, done: Deleted) -> None:
        self._store.unname(name)
        done.append({"Untagged": name.familiar()})
        self._publish("untag", id, name.familiar())

    async def drop_unused(self, layers: list[str]) -> None:
        """Remove layers (lowest first) that neither an image nor a container has any more."""
        if layers and not any(layers[-1] in image.layers for image in self._store.all()):
            await self._layers.drop(tuple(layers), {name for image in self._store.all() for name in image.layers})

    async def _delete(self, image: Image, noprune: bool, done: Deleted, users: Sequence[str] = ()) -> int:
        """Delete a nameless image and, unless told otherwise, nameless unused parents.

        `users` are stopped containers that don't prevent it: they go on with the layers."""
        freed = 0
        current: Image | None = image
        while current is not None:
            if self._refs.users("image", current.id) - set(users) or self._store.children(current.id):
                break
            self._publish("delete", current.id, "")
            self._store.delete(current.id)
            self._content.delete(current.id)
            done.append({"Deleted": current.id})
            kept = {name for other in self._store.all() for name in other.layers}
            gone = [name for name in current.layers if name not in kept]
            freed += await self._layers.drop(current.layers, kept)
            done.extend({"Deleted": name} for name in reversed(gone) if self._layers.gone(name))
            parent = self._store.by_id(current.parent) if current.parent else None
            users = ()
            current = parent if not noprune and parent and not parent.tags and not parent.digests else None
        return freed

    async def prune(self, filters: Filters) -> tuple[Deleted, int]:
        """Remove unused images; only nameless ones unless `dangling=false`. Raises InvalidArgument."""
        dangling = filters.boolean("dangling", True)
        until = [units.parse_timestamp(text) for text in filters.values("until")]
        if len(until) > 1:
            raise InvalidArgument("more than one until filter specified")
        done: Deleted = []
        freed = 0
        used = self._refs.used("image")
        before = dict(self._store.targets())
        belonging = self._targets.belonging()
        for image in sorted(self._store.all(), key=lambda image: -image.created_ns):
            if self._store.by_id(image.id) is None or image.id in used or self._store.children(image.id):
                continue
            named = bool(image.tags or image.digests)
            if (dangling and named) or (not named and image.id in belonging):
                continue
            siblings = self._siblings(image)
            if any(one.id in used for one in siblings):
                continue
            if until and not image.created_ns < until[0]:
                continue
            if not filters.match_labels(image.labels) or filters.excluded_by_labels(image.labels):
                continue
            if self._refs.users("image", image.id):
                continue
            for name in self._store.names(image.id):
                self._untag(image.id, name, done)
            freed += await self._delete(image, False, done)
            for sibling in siblings:
                freed += await self._drop_sibling(sibling, done)
        self._release(before)
        return done, freed

    async def sweep(self) -> None:
        """Remove layers and blobs that no image names: what a crash left between a layer and its image."""
        if self._store.rows() != {image.id for image in self._store.all()}:
            return  # a config is damaged: which layers it names is not known
        kept = {name for image in self._store.all() for name in image.layers}
        removed = await self._layers.sweep(kept)
        needed = self.needed() | self._targets.blobs(self._store.targets().values())
        for digest in self._content.digests():
            if digest not in needed:
                self._content.delete(digest)
                removed += 1
        if removed:
            logger.info("removed %d layers and blobs of images that were never finished", removed)
