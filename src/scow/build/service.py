"""Builds by BuildKit's doors, and the build cache: what `api/` and the wiring see. The classic builder is `classic/service.py`.

Stored: trees below `<data>/build/trees`, rows in `build_refs`, `build_cache`, `build_digests`. What builds (solver, ops, protobuf) is made
when the first client comes: a daemon that never builds does not load it.
"""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import aio
from scow.build import recovery
from scow.build.refs import Refs
from scow.build.usage import ACCEPTED, Prune, Usage, entitlements, policy
from scow.errors import ScowError
from scow.events import EventBus
from scow.images.service import ImageService
from scow.metadata import Database
from scow.network.service import NetworkService
from scow.runtime.task import TaskManager

if TYPE_CHECKING:
    from scow.build.buildkit import BuildKit
    from scow.build.executor import Defaults


class BuildService:
    """One for the daemon."""

    filters = ACCEPTED

    def __init__(
        self,
        data: Path,
        run: Path,
        db: Database,
        images: ImageService,
        bus: EventBus,
        tasks: TaskManager,
        network: NetworkService,
        builder: Mapping[str, Any],
        id: str,
        defaults: "Callable[[], Defaults]",
    ) -> None:
        """`data`, `run`: the engine's directories; `builder`: daemon.json's key of that name; `id`: the engine's; `defaults`: what steps
        take from the daemon's options. Raises InvalidArgument."""
        self.id, self.defaults = id, defaults
        self.data, self.run, self.db, self.images, self.tasks, self.network = data, run, db, images, tasks, network
        self._bus = bus
        self.refs = Refs(data / "build", run / "build", db, images)
        self.usage = Usage(self.refs)
        self.usage.policy = policy(builder, shutil.disk_usage(data).total)
        self.entitlements = entitlements(builder)
        self._kit: BuildKit | None = None
        self._making = asyncio.Lock()
        self._pruning = asyncio.Lock()

    def gateway(self) -> str:
        """The address at which containers of the default network reach the host, "" = unknown."""
        with contextlib.suppress(ScowError, LookupError, TypeError):
            return str(self.network.inspect("bridge")["IPAM"]["Config"][0]["Gateway"])
        return ""

    async def kit(self) -> "BuildKit":
        """What builds; made at the first call."""
        async with self._making:
            if self._kit is None:
                self._kit = await self._make()
            return self._kit

    async def _make(self) -> "BuildKit":
        module = await aio.in_pool(_import)
        made: BuildKit = module.BuildKit(self)
        return made

    # --- doors

    async def grpc(self, sock: socket.socket, early: bytes) -> None:
        """Serve BuildKit's API on a connection until its client leaves. `sock` is non-blocking; it is closed here."""
        await (await self.kit()).doors.grpc(sock, early)

    async def check_session(self, headers: dict[str, Any]) -> None:
        """Raises InvalidArgument when the headers of `/session` lack what is needed."""
        (await self.kit()).doors.check(headers)

    async def session(self, sock: socket.socket, early: bytes, headers: dict[str, Any]) -> None:
        """Keep a client's session until it leaves."""
        await (await self.kit()).doors.session(sock, early, headers)

    async def legacy(self, fields: dict[str, Any], write: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """`POST /build?version=2`: `fields` of a `LegacyRequest`; each JSON object of the answer goes to `write`."""
        await (await self.kit()).doors.legacy(fields, write)

    # --- the cache

    async def disk_usage(self) -> list[dict[str, Any]]:
        """Docker's BuildCache rows."""
        return [row.view() for row in await self.usage.rows()]

    async def prune(
        self, filters: Mapping[str, Sequence[str]], *, all: bool = False, reserved: int = 0, max_used: int = 0, min_free: int = 0
    ) -> dict[str, Any]:
        """Remove what no build needs and what fits the filters; Docker's reply. Sizes are bytes, 0 = no bound."""
        gone = await self.usage.prune(Prune(all=all, filters=filters, reserved=reserved, max_used=max_used, min_free=min_free))
        size = sum(row.size for row in gone)
        self._bus.publish("builder", "prune", "", {"reclaimed": str(size)})
        return {"CachesDeleted": [row.id for row in gone], "SpaceReclaimed": size}

    # --- life

    def pin(self) -> None:
        """At boot, before images are recovered: the layers the cache keeps."""
        self.refs.pin()

    async def recover(self) -> None:
        """At boot, after images were recovered."""
        await recovery.recover(self.refs)
        scratch = self.data / "build" / "scratch"
        if scratch.exists():  # downloads and checkouts that a crash left
            await self.images.workers.run({"job": "remove", "paths": [str(scratch)]})

    async def close(self) -> None:
        """End all builds."""
        if self._kit is not None:
            await self._kit.close()
        await self.usage.close()
        await self.refs.close()


def _import() -> Any:
    from scow.build import buildkit

    return buildkit
