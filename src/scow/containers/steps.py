"""Containers as steps of a classic build: made from an image, run once with their output told as it comes, removed.

Implements `build.classic.steps.StepRunner`; wiring binds the two. Stored: table `build_steps`, a row for each step's container until it is
removed or kept; those that a crash left `recover` removes at the next boot.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from scow import log
from scow.aio import Supervisor
from scow.containers.attach import AttachQuery, AttachService
from scow.containers.service import ContainerService
from scow.errors import NotFound, ScowError
from scow.metadata import Database
from scow.model import codec
from scow.model.container import CreateRequest

logger = log.get(__name__)

Output = Callable[[bytes, bool], Awaitable[None]]

_READ = 64 << 10
_HEADER = 8
_STDERR = 2


class StepContainers:
    """Runs steps."""

    def __init__(self, service: ContainerService, attach: AttachService, db: Database) -> None:
        self._service = service
        self._attach = attach
        self._rows = db.table("build_steps")
        self._ending = Supervisor("build steps")

    async def create(self, image: str, config: dict[str, Any], host: dict[str, Any]) -> str:
        """Make the container of a step from Docker's `config` and `HostConfig`; its id. Raises as `ContainerService.create`."""
        request = codec.decode(CreateRequest, {**config, "Image": image, "HostConfig": host})
        container_id, _ = await self._service.create(request)
        self._rows.put(container_id, {})
        return container_id

    async def run(self, container_id: str, output: Output) -> int:
        """Start the container and wait for its end; `output(data, is_stderr)` gets what it writes. Its exit code. Raises StartFailed."""
        container = self._service.get(container_id)
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            await self._attach.attach(container, AttachQuery(stream=True, stdout=True, stderr=True), theirs)
            ended = container.waiter("next-exit")
            try:
                await self._service.start(container_id)
                await _demultiplex(ours, output)
                return (await ended).code
            finally:
                ended.cancel()

    async def remove(self, container_id: str) -> None:
        """Kill and remove the container with its anonymous volumes, also when the caller is cancelled; absent is fine."""

        async def end() -> None:
            with contextlib.suppress(ScowError):
                await self._service.remove(container_id, force=True, volumes=True)
                self._rows.delete(container_id)

        await asyncio.shield(self._ending.start(end(), container_id[:12]))

    def keep(self, container_id: str) -> None:
        """The container stays when the build is over (`--rm=false`): it is the user's from now on."""
        self._rows.delete(container_id)

    async def recover(self) -> None:
        """At boot, after the containers' own recovery: remove the steps of builds that ended with the daemon."""
        for container_id in tuple(self._rows):
            try:
                await self._service.remove(container_id, force=True, volumes=True)
            except NotFound:
                pass
            except ScowError:
                logger.exception("the step %s of a build that is gone could not be removed", container_id[:12])
                continue
            self._rows.delete(container_id)


async def _demultiplex(sock: socket.socket, output: Output) -> None:
    """Docker's stream frames until the other side closes."""
    loop = asyncio.get_running_loop()
    buffer = b""
    while data := await loop.sock_recv(sock, _READ):
        buffer += data
        while len(buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(buffer[4:8], "big")
            if len(buffer) < end:
                break
            await output(buffer[_HEADER:end], buffer[0] == _STDERR)
            buffer = buffer[end:]
