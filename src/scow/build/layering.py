"""Trees of the build cache become layers of images: a tar and a diff id for each snapshot that has none yet.

`await chain(refs, tree)` answers the layers, the lowest first. A snapshot becomes the committed layer of its chain id in place (nothing is
unpacked); where that layer is there already, the row remembers it. With `epoch_ns` no time in a layer is later than that: such layers are
unpacked beside the cache, which keeps its own times. The caller holds the tree, and a lease on the layers until an image has them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from scow import aio
from scow.build.refs import Refs, TreeRef
from scow.snapshots.snapshotter import Committed

_locks = aio.KeyedLock()


def chain_id(parent: str, diff_id: str) -> str:
    """The name of a layer: of its parent's name and its diff id."""
    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest() if parent else diff_id


async def chain(refs: Refs, tree: TreeRef | None, epoch_ns: int | None = None) -> list[Committed]:
    """The layers of a tree, the lowest first; none for an empty one. Raises NotFound, Internal."""
    if tree is None:
        return []
    made: list[Committed] = []
    own = {str(row["snapshot"]) for row in refs.table.all().values()} if epoch_ns is not None else set()
    for name in refs.lineage(tree):
        parent = made[-1].name if made else ""
        layer = refs.snapshots.layer(name)
        if epoch_ns is not None and (layer is None or name in own):
            layer = await _clamped(refs, name, parent, epoch_ns)
        elif layer is None:
            layer = await _plain(refs, name, parent)
        elif layer.parent != parent:  # below it a layer has other times now
            layer = await _restacked(refs, layer, parent)
        made.append(layer)
    return made


async def _packed(refs: Refs, name: str, out: int, epoch_ns: int | None) -> dict[str, Any]:
    job = refs.snapshots.pack(name)
    if epoch_ns is not None:
        job["clamp"] = epoch_ns
    return await refs.images.workers.run(job, [out])


async def _plain(refs: Refs, name: str, parent: str) -> Committed:
    async with _locks(name):
        found = refs.snapshots.layer(refs.layer_of(name))
        if found is not None:
            return found
        with refs.images.content.ingest() as ingest:
            out = ingest.file()
            try:
                report = await _packed(refs, name, out, None)
            finally:
                os.close(out)
            diff_id = str(report["digest"])
            chained = chain_id(parent, diff_id)
            found = refs.snapshots.layer(chained)
            if found is None:
                content = await refs.snapshots.usage(name)
                _keep(refs, ingest.path / "data", diff_id)
                found = Committed(chained, parent, diff_id, content, int(report["size"]), diff_id, "")
                refs.adopt(name, found)
            else:
                refs.remember_layer(name, chained)
        return found


async def _clamped(refs: Refs, name: str, parent: str, epoch_ns: int) -> Committed:
    with refs.images.content.ingest() as ingest:
        out = ingest.file()
        try:
            report = await _packed(refs, name, out, epoch_ns)
        finally:
            os.close(out)
        digest = str(report["digest"])
        return await refs.images.layers.add_file(parent, digest, ingest.path / "data", digest)


async def _restacked(refs: Refs, layer: Committed, parent: str) -> Committed:
    """The same layer on another parent."""
    known = refs.snapshots.layer(chain_id(parent, layer.diff_id))
    if known is not None:
        return known
    return await refs.images.layers.add_file(parent, layer.diff_id, Path(refs.images.content.path(layer.blob)), layer.blob)


def _keep(refs: Refs, file: Path, digest: str) -> None:
    if not refs.images.content.has(digest):
        refs.images.content.commit(file, digest)
