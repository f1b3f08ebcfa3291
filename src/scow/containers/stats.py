"""`docker stats`: samples of a running container, once a second or once. Nothing is stored; each client has its own clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from scow.containers.container import Container
from scow.units import ZERO_TIME, rfc3339nano

if TYPE_CHECKING:
    from scow.containers.parts import Parts

_SECOND = 1.0

Sampler = Callable[[Container], dict[str, Any]]


def _cpu(full: bool = True) -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def empty(container: Container) -> dict[str, Any]:
    """The document of a container that doesn't run."""
    return {
        "read": ZERO_TIME,
        "preread": ZERO_TIME,
        "pids_stats": {},
        "blkio_stats": {
            "io_service_bytes_recursive": None,
            "io_serviced_recursive": None,
            "io_queue_recursive": None,
            "io_service_time_recursive": None,
            "io_wait_time_recursive": None,
            "io_merged_recursive": None,
            "io_time_recursive": None,
            "sectors_recursive": None,
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(),
        "precpu_stats": _cpu(),
        "memory_stats": {},
        "name": f"/{container.name}",
        "id": container.id,
    }


class StatsService:
    """Makes the documents."""

    def __init__(self, parts: "Parts", sampler: Sampler) -> None:
        """`sampler(container)` reads the kernel: Docker's stats document but for read, preread, precpu_stats, name and id.

        It raises FileNotFoundError when the container's group is gone.
        """
        self._parts = parts
        self._sampler = sampler

    def _sample(self, container: Container, before: dict[str, Any] | None) -> dict[str, Any]:
        """A document; `before` is the one it is compared with."""
        out = empty(container)
        if not container.state.alive:
            return out
        try:
            out.update(self._sampler(container))
        except (FileNotFoundError, ProcessLookupError):
            return out
        out["read"] = rfc3339nano(time.time_ns())
        out["name"], out["id"] = f"/{container.name}", container.id
        if before is not None and before["read"] != ZERO_TIME:
            out["preread"], out["precpu_stats"] = before["read"], before["cpu_stats"]
        else:
            out["preread"], out["precpu_stats"] = ZERO_TIME, _cpu()
        return out

    async def once(self, container: Container, one_shot: bool = False) -> dict[str, Any]:
        """One document; unless `one_shot` two samples a second apart, so that precpu_stats is filled. At once when it doesn't run."""
        first = self._sample(container, None)
        if one_shot or first["read"] == ZERO_TIME:
            return first
        gone = container.waiter("not-running")
        try:
            await asyncio.wait({gone}, timeout=_SECOND)
        finally:
            gone.cancel()
        return self._sample(container, first)

    async def stream(self, container: Container) -> AsyncIterator[dict[str, Any]]:
        """A document a second until the container is removed; while it doesn't run they are empty ones."""
        removed = container.waiter("removed")
        before: dict[str, Any] | None = None
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while not removed.done():
                before = self._sample(container, before)
                yield before
                due = max(due + _SECOND, loop.time())
                await asyncio.wait({removed}, timeout=max(0.0, due - loop.time()))
        finally:
            removed.cancel()
