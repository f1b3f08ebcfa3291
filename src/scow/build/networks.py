"""Networks of steps: one is made for the first step, kept for the next one that wants the same, and let go after a few seconds of rest.

A sandboxed step cannot change its network (it has no right to), so nothing goes from one to the next but the address. Stored: the
engine's files (hosts, resolv.conf, hostname) in `<run>/build/net-<id>`; what a crash leaves is released at boot as every sandbox
without a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scow import aio
from scow.build.llb.ops import Network, Security
from scow.ids import new_id
from scow.network.endpoint import SandboxRequest
from scow.network.service import NetworkService

if TYPE_CHECKING:
    from scow.build.executor import Defaults

MODES = {Network.HOST: "host", Network.NONE: "none", Network.DEFAULT: "bridge"}
_HOSTNAME = "buildkitsandbox"
_REST_SECONDS = 3.0
_MAX_IDLE = 16


@dataclass(frozen=True, slots=True)
class Net:
    """A step's network: the path of its namespace (None: the host's) and the directory of its files."""

    id: str
    netns: str | None
    files: Path
    hostname: str
    plain: bool
    """Nothing of its own: it may serve another step."""


class Networks:
    """Gives and takes back."""

    def __init__(self, root: Path, service: NetworkService, defaults: Defaults) -> None:
        self._root = root
        self._service = service
        self._defaults = defaults
        self._idle: list[Net] = []
        self._tasks = aio.Supervisor("build networks")

    async def take(self, network: Network, security: Security, hostname: str, hosts: Sequence[str]) -> Net:
        """A network for one step. Raises what `NetworkService.attach` raises."""
        plain = network == Network.DEFAULT and security == Security.SANDBOX and not hostname and not hosts
        if plain and self._idle:
            return self._idle.pop()
        id = new_id()
        files = self._root / f"net-{id}"
        files.mkdir(parents=True, mode=0o710)
        request = SandboxRequest(
            container_id=id,
            name="build-" + id[:12],
            hostname=hostname or _HOSTNAME,
            mode=MODES[network],
            extra_hosts=hosts,
            dns=self._defaults.dns,
            dns_search=self._defaults.dns_search,
            dns_options=self._defaults.dns_options,
            files=files,
        )
        try:
            sandbox = await self._service.attach(request)
        except BaseException:
            await self._release(id, files)
            raise
        return Net(id, sandbox.key or None if network != Network.HOST else None, files, request.hostname, plain)

    async def give(self, net: Net) -> None:
        """The step has ended."""
        if not net.plain or len(self._idle) >= _MAX_IDLE:
            await self._release(net.id, net.files)
            return
        self._idle.append(net)
        self._tasks.start(self._rest(net), "rest")

    async def _rest(self, net: Net) -> None:
        await asyncio.sleep(_REST_SECONDS)
        if net in self._idle:
            self._idle.remove(net)
            await aio.behind(self._release, net.id, net.files)

    async def _release(self, id: str, files: Path) -> None:
        await self._service.release(id)
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(files):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
            files.rmdir()

    async def close(self) -> None:
        """Let go of what rests."""
        await self._tasks.close()
        while self._idle:
            net = self._idle.pop()
            await self._release(net.id, net.files)
