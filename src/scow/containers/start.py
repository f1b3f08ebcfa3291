"""POST /containers/{id}/start: from a stored container to a running process, and the clean-up behind an exit.

Root file system, network and volumes are made side by side, then the specification, then one call of the runtime. A failed step undoes the others.
"""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import log, logdrivers
from scow.aio import Unwind, in_pool
from scow.containers.container import Container
from scow.containers.lifecycle import Health, Status, Transition
from scow.containers.parts import Parts
from scow.errors import Conflict, NotModified, ScowError
from scow.network.service import SandboxRequest
from scow.runtime import spec as oci
from scow.runtime.task import StartFailed, Stdio, TaskSpec
from scow.runtime.users import resolve_user

if TYPE_CHECKING:
    from scow.model.oci import SpecMount
    from scow.network.service import Sandbox

logger = log.get(__name__)

UNKNOWN_FAILURE = 128


@dataclass(slots=True)
class Starter:
    """Starts containers and tidies up after them."""

    parts: Parts
    _cleaning: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    async def start(self, container: Container, *, by_policy: bool = False) -> None:
        """Start it; the caller holds the lock. Raises NotModified, Conflict, or what made it impossible (committed with its exit code).

        A failed start leaves the state as it was, but for the error; whoever called decides on --rm (`failed_start`).
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
        count = container.state.restart_count if by_policy else 0
        container.commit(
            Transition.STARTED, pid=started.pid, started_ns=started.at_ns or time.time_ns(), health=initial_health(container), restart_count=count
        )
        self.parts.running(container)

    def _check(self, container: Container, by_policy: bool) -> None:
        state = container.state
        if state.paused:
            raise Conflict("cannot start a paused container, try unpause instead")
        if state.alive or (state.restarting and not by_policy):
            raise NotModified("")
        if state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict("container is marked for removal and cannot be started")

    def _failed(self, container: Container, exc: ScowError) -> None:
        code = exc.exit_code if isinstance(exc, StartFailed) else UNKNOWN_FAILURE
        if container.state.restarting:
            container.commit(Transition.RESTART_CANCELLED, exit_code=code, error=exc.message)
        else:
            container.commit(Transition.START_FAILED, exit_code=code, error=exc.message)

    @staticmethod
    def _drop_attachments(container: Container) -> None:
        for attachment in container.pending_attachments:
            with contextlib.suppress(OSError):
                attachment.sock.close()
        container.pending_attachments.clear()

    async def _run(self, container: Container, undo: Unwind) -> Any:
        parts = self.parts
        bundle = container.bundle
        await in_pool(_make_bundle, bundle, container.dir)
        undo.push(parts.tasks.delete, container.id)
        joined = self._joined(container)
        root, net, vols = await asyncio.gather(
            parts.images.mount_rootfs(container.id, container.rootfs),
            self._attach(container),
            self._mount_volumes(container),
            return_exceptions=True,
        )
        if not isinstance(root, BaseException):
            undo.push(parts.images.unmount_rootfs, container.id, container.rootfs)
        undo.push(self.release_volumes, container)
        if not isinstance(net, BaseException):
            undo.push(parts.network.release, container.id)
        for result in (root, net, vols):
            if isinstance(result, BaseException):
                raise result
        assert not isinstance(net, BaseException)
        assert not isinstance(vols, BaseException)
        document = await in_pool(self._document, container, net, vols, joined)
        await in_pool(_write_bundle, bundle, document)
        attachments, container.pending_attachments[:] = list(container.pending_attachments), []
        self.plan_log(container)
        assert container.log is not None
        size = [*container.host.console_size, 0, 0]
        task = TaskSpec(
            container_id=container.id,
            bundle=bundle,
            runtime=container.host.runtime,
            stdio=Stdio(container.config.tty, container.config.open_stdin, container.config.stdin_once, size[0], size[1]),
            log=container.log,
            attachments=attachments,
        )
        return await parts.tasks.run(task)

    @staticmethod
    def plan_log(container: Container) -> None:
        """Give a container read from its row the plan of its log driver."""
        if container.log is None:
            container.log = logdrivers.plan(container.host.log_config, container, container.dir)

    @staticmethod
    def health(container: Container) -> Health | None:
        """State of health at a start."""
        return initial_health(container)

    # --- neighbours

    async def _attach(self, container: Container) -> "Sandbox | None":
        """Network set-up; when addresses or ports of a container that just ended are still held, once more after its clean-up."""
        request = self._sandbox_request(container)
        try:
            return await self.parts.network.attach(request)
        except ScowError:
            pending = [task for key, task in self._cleaning.items() if key != container.id]
            if not pending:
                raise
            await asyncio.wait(pending, timeout=10)
            return await self.parts.network.attach(request)

    def _sandbox_request(self, container: Container) -> SandboxRequest:
        host, config, defaults = container.host, container.config, self.parts.defaults
        mode = "none" if config.network_disabled else host.network_mode
        if mode.startswith("container:"):
            other = self.parts.store.get(mode.removeprefix("container:"))
            if not other.state.alive:
                raise Conflict(f"cannot join network of a non running container: {other.id}")
        return SandboxRequest(
            container_id=container.id,
            name=container.name,
            hostname=config.hostname,
            domainname=config.domainname,
            mode=mode,
            endpoints=dict(container.networks),
            port_bindings=host.port_bindings,
            exposed=list(config.exposed_ports),
            publish_all=host.publish_all_ports,
            extra_hosts=host.extra_hosts,
            dns=host.dns or list(defaults.dns),
            dns_search=host.dns_search or list(defaults.dns_search),
            dns_options=host.dns_options or list(defaults.dns_options),
            links=host.links,
            files=container.dir,
            labels=config.labels,
        )

    async def _mount_volumes(self, container: Container) -> "list[SpecMount]":
        raise NotImplementedError

    async def release_volumes(self, container: Container) -> None:
        """Unmount what the container's mounts hold; nothing mounted is fine."""
        raise NotImplementedError

    def _joined(self, container: Container) -> dict[str, str]:
        """Namespaces of other containers this one joins. Raises Conflict when they don't run."""
        joined = {}
        for kind, mode in (("pid", container.host.pid_mode), ("ipc", container.host.ipc_mode), ("uts", container.host.uts_mode)):
            if not mode.startswith("container:"):
                continue
            other = self.parts.store.get(mode.removeprefix("container:"))
            if not other.state.alive:
                raise Conflict(f"cannot join {kind.upper()} namespace of a non running container: {other.id}")
            if kind == "ipc" and other.host.ipc_mode not in ("shareable", "host") and not other.host.ipc_mode.startswith("container:"):
                raise Conflict(f"cannot join IPC of a container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
            joined[kind] = f"/proc/{other.state.pid}/ns/{kind}"
        if container.host.network_mode.startswith("container:"):
            other = self.parts.store.get(container.host.network_mode.removeprefix("container:"))
            if other.host.uts_mode != "host" and "uts" not in joined and other.state.alive:
                joined["uts"] = f"/proc/{other.state.pid}/ns/uts"
        return joined

    def _document(self, container: Container, sandbox: Any, mounts: "list[SpecMount]", joined: dict[str, str]) -> bytes:
        host, config, defaults = container.host, container.config, self.parts.defaults
        user = resolve_user(container.rootfs, config.user, host.group_add)
        spec = oci.SpecInput(
            id=container.id,
            config=config,
            host=host,
            process_args=[container.path, *container.args],
            env=config.env,
            cwd=config.working_dir,
            user=user,
            rootfs=str(container.rootfs),
            mounts=mounts,
            netns=str(sandbox.key) if sandbox is not None and sandbox.key else None,
            joined=joined,
            hostname=config.hostname,
            domainname=config.domainname,
            init=bool(host.init),
            default_ulimits=(),
            init_program=str(defaults.init_path) if defaults.init_path else None,
        )
        return json.dumps(oci.build(spec)).encode()

    # --- after the exit

    def clean_later(self, container: Container) -> None:
        """Tidy up behind the answer."""
        task = self.parts.supervisor.start(self.clean(container), f"clean {container.id[:12]}")
        self._cleaning[container.id] = task
        task.add_done_callback(lambda done: self._cleaned(container.id, done))

    def _cleaned(self, container_id: str, task: "asyncio.Task[None]") -> None:
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
        undo.push(self.parts.tasks.delete, container.id)
        undo.push(self.parts.images.unmount_rootfs, container.id, container.rootfs)
        undo.push(self.release_volumes, container)
        undo.push(self.parts.network.release, container.id)
        await undo.undo()


def initial_health(container: Container) -> Health | None:
    """`starting` for a container with a check."""
    check = container.config.healthcheck
    return Health() if check is not None and check.test and check.test[0] != "NONE" else None


def _make_bundle(bundle: Path, directory: Path) -> None:
    (bundle / "rootfs").mkdir(mode=0o711, parents=True, exist_ok=True)
    directory.mkdir(mode=0o710, parents=True, exist_ok=True)


def _write_bundle(bundle: Path, document: bytes) -> None:
    path = bundle / "config.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(document)
