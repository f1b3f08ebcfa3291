"""`docker-image://name`: the files of an image, pulled when it is not here (or always, when that was asked for).

Stored: what a registry had for a name, in the table `build_images`; its layers are trees of the cache.
The key are the layers, so another name for the same image changes nothing. `ensure` also serves frontends that ask for a configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scow import aio
from scow.build.llb import ops
from scow.build.llb.ops import SourceOp, Vertex
from scow.build.ops.kit import Kit
from scow.build.refs import TreeRef
from scow.build.solver.step import Step
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.errors import NotFound, Unavailable
from scow.images import manifest as manifests
from scow.images import view
from scow.images.platforms import Platform, host_platform
from scow.images.pull import Pulled
from scow.images.store import parse_spec
from scow.reference import Reference

_TABLE = "build_images"
_KEPT_MAX = 500
_pulls = aio.KeyedLock()


@dataclass(frozen=True, slots=True)
class Base:
    """An image to build on: its configuration document and its layers (chain ids, the lowest first)."""

    spec: dict[str, Any]
    layers: tuple[str, ...]

    @property
    def tree(self) -> TreeRef | None:
        """Its files; None = there are none."""
        return TreeRef(f"layer:{self.layers[-1]}") if self.layers else None


def wanted(platform: ops.Platform | None) -> Platform:
    """The platform of a vertex, this machine's when it says none."""
    return Platform(platform.os, platform.architecture, platform.variant) if platform is not None else host_platform()


def local(kit: Kit, name: str, platform: Platform) -> Base | None:
    """The image of a name and platform that the engine lists, or None."""
    try:
        image = kit.images.get(name, str(platform))
    except NotFound:
        return None
    return Base(image.spec, image.layers) if view.is_platform(image, platform) else None


async def ensure(kit: Kit, job: JobContext | Step | None, session: str, name: str, platform: Platform, pull: bool) -> Base:
    """The image of a name: one that the engine lists (unless `pull`), else what the registry has now. That is kept in the build cache and
    not listed, as BuildKit does it. A registry that cannot be reached is no failure when the cache has its image and nobody asked to pull.

    Raises NotFound, Unauthorized, Unavailable… as a pull does."""
    if not pull and (image := local(kit, name, platform)) is not None:
        return image
    reference = Reference.parse(name)
    reference = reference if reference.digest else reference.tagged()
    key = f"{reference.full()} {platform}"
    async with _pulls(key):  # one asks, the others find it here
        kept = _kept(kit, key)
        if kept is not None and reference.digest:
            return kept[0]
        auth = ""
        if session and kit.sessions is not None:
            try:
                auth = await kit.sessions.credentials(session, reference.domain)
            except NotFound:
                auth = ""
        travel = kit.images.travel()
        try:
            if kept is not None and await travel.current(reference, auth) == kept[1]:
                return kept[0]
            async for line in travel.pull(reference, str(platform), auth, lambda pulled: _keep(kit, key, reference, pulled)):
                _tell(job, line)
        except Unavailable:
            if kept is None or pull:
                raise
            return kept[0]
        found = _kept(kit, key)
    if found is None or not _fits(found[0].spec, platform):
        raise NotFound(f"{reference.familiar()}: no match for platform {platform} in manifest: not found")
    return found[0]


def _fits(spec: dict[str, Any], want: Platform) -> bool:
    have = Platform(str(spec.get("os") or "linux"), str(spec.get("architecture") or ""), str(spec.get("variant") or ""))
    return manifests.fits(have, want) > 0


def _kept(kit: Kit, key: str) -> tuple[Base, str] | None:
    """What the build cache has of a name and platform, and the digest that the name led to."""
    row = kit.db.table(_TABLE).get(key)
    if row is None:
        return None
    layers = tuple(str(one) for one in row["layers"])
    if not all(kit.refs.keeps_layer(one) for one in layers):
        kit.db.table(_TABLE).delete(key)
        return None
    return Base(row["spec"], layers), str(row["digest"])


def _keep(kit: Kit, key: str, reference: Reference, pulled: Pulled) -> None:
    table = kit.db.table(_TABLE)
    kit.refs.keep_layers(pulled.layers, f"pulled from {reference.full()}")
    for old in table.keys()[: max(0, len(table) - _KEPT_MAX)]:
        table.delete(old)
    table.put(key, {"digest": pulled.digest, "spec": parse_spec(pulled.config), "layers": list(pulled.layers)})


def _tell(job: JobContext | Step | None, line: dict[str, object]) -> None:
    detail = line.get("progressDetail")
    if job is None or not isinstance(line.get("id"), str) or not isinstance(detail, dict):
        return
    current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
    status = str(line.get("status", ""))
    done = status in ("Pull complete", "Already exists")
    if current or done:
        verb = "extracting" if status == "Extracting" else "pulling"
        job.status(f"{verb} {line['id']}", current=current, total=total, completed=done)


class ImageSource:
    """The tree of an image."""

    weight = 0

    def __init__(self, kit: Kit, vertex: Vertex, op: SourceOp) -> None:
        self._kit = kit
        self._name = op.identifier.removeprefix(ops.IMAGE)
        self._platform = wanted(vertex.platform)
        self._pull = op.attrs.get("image.resolvemode") in ("pull", "force-pull")
        self._image: Base | None = None

    async def cache_map(self, job: JobContext) -> CacheMap:
        """Finds the image: its id is the key."""
        job.begin()
        self._image = image = await ensure(self._kit, job, job.session, self._name, self._platform, self._pull)
        layers = list(image.layers)
        self._kit.refs.hold(ref := image.tree)

        async def leave() -> None:
            self._kit.refs.release(ref)

        job.defer(leave)
        return CacheMap(f"image {layers[-1] if layers else 'empty'} {len(layers)}", no_cache=True)

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Nothing is left to do."""
        assert self._image is not None
        return [self._image.tree]
