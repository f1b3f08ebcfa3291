"""The layers of an image out of a tree of the build cache, and the config document over them.

A tree's own files become a layer where they lie (their tar is the blob, nothing is copied). What was made a layer once is not packed again:
the snapshot is the layer then, or, when an equal layer was here already, the row says which (`layer`). Called by the other exporters.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scow import aio, units
from scow.build.refs import Refs, TreeRef
from scow.build.solver.types import Result
from scow.content.store import Ingest
from scow.errors import InvalidArgument
from scow.images.platforms import host_platform
from scow.images.store import chain_ids
from scow.snapshots.snapshotter import Committed

_locks = aio.KeyedLock()
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def layers(refs: Refs, result: Result, epoch_ns: int | None = None) -> list[Committed]:
    """The layers of a tree from the lowest up; steps that changed nothing are layers, too. The caller holds the tree. Raises NotFound.

    `epoch_ns`: no time in the layers that the build made is later; they are unpacked beside the cache, which keeps its own times, and the
    caller has a lease on them."""
    found: list[Committed] = []
    if not isinstance(result, TreeRef):
        return found
    for depth in range(len(refs.lineage(result))):
        # another export may make a layer of this snapshot meanwhile: it has another name then, and lies in the same place
        async with _locks(str(refs.snapshots.path(refs.lineage(result)[depth]))):
            name = refs.lineage(result)[depth]
            found.append(await _layer(refs, name, found[-1].name if found else "", epoch_ns))
    return found


async def _layer(refs: Refs, name: str, parent: str, epoch_ns: int | None) -> Committed:
    """The snapshot `name` as a layer on top of `parent`."""
    layer = refs.snapshots.layer(name)
    if epoch_ns is not None and (layer is None or refs.made_here(name)):
        return await _clamped(refs, name, parent, epoch_ns)
    if layer is None:
        return await _made(refs, name, parent)
    if layer.parent != parent:  # what lies below it has other times now
        file = refs.images.content.path(layer.blob)
        return await refs.images.layers.add_file(parent, layer.diff_id, file, layer.blob)
    return layer


async def _packed(refs: Refs, name: str, ingest: Ingest, epoch_ns: int | None) -> dict[str, Any]:
    job = refs.snapshots.pack(name)
    if epoch_ns is not None:
        job["clamp"] = epoch_ns
    out = ingest.file()
    try:
        return await refs.images.workers.run(job, [out])
    finally:
        os.close(out)


async def _made(refs: Refs, name: str, parent: str) -> Committed:
    """A layer made of a snapshot. The caller has its lock."""
    if (known := _known(refs, name, parent)) is not None:
        return known
    images = refs.images
    with images.content.ingest() as ingest:
        report = await _packed(refs, name, ingest, None)
        diff_id = str(report["digest"])
        chain = chain_ids((parent, diff_id))[-1] if parent else diff_id
        with images.layers.hold(diff_id):
            known_layer = refs.snapshots.layer(chain)
            if known_layer is not None:
                refs.remember_layer(name, chain)
                return known_layer
            if not images.content.has(diff_id):
                images.content.commit(ingest.path / "data", diff_id)
            layer = Committed(chain, parent, diff_id, await refs.snapshots.usage(name), int(report["size"]), diff_id, "")
            refs.adopt(name, layer)
            return layer


async def _clamped(refs: Refs, name: str, parent: str, epoch_ns: int) -> Committed:
    """The files of a snapshot with no time later than `epoch_ns`, as a layer of its own."""
    with refs.images.content.ingest() as ingest:
        report = await _packed(refs, name, ingest, epoch_ns)
        digest = str(report["digest"])
        return await refs.images.layers.add_file(parent, digest, ingest.path / "data", digest)


def _known(refs: Refs, name: str, parent: str) -> Committed | None:
    """The layer that is equal to a snapshot, as the cache remembers it."""
    layer = refs.snapshots.layer(refs.layer_of(name))
    return layer if layer is not None and layer.parent == parent else None


def document(given: Mapping[str, Any] | None, found: Sequence[Committed], made: Sequence[int], epoch: int | None) -> dict[str, Any]:
    """The image config over these layers: `given` (a frontend's; None = that of an image about which nothing was said) with root and
    history made to fit. Times are those of the layers (`made`), so that a build from the cache gives the same image; `epoch`: seconds, the
    time of everything that this build made."""
    if given is None:
        where = host_platform()
        config = {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"}
        given = {"architecture": where.architecture, "os": where.os, "config": config}
    if not isinstance(given, Mapping) or not isinstance(given.get("config", {}), Mapping):
        raise InvalidArgument("invalid image config: an object is needed")
    spec = dict(given)
    spec["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in found]}
    times = [epoch * 1_000_000_000 if epoch is not None else one for one in made]
    spec["history"] = _history([dict(row) for row in given.get("history") or () if isinstance(row, Mapping)], times)
    dated = [row["created"] for row in spec["history"] if row.get("created")]
    if epoch is not None:
        spec["created"] = units.rfc3339nano(epoch * 1_000_000_000)
    elif dated:
        spec["created"] = dated[-1]
    return spec


def _history(rows: list[dict[str, Any]], made: Sequence[int]) -> list[dict[str, Any]]:
    """Rows for layers, in order, with their times (a row without a layer has that of the one before). Rows too many are empty layers,
    layers without a row get one."""
    left = list(made)
    last = ""
    for row in rows:
        own = 0
        if not row.get("empty_layer"):
            if left:
                own = left.pop(0)
            else:
                row["empty_layer"] = True
        last = row.get("created") or (units.rfc3339nano(own) if own else last)
        if last:
            row["created"] = last
    for own in left:
        created = {"created": units.rfc3339nano(own)} if own else {}
        rows.append({**created, "comment": "buildkit.exporter.image.v0"})
    return rows
