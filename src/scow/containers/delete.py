"""DELETE /containers/{id} and prune: a container, its layer, its anonymous volumes, its name.

What a client can ask about afterwards (the row, the name, references, the network's endpoint, anonymous volumes, the log) is gone
before the answer; what takes time and nobody sees (unmounting, deleting trees, the runtime's state) follows behind it and is finished
at boot if the engine dies.
"""

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import log
from scow.aio import behind, in_pool
from scow.containers.attach import drop_pending
from scow.containers.container import Container
from scow.containers.lifecycle import Status, Transition
from scow.containers.parts import Parts
from scow.errors import Conflict, NotFound, ScowError
from scow.filters import Filters

if TYPE_CHECKING:
    from scow.containers.start import Starter
    from scow.containers.stop import Stopper
    from scow.containers.supervisor import ExitSupervisor

logger = log.get(__name__)

KILL_WAIT = 10.0


def remove_tree(path: Path) -> None:
    """Delete a directory of the engine's own; an absent one is fine."""
    shutil.rmtree(path, ignore_errors=True)


def remove_logs(path: Path, ident: str) -> None:
    """Unlink a container's log files, whose path `inspect` told: they are looked for after the answer. Absent ones are fine."""
    with contextlib.suppress(OSError):
        for name in os.listdir(path):  # no glob: it keeps a compiled pattern for each container
            if name.startswith(f"{ident}-json.log"):
                os.unlink(path / name)


@dataclass(slots=True)
class Remover:
    """Removes containers."""

    parts: Parts
    starter: "Starter"
    _pruning: bool = field(default=False)

    async def remove(self, container: Container, *, volumes: bool) -> None:
        """Remove a container that isn't running; the caller holds its lock. Raises what made it impossible; it is `dead` then."""
        parts = self.parts
        container.commit(Transition.REMOVING)
        try:
            await parts.network.release(container.id)
            await self.starter.release_volumes(container)
            if volumes:
                await self._anonymous_volumes(container)
            with parts.db.update():
                parts.refs.drop_user(container.id)
                container.commit(Transition.REMOVED)
        except (ScowError, OSError) as exc:
            message = getattr(exc, "message", str(exc))
            container.commit(Transition.REMOVAL_FAILED, error=message, failure=message)
            raise
        drop_pending(container)
        remove_logs(container.dir, container.id)
        parts.cleanups.start(self._rest(container), f"remove {container.id[:12]}")

    async def _rest(self, container: Container) -> None:
        try:
            await self.starter.clean(container)
            await behind(self.parts.images.remove_rootfs, container.id)
            await behind(in_pool, remove_tree, container.dir)
        except (ScowError, OSError):
            logger.exception("something of a removed container is left; the next start of the engine removes it")

    async def _anonymous_volumes(self, container: Container) -> None:
        for mount in container.mounts:
            if mount.type != "volume" or not mount.name:
                continue
            self.parts.refs.drop("volume", mount.name, container.id)
            try:
                volume = self.parts.volumes.get(mount.name)
            except NotFound:
                continue
            if "com.docker.volume.anonymous" not in (volume.labels or {}) or self.parts.refs.users("volume", mount.name):
                continue
            try:
                await _maybe(self.parts.volumes.remove(mount.name, False))
            except ScowError as exc:
                logger.warning("an anonymous volume was not removed: %s", exc.message)

    async def drop_new_volumes(self, container: Container) -> None:
        """Undo of a creation: volumes that were made for a container that never came to be."""
        await self._anonymous_volumes(container)

    async def delete(self, ref: str, *, force: bool, volumes: bool, link: bool, stopper: "Stopper", exits: "ExitSupervisor") -> None:
        """The verb. Raises NoSuchContainer; Conflict when it runs (without force) or is being removed already."""
        store = self.parts.store
        if link:
            store.unlink(ref)
            return
        container = store.get(ref)
        if container.state.status is Status.REMOVING:
            raise Conflict(f"removal of container {ref} is already in progress")
        if container.state.running and not force:
            refuse_running(container)
        async with self.parts.locks(container.id):
            self._still_there(container, ref)
            exits.cancel_restart(container)
            waiting: asyncio.Future[Any] | None = None
            if container.state.alive:
                if not force:
                    refuse_running(container)
                waiting = container.waiter("next-exit")
                await stopper.kill_now(container)
        if waiting is not None:
            try:
                await asyncio.wait_for(waiting, KILL_WAIT)
            except TimeoutError:
                raise Conflict(
                    f'cannot remove container "/{container.name}": could not kill: it did not end in {KILL_WAIT:.0f} s'
                ) from None
        async with self.parts.locks(container.id):
            if store.by_id(container.id) is None:
                return  # --rm was quicker
            self._still_there(container, ref)
            if container.state.running:
                refuse_running(container)
            await self.remove(container, volumes=volumes)

    def _still_there(self, container: Container, ref: str) -> None:
        if container.state.status is Status.REMOVING:
            raise Conflict(f"removal of container {ref} is already in progress")
        self.parts.store.get(container.id)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """POST /containers/prune. Raises Conflict while another prune runs."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        deleted: list[str] = []
        reclaimed = 0
        try:
            for container in self._prunable(filters):
                async with self.parts.locks(container.id):
                    if container.state.running or container.state.status is Status.REMOVING or self.parts.store.by_id(container.id) is None:
                        continue
                    try:
                        size, _ = await self.parts.images.rootfs_size(container.id)
                        await self.remove(container, volumes=False)
                    except ScowError as exc:
                        logger.warning("prune left a container: %s", exc.message)
                        continue
                reclaimed += max(0, size)
                deleted.append(container.id)
        finally:
            self._pruning = False
        self.parts.bus.publish("container", "prune", "", {"reclaimed": str(reclaimed)})
        return {"ContainersDeleted": deleted or None, "SpaceReclaimed": reclaimed}

    def _prunable(self, filters: Filters) -> list[Container]:
        until = prune_until(filters)
        return [
            container
            for container in self.parts.store.all()
            if not container.state.running
            and container.state.status is not Status.REMOVING
            and (until is None or container.created_ns < until)
            and filters.match_labels(container.config.labels)
            and not filters.excluded_by_labels(container.config.labels)
        ]


def prune_until(filters: Filters) -> int | None:
    """The `until` of a prune as nanoseconds. Raises InvalidArgument."""
    from scow.errors import InvalidArgument
    from scow.units import parse_timestamp

    values = filters.values("until")
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_timestamp(next(iter(values))) if values else None


def refuse_running(container: Container) -> None:
    """Raise dockerd's sentence for a container that runs."""
    if container.state.paused:
        raise Conflict(f'cannot remove container "/{container.name}": container is paused and must be unpaused first')
    raise Conflict(
        f'cannot remove container "/{container.name}": container is {container.state.status}: '
        "stop the container before removing or force remove"
    )


async def _maybe(result: Any) -> Any:
    return await result if hasattr(result, "__await__") else result
