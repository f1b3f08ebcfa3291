"""`RUN --mount=type=cache`: directories that steps share from build to build.

Stored: a row in `build_refs` of type `exec.cachemount` with its key, the files in `<data>/build/trees/<n>/fs`. Used by `ops/exec.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from scow import aio
from scow.build import rows
from scow.build.llb.ops import Sharing
from scow.build.refs import CACHE_MOUNT, Refs, TreeRef, new_id

Fill = Callable[[Path], Awaitable[None]]


class CacheMounts:
    """Finds and lends the directories of cache mounts."""

    def __init__(self, refs: Refs) -> None:
        self._refs = refs
        self._locks = aio.KeyedLock()
        self._making = aio.KeyedLock()

    @asynccontextmanager
    async def use(self, key: str, sharing: Sharing, fill: Fill | None, description: str) -> AsyncIterator[Path]:
        """The directory of a key: for all at once (shared), for one after the other (locked), or one that nobody else has (private).

        A new one is filled by `await fill(directory)`."""
        if sharing == Sharing.LOCKED:
            async with self._locks(key):
                async with self._lent(key, True, fill, description) as place:
                    yield place
            return
        async with self._lent(key, sharing == Sharing.SHARED, fill, description) as place:
            yield place

    @asynccontextmanager
    async def _lent(self, key: str, together: bool, fill: Fill | None, description: str) -> AsyncIterator[Path]:
        async with self._making(key):
            ref = self._find(key, together)
            if ref is None:
                ref = await self._make(key, fill, description)
            self._refs.hold(ref)
        try:
            assert ref.directory is not None
            yield ref.directory
        finally:
            self._refs.release(ref)
            self._refs.forget_size(ref.id)

    def _find(self, key: str, together: bool) -> TreeRef | None:
        for id, row in self._refs.table.by(rows.KEY, key).items():
            if row["type"] == CACHE_MOUNT and (together or not self._refs.held(id)):
                ref = self._refs.find(id)
                if ref is not None and ref.directory is not None and ref.directory.is_dir():
                    self._refs.touch(id)
                    return ref
        return None

    async def _make(self, key: str, fill: Fill | None, description: str) -> TreeRef:
        number = self._refs.new_directory()
        place = self._refs.directory(number)
        try:
            os.chmod(place, 0o755)
            if fill is not None:
                await fill(place)
        except BaseException:
            await self._refs.images.workers.run({"job": "remove", "paths": [str(place.parent)]})
            raise
        return self._refs.add(new_id(), "", None, CACHE_MOUNT, description, number, key=key)
