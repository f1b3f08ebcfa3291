"""`type=image` (and `moby`): the result becomes an image of this engine, with names, and is pushed where that was asked for.

One platform without attestations is an image as every other one. Several platforms, annotations or attestations are an index: manifests are
put into the content store and adopted. Stored: what `images/` stores.
"""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import orjson

from scow.build.exporters.manifests import Assembled, assemble, wants_index
from scow.build.exporters.results import Exported, Target
from scow.build.refs import Refs
from scow.build.session.registry import Sessions
from scow.build.solver.step import Step, step
from scow.errors import InvalidArgument
from scow.images.service import ImageService
from scow.images.store import parse_spec
from scow.reference import Reference


def names(attrs: Mapping[str, str]) -> list[Reference]:
    """The names that `name=` gives, comma-separated. Raises InvalidArgument."""
    found: list[Reference] = []
    for text in attrs.get("name", "").split(","):
        if text.strip():
            reference = Reference.parse(text.strip())
            if reference.digest:
                raise InvalidArgument(f"invalid name {text[:200]!r}: an image is named by a tag, its digest comes of itself")
            found.append(reference.tagged())
    return found


def truth(attrs: Mapping[str, str], key: str, default: bool = False) -> bool:
    """A boolean attribute. Raises InvalidArgument."""
    text = attrs.get(key, "").lower()
    if text in ("1", "t", "true"):
        return True
    if text in ("0", "f", "false"):
        return False
    if text:
        raise InvalidArgument(f"non-bool value specified for {key}: {text[:50]!r}")
    return default


async def export(refs: Refs, sessions: Sessions, target: Target, attrs: Mapping[str, str]) -> dict[str, str]:
    """Make the image, name it, push it. BuildKit's facts about it."""
    wanted = names(attrs)
    push = truth(attrs, "push")
    if push and not wanted:
        raise InvalidArgument("tag is needed when pushing to registry")
    if truth(attrs, "push-by-digest"):
        raise InvalidArgument("push-by-digest is not supported by this engine: give the image a name")
    images = refs.images
    async with step(target.progress, "exporting to image") as told:
        with told.part("exporting layers"):
            exported = await target.exported(refs, attrs)
        facts = await (_index if wants_index(target, attrs) else _single)(images, exported, wanted, attrs, target, told)
    if push:
        for name in wanted:
            async with step(target.progress, f"pushing {name.familiar()} with docker") as told:
                await _push(images, sessions, target.session, name, told)
    return facts | ({"image.name": ",".join(name.full() for name in wanted)} if wanted else {})


async def _single(
    images: ImageService, exported: list[Exported], wanted: list[Reference], attrs: Mapping[str, str], target: Target, told: Step
) -> dict[str, str]:
    only = exported[0]
    data = orjson.dumps(only.spec)
    with images.layers.lease([layer.name for layer in only.layers]):
        id = images.recorded(data, parse_spec(data), time.time_ns())
    with told.part(f"writing image {id}"):
        _name(images, id, wanted, told)
    return {"containerimage.config.digest": id, "containerimage.digest": id}


def _name(images: ImageService, id: str, wanted: list[Reference], told: Step) -> None:
    image = images.store.by_id(id)
    for name in wanted:
        with told.part(f"naming to {name.full()}"):
            images.name(id, name)
        if image is not None:
            images.publish("tag", id, name.familiar(), image)


async def _index(
    images: ImageService, exported: list[Exported], wanted: list[Reference], attrs: Mapping[str, str], target: Target, told: Step
) -> dict[str, str]:
    made: Assembled = await assemble(images, exported, attrs, target, told)
    try:
        id = await images.adopt(made.top, wanted)
    finally:
        made.release()
    image = images.store.by_id(id)
    for name in wanted:
        with told.part(f"naming to {name.full()}"):
            pass
        if image is not None:
            images.publish("tag", id, name.familiar(), image)
    descriptor = {"mediaType": made.top.media_type, "digest": made.top.digest, "size": made.top.size}
    return {
        "containerimage.digest": made.top.digest,
        "containerimage.config.digest": id,
        "containerimage.descriptor": base64.b64encode(json.dumps(descriptor).encode()).decode(),
    }


async def _push(images: ImageService, sessions: Sessions, session: str, name: Reference, told: Step) -> None:
    auth = await sessions.credentials(session, name.domain)
    told.status("pushing layers")
    async for line in images.travel().push(name, auth):
        detail: Any = line.get("progressDetail")
        if isinstance(detail, dict) and detail.get("current"):
            told.status(f"pushing {line.get('id', '')}", current=int(detail["current"]), total=int(detail.get("total") or 0))
    told.status("pushing layers", completed=True)
