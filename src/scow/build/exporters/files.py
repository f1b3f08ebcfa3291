"""`type=local` and `type=tar`: the files of a result, sent to the client that asked. Stores nothing."""

import contextlib
from collections.abc import Mapping

from scow.archive.workers import Root
from scow.build.exporters.results import Target
from scow.build.refs import Refs
from scow.build.session import filesend
from scow.build.session.registry import Sessions
from scow.build.solver.step import step
from scow.errors import Unsupported


async def local(refs: Refs, sessions: Sessions, target: Target, number: int, attrs: Mapping[str, str]) -> None:
    """Send the tree to output `number` of the client; of several platforms each into a directory of its own (`platform-split=false`:
    over each other)."""
    session = await sessions.get(target.session)
    split = attrs.get("platform-split", "true") not in ("false", "0")
    async with step(target.progress, "exporting to client directory") as told, contextlib.AsyncExitStack() as open_:
        trees = await target.trees()
        parts = [(key.replace("/", "_") if split else "", await open_.enter_async_context(refs.view(tree))) for key, tree in trees.items()]
        sent = 0

        def progress(size: int) -> None:
            nonlocal sent
            sent = size
            told.status("copying files", current=size)

        for folder, root in parts:
            await filesend.send_tree(session.begin, number, root, {}, progress, folder)
        told.status("copying files", current=sent, completed=True)


async def tar(refs: Refs, sessions: Sessions, target: Target, number: int) -> None:
    """Send the tree as a tar. Raises Unsupported for several platforms."""
    session = await sessions.get(target.session)
    trees = list((await target.trees()).values())
    if len(trees) != 1:
        raise Unsupported("an output of type tar holds one platform: use type=local or type=oci for several")
    async with step(target.progress, "exporting to client tarball") as told, refs.view(trees[0]) as root:
        with told.part("sending tarball"):
            await filesend.send_file(session.begin, number, refs.images.workers.pack(Root(root), "/", rebase=""), {})
