"""The door: every output of a build by its type, in the client's order; then the caches that were asked for. Stores nothing itself."""

from collections.abc import Sequence

from scow.build.exporters import files, image
from scow.build.exporters.results import Target
from scow.build.refs import Refs
from scow.build.session.registry import Sessions
from scow.errors import InvalidArgument

_IMAGES = ("image", "moby", "registry")


Wanted = Sequence[tuple[str, dict[str, str]]]


async def export(refs: Refs, sessions: Sessions, target: Target, exports: Wanted, caches: Wanted) -> dict[str, str]:
    """Run the exporters; BuildKit's facts about what was made. Raises InvalidArgument for types nobody here knows."""
    for kind, _ in exports:
        if kind not in (*_IMAGES, "local", "tar", "oci", "docker", "cacheonly"):
            raise InvalidArgument(f"exporter {kind[:50]!r} could not be found: use image, local, tar, oci, docker or cacheonly")
    for kind, _ in caches:
        if kind not in ("inline", "registry", "local"):
            raise InvalidArgument(f"cache exporter {kind[:50]!r} is not supported by this engine: use inline, registry or local")
    try:
        facts = await _all(refs, sessions, target, exports)
        for kind, attrs in caches:
            if kind != "inline":
                from scow.build.exporters import remote

                facts |= await remote.export(refs, sessions, target, kind, attrs)
        return facts
    finally:
        target.release()


async def _all(refs: Refs, sessions: Sessions, target: Target, exports: Wanted) -> dict[str, str]:
    facts: dict[str, str] = {}
    for number, (kind, attrs) in enumerate(exports):
        if kind in _IMAGES:
            facts |= await image.export(refs, sessions, target, attrs if kind != "registry" else {**attrs, "push": "true"})
        elif kind == "local":
            await files.local(refs, sessions, target, number, attrs)
        elif kind == "tar":
            await files.tar(refs, sessions, target, number)
        elif kind in ("oci", "docker"):
            from scow.build.exporters import archive

            facts |= await archive.export(refs, sessions, target, number, kind, attrs)
    return facts
