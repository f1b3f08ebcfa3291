"""`docker stats`: samples of a running container, once a second or once. Nothing is stored; each client has its own clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from scow.containers.container import Container
from scow.containers.exec import read_spec
from scow.errors import Conflict
from scow.runtime import stats as runtime_stats
from scow.units import ZERO_TIME, rfc3339nano

if TYPE_CHECKING:
    from scow.containers.parts import Parts
    from scow.kernel.cgroups import Manager

_SECOND = 1.0
_MAX_KEPT = 10_000

Sampler = Callable[[Container], dict[str, Any]]


def empty(container: Container) -> dict[str, Any]:
    """The document of a container that doesn't run."""
    return {
        "read": ZERO_TIME,
        "preread": ZERO_TIME,
        **runtime_stats.empty(),
        "precpu_stats": runtime_stats.no_cpu(),
        "name": f"/{container.name}",
        "id": container.id,
    }


def kernel_sampler(manager: "Manager") -> Sampler:
    """Samples from the container's control group and network namespace."""
    groups: dict[str, tuple[int, str]] = {}

    def sample(container: Container) -> dict[str, Any]:
        started = container.state.started_ns
        kept = groups.get(container.id)
        if kept is None or kept[0] != started:
            if len(groups) > _MAX_KEPT:
                groups.clear()
            try:
                kept = groups[container.id] = (started, str(read_spec(container)["linux"]["cgroupsPath"]))
            except (Conflict, KeyError) as exc:
                raise FileNotFoundError("the container's bundle is gone") from exc
        pid = container.state.pid if container.host.network_mode != "host" else None
        return runtime_stats.sample(manager, kept[1], pid)

    return sample


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
            out["preread"], out["precpu_stats"] = ZERO_TIME, runtime_stats.no_cpu()
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
