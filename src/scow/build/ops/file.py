"""`FileOp`: copies and small changes to trees, one action after the other.

Actions that follow each other on one tree are done in one snapshot; a result that is read or changed twice is committed in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from scow.build import copying
from scow.build.copying import CopyError, Step
from scow.build.llb.ops import EMPTY, Copy, FileAction, FileOp, Owner, Vertex, digest_of
from scow.build.ops.kit import Kit
from scow.build.refs import Draft, TreeRef
from scow.build.solver.types import BuildError, CacheMap, Dependency, JobContext, Read, Result


@dataclass(slots=True)
class _Open:
    """A tree that actions are done in: those that wait to be done, and the trees they read."""

    draft: Draft
    path: Path
    steps: list[Step] = field(default_factory=list)
    sources: list[Path] = field(default_factory=list)


class File:
    """Does the actions of one vertex."""

    weight = 0

    def __init__(self, kit: Kit, vertex: Vertex, op: FileOp) -> None:
        self._kit = kit
        self._op = op
        self._name = vertex.meta.name
        self._inputs = len(vertex.inputs)

    async def cache_map(self, job: JobContext) -> CacheMap:
        """Trees that are only read count by what is read of them."""
        changed: set[int] = set()
        reads: dict[int, list[Read]] = {}
        for one in self._op.actions:
            if 0 <= one.input < self._inputs:
                changed.add(one.input)
            action = one.action
            if isinstance(action, Copy) and 0 <= one.secondary < self._inputs:
                patterns = (action.include_patterns, action.exclude_patterns)
                reads.setdefault(one.secondary, []).append(Read(action.src, action.allow_wildcard, action.follow_symlink, *patterns))
            if action_owner := getattr(action, "owner", None):
                changed.update(n for n in (action_owner.user_lookup, action_owner.group_lookup) if 0 <= n < self._inputs)
        deps = tuple(
            Dependency(content=number not in changed and number in reads, reads=tuple(reads.get(number, ())))
            for number in range(self._inputs)
        )
        return CacheMap(digest_of(self._op, (), None), deps)

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Do it."""
        work = _Work(self._kit, self._op, inputs, self._name)
        try:
            async with work.stack:
                return await work.run()
        except CopyError as error:
            raise BuildError(error.message) from error
        finally:
            await work.discard()


class _Work:
    """One run. Indexes below the number of inputs name those, the others the results of actions."""

    def __init__(self, kit: Kit, op: FileOp, inputs: Sequence[Result], name: str) -> None:
        self._kit = kit
        self._op = op
        self._name = name
        self._inputs = inputs
        self._results: dict[int, _Open | TreeRef | None] = {}
        self._drafts: list[Draft] = []
        self.stack = AsyncExitStack()
        self._views: dict[str, Path] = {}
        self._changed = Counter(one.input for one in op.actions)
        self._read = {one.secondary for one in op.actions if isinstance(one.action, Copy)}
        for one in op.actions:
            if owner := getattr(one.action, "owner", None):
                self._read |= {owner.user_lookup, owner.group_lookup}

    async def run(self) -> list[Result]:
        """Every action in its order; the outputs."""
        count = len(self._inputs)
        outputs: dict[int, int] = {}
        for number, one in enumerate(self._op.actions):
            index = count + number
            if not all(at < index for at in (one.input, one.secondary)):
                raise BuildError("a file action names the result of a later one")
            tree = await self._tree(one.input)
            await self._add(tree, one)
            self._results[index] = tree
            if one.output >= 0:
                if one.output > len(self._op.actions) or one.output in outputs:
                    raise BuildError("file actions with outputs that make no sense")
                outputs[one.output] = index
        made: list[Result] = []
        for output in range(len(outputs)):
            if output not in outputs:
                raise BuildError("file actions with outputs that make no sense")
            made.append(await self._commit(outputs[output]))
        return made

    async def _tree(self, index: int) -> _Open:
        """What an action changes: the tree of the action before it when nobody else needs that, else a new one on top."""
        found = self._results.get(index)
        if isinstance(found, _Open):
            others = (
                self._changed[index] > 1
                or index in self._read
                or any(one.output >= 0 for n, one in enumerate(self._op.actions) if len(self._inputs) + n == index)
            )
            if not others:
                return found
            found = await self._commit(index)
        elif 0 <= index < len(self._inputs):
            found = await self._kit.frozen(self._inputs[index])
        draft = self._kit.refs.draft(found, description=self._name)
        self._drafts.append(draft)
        return _Open(draft, await draft.tree())

    async def _add(self, tree: _Open, one: FileAction) -> None:
        action = one.action
        owner: Owner | None = getattr(action, "owner", None)
        if owner is not None:
            lookups = [await self._lookup(tree, at, one.input) for at in (owner.user_lookup, owner.group_lookup)]
            action = replace(action, owner=replace(owner, user_lookup=lookups[0], group_lookup=lookups[1]))  # type: ignore[arg-type]
        source = 0
        if isinstance(action, Copy):
            source = self._source(tree, await self._view(one.secondary))
        tree.steps.append(Step(action, source))

    async def _lookup(self, tree: _Open, index: int, base: int) -> int:
        if index in (EMPTY, base):
            return EMPTY
        return self._source(tree, await self._view(index))

    @staticmethod
    def _source(tree: _Open, path: Path) -> int:
        if path not in tree.sources:
            tree.sources.append(path)
        return tree.sources.index(path)

    async def _view(self, index: int) -> Path:
        result: Result
        if index == EMPTY:
            result = None
        elif index < len(self._inputs):
            result = self._inputs[index]
        else:
            result = await self._commit(index)
        key = result.id if result is not None else ""
        if key not in self._views:
            self._views[key] = await self.stack.enter_async_context(self._kit.refs.view(result))
        return self._views[key]

    async def _commit(self, index: int) -> TreeRef | None:
        found = self._results.get(index)
        if not isinstance(found, _Open):
            return found
        await copying.run(self._kit.workers, found.path, found.steps, found.sources)
        ref = await found.draft.commit()
        for key, value in self._results.items():
            if value is found:
                self._results[key] = ref
        return ref

    async def discard(self) -> None:
        """Throw away what was not committed."""
        for draft in self._drafts:
            await draft.discard()
