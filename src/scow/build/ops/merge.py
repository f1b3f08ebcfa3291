"""`MergeOp` and `DiffOp`: trees laid over each other, and what one has that another has not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scow.build.layers import apply, compare
from scow.build.llb.ops import EMPTY, DiffOp, MergeOp, digest_of
from scow.build.ops.kit import Kit
from scow.build.refs import TreeRef
from scow.build.solver.types import CacheMap, JobContext, Result


class Merge:
    """The trees of the inputs, the last one on top; deletions in a tree that stands on nothing mean nothing."""

    weight = 0

    def __init__(self, kit: Kit, op: MergeOp) -> None:
        self._kit = kit
        self._op = op

    async def cache_map(self, job: JobContext) -> CacheMap:
        """By the definitions of the inputs."""
        return CacheMap(digest_of(self._op, (), None))

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """The first tree as it is, the layers of the others on top of it."""
        chosen = [await self._kit.frozen(inputs[index]) for index in self._op.inputs if 0 <= index < len(inputs)]
        trees = [tree for tree in chosen if tree is not None]
        if not trees:
            return [None]
        result = trees[0]
        for tree in trees[1:]:
            for path in self._paths(tree):
                draft = self._kit.refs.draft(result, description="merge")
                try:
                    await apply(self._kit.workers, path, await draft.tree())
                    result = await draft.commit()
                except BaseException:
                    await draft.discard()
                    raise
        return [result]

    def _paths(self, tree: TreeRef) -> list[Path]:
        return [self._kit.refs.snapshots.path(name) for name in self._kit.refs.lineage(tree)]


class Diff:
    """What `upper` has that `lower` has not, as a tree of its own (deletions are kept as marks)."""

    weight = 0

    def __init__(self, kit: Kit, op: DiffOp) -> None:
        self._kit = kit
        self._op = op

    async def cache_map(self, job: JobContext) -> CacheMap:
        """By the definitions of the inputs."""
        return CacheMap(digest_of(self._op, (), None))

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Layers of `upper` above `lower` when it stands on it, else a comparison of the two."""
        kit, op = self._kit, self._op
        upper = await kit.frozen(inputs[op.upper]) if op.upper != EMPTY else None
        lower = await kit.frozen(inputs[op.lower]) if op.lower != EMPTY else None
        if upper is None:
            return [None]
        if lower is None:
            return [upper]
        above = kit.refs.lineage(upper)
        below = kit.refs.lineage(lower)
        parts = [kit.refs.snapshots.path(name) for name in above[len(below) :]]  # names change when an export makes layers of them
        draft = kit.refs.draft(None, description="diff")
        try:
            own = await draft.tree()
            if above[: len(below)] == below:
                for part in parts:
                    await apply(kit.workers, part, own, marks=True)
            else:
                async with kit.refs.view(lower) as low, kit.refs.view(upper) as high:
                    await compare(kit.workers, low, high, own)
            return [await draft.commit()]
        except BaseException:
            await draft.discard()
            raise
