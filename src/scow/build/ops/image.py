"""`docker-image://name`: the files of an image, pulled when it is not here (or always, when that was asked for).

The key is the image's id, so another name for the same image changes nothing. `ensure` also serves frontends that ask for a configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from scow import aio
from scow.build.llb import ops
from scow.build.llb.ops import SourceOp, Vertex
from scow.build.ops.kit import Kit
from scow.build.solver.step import Step
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.errors import NotFound, ScowError
from scow.images import view
from scow.images.platforms import Platform, host_platform
from scow.images.store import Image
from scow.reference import Reference

_pulls = aio.KeyedLock()


def wanted(platform: ops.Platform | None) -> Platform:
    """The platform of a vertex, this machine's when it says none."""
    return Platform(platform.os, platform.architecture, platform.variant) if platform is not None else host_platform()


def local(kit: Kit, name: str, platform: Platform) -> Image | None:
    """The image of a name and platform that is here, or None."""
    try:
        image = kit.images.get(name, str(platform))
    except NotFound:
        return None
    return image if view.is_platform(image, platform) else None


async def ensure(kit: Kit, job: JobContext | Step | None, session: str, name: str, platform: Platform, pull: bool) -> Image:
    """The image of a name, pulled when it is not here or `pull` says so. Raises NotFound, Unauthorized, Unavailable… as a pull does."""
    if not pull and (image := local(kit, name, platform)) is not None:
        return image
    reference = Reference.parse(name)
    reference = reference if reference.digest else reference.tagged()
    async with _pulls(f"{reference.full()} {platform}"):  # one asks, the others find it here
        if not pull and (image := local(kit, name, platform)) is not None:
            return image
        auth = ""
        if session and kit.sessions is not None:
            try:
                auth = await kit.sessions.credentials(session, reference.domain)
            except NotFound:
                auth = ""
        try:
            async for line in kit.images.travel().pull(reference, str(platform), auth):
                _tell(job, line)
        except ScowError:
            here = local(kit, name, platform)
            if pull or here is None:
                raise
    image = local(kit, name, platform)
    if image is None:
        raise NotFound(f"{reference.familiar()}: no match for platform {platform} in manifest: not found")
    return image


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
        self._image: Image | None = None

    async def cache_map(self, job: JobContext) -> CacheMap:
        """Finds the image: its id is the key."""
        job.begin()
        self._image = image = await ensure(self._kit, job, job.session, self._name, self._platform, self._pull)
        layers = list(image.layers)
        self._kit.refs.hold(ref := self._kit.refs.of_image(image))

        async def leave() -> None:
            self._kit.refs.release(ref)

        job.defer(leave)
        return CacheMap(f"image {layers[-1] if layers else 'empty'} {len(layers)}", no_cache=True)

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Nothing is left to do."""
        assert self._image is not None
        return [self._kit.refs.of_image(self._image)]
