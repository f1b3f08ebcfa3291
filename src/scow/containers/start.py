"""POST /containers/{id}/start: from a stored container to a running process, and the clean-up behind an exit.

Root file system, network and volumes are made side by side, then the specification, then one call of the runtime. A failed step undoes
the others.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from scow import log
from scow.aio import Unwind, behind, in_pool
from scow.containers import bundle
from scow.containers.container import Container
from scow.containers.lifecycle import Health, Status, Transition
from scow.containers.logs import plan_of
from scow.containers.parts import Parts
from scow.errors import Conflict, NotModified, ScowError
from scow.model.oci import SpecMount
from scow.network.endpoint import Sandbox, SandboxRequest
from scow.runtime import shm
from scow.runtime.task import Started, StartFailed, Stdio, TaskSpec
from scow.volumes import mounts

logger = log.get(__name__)

UNKNOWN_FAILURE = 128
_RETRY_WAIT = 10.0


@dataclass(slots=True)
class Starter:
    """Starts containers and tidies up after them."""

    parts: Parts
    _cleaning: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    async def start(self, container: Container, *, by_policy: bool = False) -> None:
        """Start it; the caller holds the lock. Raises NotModified, Conflict, or what made it impossible (committed with its exit code).

        A failed start leaves the status as it was and its error in the state; --rm is the caller's matter.
        """
        self._check(container, by_policy)
        await self.settled(container.id)
        undo = Unwind()
        try:
            started = await self._run(container, undo)
        except BaseException as exc:
            self._drop_attachments(container)
            await undo.undo()
            if isinstance(exc, ScowError):
                self._failed(container, exc)
            raise
        undo.keep()
        container.commit(
            Transition.STARTED,
            pid=started.pid,
            started_ns=started.at_ns or time.time_ns(),
            health=self.health(container),
            restart_count=container.state.restart_count if by_policy else 0,
        )
        self.parts.running(container)

    def _check(self, container: Container, by_policy: bool) -> None:
        state = container.state
        if state.paused:
            raise Conflict("cannot start a paused container, try unpause instead")
        if state.alive or (state.restarting and not by_policy):
            raise NotModified("")
        if state.status in (Status.REMOVING, Status.DEAD) or self.parts.store.by_id(container.id) is None:
            raise Conflict("container is marked for removal and cannot be started")

    def _failed(self, container: Container, exc: ScowError) -> None:
        code = exc.exit_code if isinstance(exc, StartFailed) else UNKNOWN_FAILURE
        event = Transition.RESTART_CANCELLED if container.state.restarting else Transition.START_FAILED
        container.commit(event, exit_code=code, error=exc.message)

    @staticmethod
    def _drop_attachments(container: Container) -> None:
        for attachment in container.pending_attachments:
            with contextlib.suppress(OSError):
                attachment.sock.close()
        container.pending_attachments.clear()

    async def _run(self, container: Container, undo: Unwind) -> Started:
        parts = self.parts
        spaces, shared_net = bundle.joined(parts, container)
        await in_pool(bundle.make, container)
        undo.push(parts.tasks.delete, container.id, container.host.runtime)
        undo.push(parts.images.unmount_rootfs, container.id, container.rootfs)
        undo.push(self.release_volumes, container)
        undo.push(parts.network.release, container.id)
        making = asyncio.gather(
            parts.images.mount_rootfs(container.id, container.rootfs),
            self._attach(container),
            self._mount_volumes(container),
            return_exceptions=True,
        )
        results: tuple[BaseException | None, Sandbox | BaseException, list[SpecMount] | BaseException]
        try:
            results = await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait([making], timeout=_RETRY_WAIT)  # what is being made meanwhile would not be found by what undoes it
            making.cancel()
            raise
        root, net, mounted = results
        if isinstance(net, BaseException):
            raise net
        if isinstance(root, BaseException):
            raise root
        if isinstance(mounted, BaseException):
            raise mounted
        await in_pool(self._write, container, shared_net or net.key or None, mounted, spaces)
        attachments, container.pending_attachments = container.pending_attachments, []
        self.plan_log(container)
        assert container.log is not None
        size = [*container.host.console_size, 0, 0]
        task = TaskSpec(
            container_id=container.id,
            bundle=container.bundle,
            runtime=container.host.runtime,
            stdio=Stdio(container.config.tty, container.config.open_stdin, container.config.stdin_once, size[0], size[1]),
            log=container.log,
            attachments=attachments,
        )
        return await parts.tasks.run(task)

    def _write(self, container: Container, netns: str | None, mounted: list[SpecMount], spaces: dict[str, str]) -> None:
        bundle.write(container, bundle.document(self.parts, container, netns, mounted, spaces))

    def plan_log(self, container: Container) -> None:
        """Settle where the output goes; again after a change of name or a restart of the daemon. Raises InvalidArgument."""
        plan_of(container)

    @staticmethod
    def health(container: Container) -> Health | None:
        """State of health at a start: `starting` for a container with a check."""
        check = container.config.healthcheck
        return Health() if check is not None and check.test and check.test[0] != "NONE" else None

    # --- neighbours

    async def _attach(self, container: Container) -> Sandbox:
        """Network set-up; when addresses or ports of a container that just ended are still held, once more after its clean-up."""
        request = self._sandbox_request(container)
        try:
            return await self.parts.network.attach(request)
        except ScowError:
            pending = [task for key, task in self._cleaning.items() if key != container.id]
            if not pending:
                raise
            await asyncio.wait(pending, timeout=_RETRY_WAIT)
            return await self.parts.network.attach(request)

    def _sandbox_request(self, container: Container) -> SandboxRequest:
        host, config, defaults = container.host, container.config, self.parts.defaults
        return SandboxRequest(
            container_id=container.id,
            name=container.name,
            hostname=config.hostname,
            domainname=config.domainname,
            mode="none" if config.network_disabled else host.network_mode,
            endpoints=dict(container.networks),
            port_bindings=host.port_bindings,
            exposed=[port if "/" in port else f"{port}/tcp" for port in config.exposed_ports],
            publish_all=host.publish_all_ports,
            extra_hosts=host.extra_hosts,
            dns=host.dns or list(defaults.dns),
            dns_search=host.dns_search or list(defaults.dns_search),
            dns_options=host.dns_options or list(defaults.dns_options),
            links=host.links,
            files=container.dir,
            labels=config.labels,
            trusted=host.privileged,
        )

    async def _mount_volumes(self, container: Container) -> list[SpecMount]:
        scratch = container.dir / "mounts"
        images = self.parts.images
        ready = await mounts.activate(self.parts.volumes, container.id, container.mounts, container.host, scratch, images.mount_image)
        container.mounts = mounts.placed(container.mounts, self.parts.volumes)
        return ready

    async def release_volumes(self, container: Container) -> None:
        """Unmount what the container's mounts hold; nothing mounted is fine."""
        if container.host.ipc_mode == "shareable":
            await in_pool(shm.unmount, container.dir)
        await mounts.deactivate(self.parts.volumes, container.id, container.mounts, container.dir / "mounts")

    # --- after the exit

    def farewell(self, container: Container) -> None:
        """Tell of the end of networks and mounts, which clients expect before `die`; the clean-up itself follows behind the answer."""
        self.parts.network.farewell(container.id)
        self.parts.volumes.farewell(container.id, [mount.name for mount in container.mounts if mount.type == "volume"])

    def clean_later(self, container: Container) -> None:
        """Tidy up behind the answer."""
        task = self.parts.cleanups.start(self.clean(container), f"clean {container.id[:12]}")
        self._cleaning[container.id] = task
        task.add_done_callback(lambda done: self._cleaned(container.id, done))

    def _cleaned(self, container_id: str, task: "asyncio.Task[Any]") -> None:
        if self._cleaning.get(container_id) is task:
            del self._cleaning[container_id]

    async def settled(self, container_id: str) -> None:
        """Wait until the clean-up of the last run is over."""
        task = self._cleaning.get(container_id)
        if task is not None:
            await asyncio.wait({task})

    async def clean(self, container: Container) -> None:
        """Take away what a run left in the kernel. Absent things are fine; errors are logged and the rest goes on."""
        undo = Unwind()
        undo.push(behind, self.parts.tasks.delete, container.id, container.host.runtime)
        undo.push(behind, self.parts.images.unmount_rootfs, container.id, container.rootfs)
        undo.push(self.release_volumes, container)
        undo.push(self.parts.network.release, container.id)
        await undo.undo()
