"""What `/system/df` says; with `storage` also where the bytes on the disk are (storage.py).

Calls at the same time share one computation: measuring trees is work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from scow.aio import Supervisor
from scow.system.storage import rows

Part = Callable[[], Awaitable[Any]]


class Usage:
    """Disk usage of images, containers, volumes and the build cache; the parts are given by wiring."""

    def __init__(self, images: Part, containers: Part, volumes: Part, tasks: Supervisor, builds: Part, blocks: Part | None = None) -> None:
        """`images` gives {"Images", "LayersSize"}, `containers`, `volumes` and `builds` (the build cache) give lists.

        `blocks` gives bytes on disk by path below the data directory."""
        self._parts = {"image": images, "container": containers, "volume": volumes, "build-cache": builds}
        if blocks is not None:
            self._parts["blocks"] = blocks
        self._tasks = tasks
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def _part(self, kind: str) -> Any:
        task = self._running.get(kind)
        if task is None:
            task = self._running[kind] = self._tasks.start(self._compute(kind), f"df {kind}")
            task.add_done_callback(lambda _: self._running.pop(kind, None))
        return await asyncio.shield(task)

    async def _compute(self, kind: str) -> Any:
        return await self._parts[kind]()

    async def document(self, kinds: frozenset[str], storage: bool = False) -> dict[str, Any]:
        """The reply for these kinds (image, container, volume, build-cache); the others are null.

        `storage`: with the rows of storage.py under Storage, for which all kinds are measured."""
        if storage and "blocks" in self._parts:
            whole = await self.document(frozenset(self._parts))
            return whole | {"Storage": rows(await self._part("blocks"), whole)}
        out: dict[str, Any] = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None, "BuildCache": None}
        if "image" in kinds:
            out |= await self._part("image")
        if "container" in kinds:
            out["Containers"] = await self._part("container")
        if "volume" in kinds:
            out["Volumes"] = list(await self._part("volume"))
        if "build-cache" in kinds:
            out["BuildCache"] = await self._part("build-cache")
        return out
