"""The layers of an image out of a tree of the build cache, and the config document over them.

A tree's own files become a layer where they lie (their tar is the blob, nothing is copied). What was made a layer once is not packed again:
the snapshot is the layer then, or, when an equal layer was here already, the row says which (`layer`). Called by the other exporters.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scow import aio, units
from scow.build.refs import Refs, TreeRef
from scow.build.solver.types import Result
from scow.errors import InvalidArgument
from scow.images.platforms import host_platform
from scow.images.store import chain_ids
from scow.snapshots.snapshotter import Committed

_locks = aio.KeyedLock()
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def layers(refs: Refs, result: Result) -> list[Committed]:
    """The layers of a tree from the lowest up; steps that changed nothing are layers, too. The caller holds the tree. Raises NotFound."""
    found: list[Committed] = []
    for name in refs.lineage(result) if isinstance(result, TreeRef) else ():
        layer = refs.snapshots.layer(name)
        found.append(layer if layer is not None else await _made(refs, name, found[-1].name if found else ""))
    return found


async def _made(refs: Refs, name: str, parent: str) -> Committed:
    """The snapshot `name` as a layer on top of `parent`."""
    async with _locks(name):
        if (known := _known(refs, name, parent)) is not None:
            return known
        images = refs.images
        with images.content.ingest() as ingest:
            fd = ingest.file()
            try:
                report = await images.workers.run(refs.snapshots.pack(name), [fd])
            finally:
                os.close(fd)
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


def _known(refs: Refs, name: str, parent: str) -> Committed | None:
    """The layer that is equal to a snapshot, as the cache remembers it."""
    layer = refs.snapshots.layer(refs.layer_of(name))
    return layer if layer is not None and layer.parent == parent else None


def document(given: Mapping[str, Any] | None, found: Sequence[Committed], epoch: int | None) -> dict[str, Any]:
    """The image config over these layers: `given` (a frontend's; None = that of an image about which nothing was said) with root and
    history made to fit. `epoch`: seconds, the time of everything that this build made."""
    if given is None:
        where = host_platform()
        given = {
            "architecture": where.architecture,
            "os": where.os,
            "config": {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"},
        }
    if not isinstance(given, Mapping) or not isinstance(given.get("config", {}), Mapping):
        raise InvalidArgument("invalid image config: an object is needed")
    made = units.rfc3339nano(epoch * 1_000_000_000 if epoch is not None else time.time_ns())
    spec = dict(given)
    spec["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in found]}
    spec["history"] = _history([dict(row) for row in given.get("history") or () if isinstance(row, Mapping)], len(found), made)
    spec["created"] = made
    return spec


def _history(rows: list[dict[str, Any]], layers: int, made: str) -> list[dict[str, Any]]:
    """Rows for layers, in order, with time; rows too many are empty layers, layers without a row get one."""
    for row in rows:
        if not row.get("empty_layer"):
            if layers:
                layers -= 1
            else:
                row["empty_layer"] = True
        row.setdefault("created", made)
    return rows + [{"created": made, "comment": "buildkit.exporter.image.v0"}] * layers
