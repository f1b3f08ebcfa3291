"""Layers laid over trees, and trees compared: the door to `layerwork.py`, which does it in an archive worker. For merge and diff."""

from __future__ import annotations

import os
from pathlib import Path

from scow.archive.workers import Workers
from scow.errors import InvalidArgument


async def _run(workers: Workers, job: str, root: Path, trees: list[Path], **more: bool) -> None:
    fds: list[int] = []
    try:
        for tree in trees:
            fds.append(os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))  # noqa: PERF401
        answer = await workers.run({"job": f"scow.build.layerwork:{job}", "root": str(root), **more}, fds)
    finally:
        for fd in fds:
            os.close(fd)
    if "refused" in answer:
        raise InvalidArgument(str(answer["refused"]))


async def apply(workers: Workers, layer: Path, tree: Path, marks: bool = False) -> None:
    """Lay the files of a layer (with overlay's marks for what it deletes) over a tree. `marks`: keep the marks instead of deleting."""
    await _run(workers, "do_apply", tree, [layer], marks=marks)


async def compare(workers: Workers, lower: Path, upper: Path, out: Path) -> None:
    """Write into the empty directory `out` the layer that makes `upper` of `lower`."""
    await _run(workers, "do_compare", out, [lower, upper])
