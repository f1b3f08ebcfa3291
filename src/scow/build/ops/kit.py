"""What ops work with. Built by `buildkit.py`; `kit.content` is the solver's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scow.archive.workers import Workers
from scow.build import contenthash, copying
from scow.build.cachemounts import CacheMounts
from scow.build.contenthash import Selector
from scow.build.copying import Step
from scow.build.executor import Executor
from scow.build.llb.ops import Copy
from scow.build.ops.sessions import Sessions
from scow.build.refs import Refs, TreeRef
from scow.build.solver.cachestore import combine
from scow.build.solver.types import Dependency, Result
from scow.errors import NotFound, Unsupported
from scow.images.service import ImageService
from scow.metadata import Database


@dataclass(slots=True)
class Kit:
    """Services of the engine that ops use. `sessions` None: builds have no client to ask."""

    refs: Refs
    images: ImageService
    executor: Executor
    caches: CacheMounts
    db: Database
    scratch: Path
    """Where downloads and checkouts are worked on, below the data directory; emptied at boot."""
    sessions: Sessions | None = None
    entitlements: frozenset[str] = frozenset({"network.host"})
    """What builds of this engine may ask for at all."""
    proxies: Mapping[str, str] | None = None

    @property
    def workers(self) -> Workers:
        """The archive workers."""
        return self.images.workers

    def client(self) -> Sessions:
        """The clients of builds. Raises Unsupported."""
        if self.sessions is None:
            raise Unsupported("this build has no client to ask for files and secrets")
        return self.sessions

    async def content(self, result: Result, dependency: Dependency) -> str:
        """The digest of what a vertex reads of a tree, remembered as long as the tree. Raises NotFound (`"/x": not found`)."""
        reads = [Selector(one.path, one.wildcard, one.follow, one.include, one.exclude) for one in dependency.reads] or [Selector("/")]
        if not isinstance(result, TreeRef):
            async with self.refs.view(None) as empty:
                return await self._digest(empty, reads, dependency)
        name = combine([repr(one) for one in reads])
        known = self.refs.remembered(result, name)
        if known:
            return known
        async with self.refs.view(result) as tree:
            digest = await self._digest(tree, reads, dependency)
        self.refs.remember(result, name, digest)
        return digest

    async def _digest(self, tree: Path, reads: list[Selector], dependency: Dependency) -> str:
        found = await contenthash.find(self.workers, tree, reads)
        named = {one.selector for one in found}
        for number, read in enumerate(dependency.reads):
            if number not in named and not read.wildcard and not read.optional:
                raise NotFound(f'"{read.path}": not found')
        return contenthash.combined(found)

    async def frozen(self, result: Result) -> TreeRef | None:
        """A tree that others may stand on: a client's directory becomes a snapshot first."""
        if not isinstance(result, TreeRef):
            return None
        return await self.refs.freeze(result, self.copy_all, "copy of a directory")

    async def copy_all(self, source: Path, destination: Path) -> None:
        """Everything in one directory into another."""
        await copying.run(self.workers, destination, [Step(Copy("/", "/", dir_copy_contents=True, create_dest_path=True))], [source])
