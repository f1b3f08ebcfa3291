"""A client's directory, brought here and kept up to date: the call of FileSync, and the record of what a tree holds.

Beside each tree lies `<tree>.stats`: what `filesync.Tree` dumps. It is removed before the tree is changed and written when it is
whole, so a tree without a record is one that was left half-way: it is emptied and fetched anew.
"""

import contextlib
import os
import shutil
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from scow import aio
from scow.build.ops.sessions import LocalRequest
from scow.build.session import filesync, rpc
from scow.errors import NotFound

PATH = "/moby.filesync.v1.FileSync/DiffCopy"
_MAX_RECORD = 1 << 30


def metadata(request: LocalRequest) -> dict[str, str | list[str]]:
    """The headers of a request; values that are not ASCII are escaped, which a header of its own says."""
    made: dict[str, str | list[str]] = {"dir-name": [request.name]}
    for key, values in (("include-patterns", request.include), ("exclude-patterns", request.exclude), ("followpaths", request.follow)):
        if values:
            made[key] = list(values)
    for key, listed in list(made.items()):
        if not all(value.isascii() and value.isprintable() for value in listed):
            made[key] = [urllib.parse.quote_plus(value, safe="") for value in listed]
            made[f"{key}-encoded"] = ["1"]
    return made


def record_of(tree: Path) -> Path:
    """Where the record of a tree lies."""
    return tree.with_name(tree.name + ".stats")


def _load(tree: Path) -> filesync.Tree | None:
    with contextlib.suppress(OSError, ValueError):
        if record_of(tree).stat().st_size <= _MAX_RECORD and tree.is_dir():
            return filesync.Tree.load(record_of(tree).read_bytes())
    return None


def _empty(tree: Path, whole: bool) -> None:
    """Make ready for changes: no record, and nothing left of a tree that is not whole."""
    record_of(tree).unlink(missing_ok=True)
    tree.mkdir(parents=True, exist_ok=True)
    if not whole:
        with os.scandir(tree) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    shutil.rmtree(one.path)
                else:
                    os.unlink(one.path)


def _save(tree: Path, made: filesync.Tree) -> None:
    new = record_of(tree).with_suffix(".new")
    new.write_bytes(made.dump())
    new.replace(record_of(tree))


async def sync(
    begin: Callable[[str, dict[str, str | list[str]]], rpc.Call], request: LocalRequest, tree: Path, progress: Callable[[int], None]
) -> bool:
    """Make `tree` like the client's directory; whether anything changed. `begin(path, metadata)` starts a call of the client's session."""
    previous = await aio.in_pool(_load, tree) if request.differ != "none" else None

    async def root() -> Path:
        await aio.in_pool(_empty, tree, previous is not None)
        return tree

    try:
        call = begin(PATH, metadata(request))
    except NotFound:
        raise NotFound(f"the client offers no files: {request.name!r} cannot be read") from None
    try:
        made, changed = await filesync.receive(call, previous, root, lambda size, done: progress(size))
    except rpc.RpcError as error:
        if error.code in (rpc.NOT_FOUND, rpc.UNKNOWN, rpc.INVALID) and "not found" in error.message.lower():
            raise NotFound(error.message) from None
        raise
    finally:
        call.reset()
    if previous is None and not changed:
        await root()
        changed = True
    if changed or previous is None or previous.stream != made.stream:
        await aio.in_pool(_save, tree, made)
    return changed
