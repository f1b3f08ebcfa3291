"""What the server does beside serving: retention and garbage collection at intervals, uploads that expire, pulls written down."""

import asyncio
import contextlib
import sqlite3

from scow import aio, log
from scow.registryd import gc, retention
from scow.registryd.ask import Parts
from scow.registryd.retention import Rule

logger = log.get(__name__)

_FLUSH_SECONDS = 60.0
_EXPIRE_SECONDS = 1800.0
_REPORT_EVERY = 10_000  # blobs


class Upkeep:
    """Runs until it is cancelled."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = False

    def stop(self) -> None:
        """A collection under way ends at its next step."""
        self._stopping = True

    async def run(self) -> None:
        """For ever."""
        left = float(self._parts.options.gc_seconds)
        expire = _EXPIRE_SECONDS
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            left -= _FLUSH_SECONDS
            expire -= _FLUSH_SECONDS
            with contextlib.suppress(sqlite3.Error, OSError):
                await aio.in_pool(self._parts.store.flush)
                if expire <= 0:
                    expire = _EXPIRE_SECONDS
                    await self._parts.uploads.expire(self._parts.options.upload_seconds)
            if self._parts.options.gc_seconds and left <= 0:
                left = float(self._parts.options.gc_seconds)
                try:
                    await self.once()
                except (sqlite3.Error, OSError) as error:
                    logger.error("upkeep failed: %s", error)

    async def once(self) -> gc.Progress:
        """One round. Raises sqlite3.Error, OSError."""
        parts, options = self._parts, self._parts.options
        await parts.uploads.expire(options.upload_seconds)
        await aio.in_pool(parts.store.flush)
        rules = retention.Rules(parts.store.db).all() + mirror_rules(parts)
        if rules:
            removals = await aio.in_pool(lambda: list(retention.planned(parts.store, rules)))
            count = await aio.in_pool(retention.apply, parts.store, removals)
            if count:
                logger.info("retention removed %d tags and manifests", count)
        progress = await aio.in_pool(gc.collect, parts.store, float(options.grace_seconds), self._report, lambda: self._stopping)
        parts.metrics.add("gc_runs_total")
        parts.metrics.add("gc_blobs_removed_total", progress.removed + progress.strays)
        parts.metrics.add("gc_bytes_removed_total", progress.bytes)
        logger.info("garbage collection: %d of %d blobs removed, %d bytes", progress.removed, progress.total, progress.bytes)
        return progress

    @staticmethod
    def _report(progress: gc.Progress) -> None:
        if progress.scanned % _REPORT_EVERY == 0 and progress.scanned:
            logger.info("garbage collection: %d of %d blobs looked at, %d removed", progress.scanned, progress.total, progress.removed)


def mirror_rules(parts: Parts) -> list[Rule]:
    """Copies of upstream content go when nobody has pulled them for long."""
    seconds = parts.options.mirror_keep_seconds
    return [Rule(-1 - at, f"{one.prefix}/**", unused=seconds) for at, one in enumerate(parts.options.upstreams) if seconds]
