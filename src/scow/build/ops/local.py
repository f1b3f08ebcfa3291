"""`local://name`: a directory of the client, kept here and brought up to date for each build.

The tree stays in the cache between builds (a row of type source.local); while a build has it, another of the same client gets its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from scow.build.llb.ops import LOCAL, SourceOp, Vertex
from scow.build.ops.kit import Kit
from scow.build.ops.sessions import LocalRequest, Sessions
from scow.build.refs import new_id
from scow.build.solver.cachestore import combine
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.errors import InvalidArgument, NotFound

_OTHER_SESSION_SECONDS = 1.0


def _list(attrs: Mapping[str, str], key: str) -> tuple[str, ...]:
    text = attrs.get(key, "")
    if not text:
        return ()
    try:
        found = json.loads(text)
    except ValueError:
        raise InvalidArgument(f"invalid {key} of a local source: a list in JSON is needed") from None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InvalidArgument(f"invalid {key} of a local source: a list of texts is needed")
    return tuple(found)


class Local:
    """Brings a client's directory here."""

    weight = 0

    def __init__(self, kit: Kit, vertex: Vertex, op: SourceOp) -> None:
        self._kit = kit
        self._op = op
        self._name = op.identifier.removeprefix(LOCAL)

    async def cache_map(self, job: JobContext) -> CacheMap:
        """Never the same: what is read of it decides."""
        return CacheMap("local " + new_id(), no_cache=True)

    async def _session(self, client: Sessions, job: JobContext) -> tuple[str, str]:
        """The session to read from, and its shared key: the one that the graph names, or the asking one when that has left (buildx solves
        a graph again in a later session)."""
        named = self._op.attrs.get("local.session") or job.session
        if named == job.session:
            return named, await client.shared_key(named)
        try:
            async with asyncio.timeout(_OTHER_SESSION_SECONDS):
                return named, await client.shared_key(named)
        except (TimeoutError, NotFound):
            return job.session, await client.shared_key(job.session)

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Bring the tree up to date; it is this build's until nobody needs it."""
        kit, attrs = self._kit, self._op.attrs
        request = LocalRequest(
            self._name,
            _list(attrs, "local.includepattern"),
            _list(attrs, "local.excludepatterns"),
            _list(attrs, "local.followpaths"),
            attrs.get("local.differ", ""),
        )
        client = kit.client()
        session, shared = await self._session(client, job)
        hint = attrs.get("local.sharedkeyhint", "")
        key = combine("local", self._name, hint, shared, request.include, request.exclude, request.follow) if shared or hint else ""
        ref = kit.refs.take_source(key, f"local source for {self._name}")
        job.defer(lambda: kit.refs.release_source(ref))
        assert ref.directory is not None
        label = f"transferring {self._name}:"

        sent = 0

        def progress(size: int) -> None:
            nonlocal sent
            sent = size
            job.status(label, current=size)

        changed = True
        try:
            changed = await client.sync(session, request, ref.directory, progress)
        finally:
            if changed:
                kit.refs.forget_digests(ref.id)
                kit.refs.forget_size(ref.id)
        job.status(label, current=sent, completed=True)
        return [ref]
