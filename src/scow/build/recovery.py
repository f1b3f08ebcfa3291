"""The boot of the build cache: what a crash left is taken away, rows without a tree go, trees without a row go. Called by `service.py`."""

from __future__ import annotations

import contextlib
import os

from scow import aio
from scow.build.refs import SOURCE, Refs
from scow.kernel import mounts


async def recover(refs: Refs) -> None:
    """After images were recovered and before the first build."""
    places = await aio.in_pool(_unmounted, str(refs.run))
    if places:
        await refs.images.workers.run({"job": "remove", "paths": places})
    _forget_rows(refs)
    await _remove_snapshots(refs)
    directories = {str(row["dir"]) for row in refs.table.all().values() if row["dir"]}
    gone = [entry.path for entry in os.scandir(refs.trees) if entry.name not in directories]
    if gone:
        refs.clear_later(gone)


def _unmounted(run: str) -> list[str]:
    """Unmount what steps had mounted; the places that may be removed now."""
    for target in mounts.below(run):
        with contextlib.suppress(OSError):
            mounts.unmount_any(target)
    held = mounts.below(run)  # what could not be unmounted is not walked into
    return [entry.path for entry in os.scandir(run) if not any(f"{one}/".startswith(f"{entry.path}/") for one in held)]


def _forget_rows(refs: Refs) -> None:
    torn = refs.disk.torn()
    with refs.db.update():
        for id, row in refs.table.all().items():
            place = refs.directory(int(row["dir"])).is_dir() if row["dir"] else refs.snapshots.exists(str(row["snapshot"]))
            whole = place and not (torn and row["snapshot"])
            if not whole or (row["type"] == SOURCE and not row.get("key")):
                refs.table.delete(id)
                refs.digests.delete(id)


async def _remove_snapshots(refs: Refs) -> None:
    """Those that have no row, from the top down."""
    known = {str(row["snapshot"]) for row in refs.table.all().values()}
    loose = [name for name in refs.snapshots.built() if name not in known]
    while loose:
        parents = refs.snapshots.parents()
        free = [name for name in loose if name not in parents]
        if not free:
            return
        for name in free:
            await refs.snapshots.remove(name)
        loose = [name for name in loose if name in parents]
