"""What `/system/df` says. Calls at the same time share one computation: measuring trees is work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from scow.aio import Supervisor

Part = Callable[[], Awaitable[Any]]


class Usage:
    """Disk usage of images, containers, volumes and the build cache; the parts are given by wiring."""

    def __init__(self, images: Part, containers: Part, volumes: Part, tasks: Supervisor, builds: Part) -> None:
        """`images` gives {"Images", "LayersSize"}, `containers`, `volumes` and `builds` (the build cache) give lists."""
        self._parts = {"image": images, "container": containers, "volume": volumes, "build-cache": builds}
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

    async def document(self, kinds: frozenset[str]) -> dict[str, Any]:
        """The reply for these kinds (image, container, volume, build-cache); the others are null."""
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
