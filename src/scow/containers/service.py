"""The verbs on containers, as the API calls them. References are full ids, names or unique id prefixes.

Each verb is carried out by the file of its name; this class only finds the container and puts the parts together.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from scow.containers import networks, rename, takeover, update
from scow.containers.container import Container, WaitResult
from scow.containers.create import Creator
from scow.containers.delete import Remover
from scow.containers.lifecycle import Condition, Status
from scow.containers.parts import Parts
from scow.containers.recover import Recovery
from scow.containers.start import Starter
from scow.containers.stop import Stopper
from scow.containers.supervisor import ExitSupervisor
from scow.errors import NotFound, ScowError
from scow.filters import Filters
from scow.model.container import CreateRequest, UpdateRequest
from scow.model.network import EndpointSettings

_CLEANUP_SECONDS = 10.0


class ContainerService:
    """Create, start, stop … remove; recovery at boot and the end at shutdown."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._starter = Starter(parts)
        self._remover = Remover(parts, self._starter)
        self._exits = ExitSupervisor(parts, self._starter, self._remover)
        self._stopper = Stopper(parts, self._starter, self._exits)
        self._creator = Creator(parts, self._starter)
        parts.tasks.on_exit = self._exits.on_exit
        parts.tasks.on_oom = self._exits.on_oom

    @property
    def store(self) -> Any:
        """All containers."""
        return self._parts.store

    def get(self, ref: str) -> Container:
        """Raises NoSuchContainer, Ambiguous."""
        return self._parts.store.get(ref)

    async def create(self, request: CreateRequest, name: str = "", platform: str = "") -> tuple[str, list[str]]:
        """Make a container; (id, warnings). See `Creator.create` for the errors."""
        return await self._creator.create(request, name, platform)

    async def start(self, ref: str) -> None:
        """Start it. Raises NotModified when it runs; StartFailed and others when it can't (then --rm removes it)."""
        container = self.get(ref)
        try:
            async with self._parts.locks(container.id):
                self._exits.reset(container)
                await self._starter.start(container)
        except ScowError:
            if container.host.auto_remove and not container.state.running and container.state.error:
                await self._remove_failed(container)
            raise

    async def _remove_failed(self, container: Container) -> None:
        """A --rm container that could not start goes away before the answer: clients wait for its removal."""
        async with self._parts.locks(container.id):
            if self._parts.store.by_id(container.id) is not None and container.state.status in (Status.CREATED, Status.EXITED):
                await self._remover.remove(container, volumes=True)

    async def stop(self, ref: str, signal: str = "", timeout: int | None = None) -> None:
        """Signal, grace of `timeout` seconds, kill. Raises NotModified when it doesn't run."""
        await self._stopper.stop(self.get(ref), signal, timeout)

    async def restart(self, ref: str, signal: str = "", timeout: int | None = None) -> None:
        """Stop and start."""
        await self._stopper.restart(self.get(ref), signal, timeout)

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal (KILL by default). Raises Conflict when it doesn't run."""
        try:
            container = self.get(ref)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {ref}: {error.message}") from None
        await self._stopper.kill(container, signal)

    async def pause(self, ref: str) -> None:
        """Freeze. Raises Conflict."""
        await self._stopper.pause(self.get(ref))

    async def unpause(self, ref: str) -> None:
        """Thaw. Raises Conflict."""
        await self._stopper.unpause(self.get(ref))

    async def resize(self, ref: str, rows: int, cols: int) -> None:
        """Size of the terminal. Raises Conflict when it doesn't run."""
        await self._stopper.resize(self.get(ref), rows, cols)

    async def rename(self, ref: str, name: str) -> None:
        """Raises InvalidArgument, NameInUse."""
        await rename.rename(self._parts, self.get(ref), name)

    async def take_over(self, ref: str, other: str, names: Mapping[str, Sequence[str]]) -> None:
        """Take the published ports and names of another container. Raises Conflict, InvalidArgument."""
        await takeover.take_over(self._parts, self.get(ref), self.get(other), names)

    async def update(self, ref: str, request: UpdateRequest) -> list[str]:
        """Change limits and restart policy; returns warnings."""
        return await update.update(self._parts, self.get(ref), request)

    async def wait(self, ref: str, condition: str = "") -> WaitResult:
        """Wait for not-running (default), next-exit or removed. `Container.waiter` registers without waiting."""
        return await self.get(ref).wait(condition)

    def waiter(self, ref: str, condition: str) -> "asyncio.Future[WaitResult]":
        """As `Container.waiter`; `removed` of a --rm container that is gone is answered for a minute. Raises NoSuchContainer."""
        store = self._parts.store
        code = store.code_of_gone(ref) if condition == Condition.REMOVED and store.find(ref) is None else None
        if code is None:
            return self.get(ref).waiter(condition)
        known: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        known.set_result(WaitResult(code))
        return known

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Remove. Raises Conflict when it runs (without force) or is being removed."""
        await self._remover.delete(ref, force=force, volumes=volumes, link=link, stopper=self._stopper, exits=self._exits)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove all that don't run and match: {"ContainersDeleted", "SpaceReclaimed"}."""
        return await self._remover.prune(filters)

    async def connect_network(self, ref: str, network: str, settings: EndpointSettings | None) -> None:
        """Add a network."""
        await networks.connect(self._parts, self.get(ref), network, settings)

    async def disconnect_network(self, ref: str, network: str, force: bool = False) -> None:
        """Take a network away. With `force` an unknown container isn't an error when the network service still has its endpoint."""
        container = self._parts.store.find(ref)
        if container is None and force:
            await self._parts.network.disconnect(ref, network, True)
            return
        await networks.disconnect(self._parts, self.get(ref), network, force)

    async def recover(self) -> None:
        """At boot, after the neighbours' own recovery: rows and kernel agree afterwards; policies start containers behind the answer."""
        await Recovery(self._parts, self._starter, self._remover, self._exits).run()

    async def shutdown(self, *, live_restore: bool, timeout: float) -> None:
        """Before the neighbours go. With live restore containers stay; else each gets its stop signal, SIGKILL after `timeout` seconds."""
        self._exits.close()
        if not live_restore:
            await self._stopper.stop_all(timeout)
        await self._parts.cleanups.drain(_CLEANUP_SECONDS)
        await self._parts.supervisor.close()
        await self._parts.cleanups.close()
