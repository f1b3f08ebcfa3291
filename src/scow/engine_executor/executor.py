"""This engine as the swarm sees it (`swarm.agent.executor.Executor`)."""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scow import log
from scow.aio import KeyedLock, in_pool
from scow.containers.container import Container
from scow.containers.logs import LogsService
from scow.containers.stats import kernel_sampler
from scow.engine_executor.controller import ContainerController, digest_pinned
from scow.engine_executor.files import TaskFiles
from scow.engine_executor.request import LABEL
from scow.engine_executor.usage import Meter
from scow.errors import NotFound, ScowError
from scow.kernel import cgroups
from scow.model.oci import SpecMount
from scow.reference import Reference
from scow.swarm.agent.executor import Controller, Dependencies
from scow.swarm.objects import Task

if TYPE_CHECKING:
    from scow.containers.parts import Parts
    from scow.containers.service import ContainerService

logger = log.get(__name__)

_FRESH_SECONDS = 10.0


class Networks(Protocol):
    """The part of the executor that makes the swarm's networks on this node."""

    async def ready(self, task: Task) -> None:
        """Make what a task is attached to. Raises ScowError."""

    async def configure(self, state: Mapping[str, Any]) -> None:
        """The cluster has changed: peers, virtual addresses, ports."""

    def starting(self, container_id: str) -> None:
        """This container is a task's: the task has its addresses."""

    async def unbalance(self, task: Task) -> None:
        """No more load to a task that is about to end."""

    async def gone(self, task: Task) -> None:
        """A task's container is gone: networks that nobody uses may go."""

    async def recover(self) -> None:
        """The daemon is back, its containers are known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node says of itself besides its hardware: labels and generic resources of daemon.json, version."""

    labels: Mapping[str, str]
    generic_resources: tuple[Mapping[str, Any], ...]
    version: str
    architecture: str


class EngineExecutor:
    """Runs tasks as containers."""

    def __init__(self, parts: "Parts", containers: "ContainerService", networks: Networks, facts: Facts, run: Path) -> None:
        """`run`: the engine's run directory, for secrets in memory."""
        self._parts = parts
        self.containers = containers
        self.network = parts.network
        self.bus = parts.bus
        self.logs = LogsService()
        self._networks = networks
        self._facts = facts
        self._files = TaskFiles(run / "swarm")
        self._controllers: dict[str, ContainerController] = {}  # container → what made it
        self._pulls = KeyedLock()
        self._pulled: dict[str, float] = {}
        self._templates: set[str] = set()
        self._meter = Meter(kernel_sampler(cgroups.manager()))
        parts.engine_mounts = self._mounts
        parts.on_ended.append(self._ended)

    # --- Executor

    async def describe(self) -> dict[str, Any]:
        """See Executor."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resources: dict[str, Any] = {"NanoCPUs": (os.cpu_count() or 1) * 10**9, "MemoryBytes": memory}
        if self._facts.generic_resources:
            resources["GenericResources"] = [dict(row) for row in self._facts.generic_resources]
        plugins = [{"Type": "Network", "Name": name} for name in ("bridge", "host", "macvlan", "null", "overlay")]
        plugins += [{"Type": "Volume", "Name": "local"}, {"Type": "Log", "Name": "json-file"}, {"Type": "Log", "Name": "local"}]
        engine: dict[str, Any] = {"EngineVersion": self._facts.version, "Plugins": plugins}
        if self._facts.labels:
            engine["Labels"] = dict(self._facts.labels)
        return {
            "Hostname": os.uname().nodename,
            "Platform": {"Architecture": self._facts.architecture, "OS": "linux"},
            "Resources": resources,
            "Engine": engine,
        }

    async def configure(self, state: Mapping[str, Any]) -> None:
        """See Executor."""
        self._templates |= set(state.get("templates") or ())
        await self._networks.configure(state)

    def controller(self, task: Task, needs: Dependencies) -> Controller:
        """See Executor."""
        return ContainerController(self, task, needs)

    async def usage(self) -> dict[str, dict[str, float]]:
        """See Executor."""
        return await in_pool(self._meter.read, [one for one in self._parts.store.all() if one.state.alive])

    async def found(self) -> set[str]:
        """See Executor."""
        return {task_id for one in self._parts.store.all() if (task_id := one.config.labels.get(LABEL + "task.id"))}

    async def discard(self, task_id: str) -> None:
        """See Executor."""
        for container in self._parts.store.all():
            if container.config.labels.get(LABEL + "task.id") == task_id:
                with contextlib.suppress(NotFound):
                    await self.containers.remove(container.id, force=True, volumes=True)

    async def recover(self) -> None:
        """At boot: forget files of containers that don't run."""
        await in_pool(self._files.sweep, {one.id for one in self._parts.store.all() if one.state.alive})
        await self._networks.recover()

    # --- for controllers

    def container_of(self, task: Task) -> Container | None:
        """The container of a task."""
        found = self._parts.store.find(task.name)
        return found if found is not None and found.config.labels.get(LABEL + "task.id") == task.id else None

    def is_template(self, kind: str, id: str) -> bool:
        """Whether the content of a secret or config is a template."""
        return id in self._templates

    def mark(self, container_id: str, controller: ContainerController) -> None:
        """The controller that knows the files of a container."""
        self._controllers[container_id] = controller
        self._networks.starting(container_id)

    def unmark(self, container_id: str) -> None:
        """Forget it."""
        self._controllers.pop(container_id, None)

    def _mounts(self, container: Container) -> list[SpecMount]:
        """Called in the pool while a container's bundle is written."""
        controller = self._controllers.get(container.id)
        return self._files.write(container.id, controller.files()) if controller is not None else []

    def _ended(self, container: Container) -> None:
        if LABEL + "task.id" in container.config.labels:
            self._parts.cleanups.start(in_pool(self._files.remove, container.id), f"files of {container.id[:12]}")

    async def pull(self, image: str, auth: str) -> None:
        """Have the image: pulled afresh unless its digest is named and here; what is here is used when the registry does not answer.

        Raises NotFound `No such image: x`."""
        images = self._parts.images
        async with self._pulls(image):
            if digest_pinned(image):
                with contextlib.suppress(ScowError):
                    images.get(image)
                    return
            if time.monotonic() - self._pulled.get(image, -_FRESH_SECONDS) < _FRESH_SECONDS:
                with contextlib.suppress(ScowError):
                    images.get(image)
                    return
            try:
                async for _ in images.travel().pull(Reference.parse(image).tagged(), "", auth):
                    pass
            except ScowError as error:
                try:
                    images.get(image)
                except ScowError:
                    raise NotFound(f"No such image: {image}") from error
            self._pulled[image] = time.monotonic()

    async def networks_ready(self, task: Task) -> None:
        """Make a task's networks on this node."""
        await self._networks.ready(task)

    async def unbalance(self, task: Task) -> None:
        """Take a task out of every load balancer of this node, before its process is told to end."""
        await self._networks.unbalance(task)

    async def task_gone(self, task: Task) -> None:
        """A task's container is gone."""
        await self._networks.gone(task)
