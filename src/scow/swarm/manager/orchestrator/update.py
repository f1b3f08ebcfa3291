"""Rolling updates and rollbacks: dirty slots are replaced a few at a time, watched for a while, and the whole stops, goes back or goes on
when too many fail.

One `Rollout` runs per service; a newer spec cancels it. All it knows is in the store (the service's update status, the tasks' specs), so
a new leader goes on where the old one was.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from scow import log, units
from scow.aio import Supervisor, heed_cancel
from scow.errors import ScowError
from scow.swarm.clock import Clock
from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.objects import Node, Service, Task, TaskState
from scow.swarm.store.store import Reader, Resync, Store, Subscription, Tx

logger = log.get(__name__)

DEFAULT_MONITOR_NS = 5_000_000_000
UNDER_WAY = ("updating", "rollback_started")
PAUSED = ("paused", "rollback_paused")
_RETRY_SECONDS = 1.0


def status_of(service: Service) -> str:
    """The state of a service's update, "" for none."""
    return str((service.update_status or {}).get("State") or "")


def config_of(service: Service) -> Mapping[str, Any]:
    """How this update goes: UpdateConfig, or RollbackConfig on the way back."""
    key = "RollbackConfig" if status_of(service).startswith("rollback") else "UpdateConfig"
    return service.spec.get(key) or {}


def dirty_slots(reader: Reader, service: Service) -> dict[str, list[Task]]:
    """Wanted tasks by `Task.slot_key`, where one was made of another spec or there is more than one: what an update that was cut short
    has left."""
    found: dict[str, list[Task]] = {}
    for task in reader.by(Task, "service", service.id):
        if task.wanted:
            found.setdefault(task.slot_key, []).append(task)
    return {key: tasks for key, tasks in found.items() if len(tasks) > 1 or making.is_dirty(service, tasks[0])}


def _good(service: Service, tasks: Sequence[Task]) -> list[Task]:
    """Tasks of the present spec that run, or are about to."""
    return [task for task in tasks if task.active and not making.is_dirty(service, task)]


def _ripe(service: Service, tasks: Sequence[Task]) -> bool:
    """Whether there is something to do about a dirty slot at once: its new task is missing, or runs."""
    good = _good(service, tasks)
    return not good or any(task.status.state is TaskState.RUNNING for task in good)


class Updates:
    """The rollouts that are under way, by service."""

    def __init__(self, store: Store, clock: Clock, restarter: Restarter, supervisor: Supervisor) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._supervisor = supervisor
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}

    def consider(self, service: Service) -> None:
        """Begin, replace or leave alone the rollout of a service."""
        if status_of(service) in PAUSED:
            self.cancel(service.id)
            return
        running = self._running.get(service.id)
        if running is not None and not running[1].done():
            if running[0] == service.spec_version:
                return
            running[1].cancel()
        elif not dirty_slots(self._store, service) and status_of(service) not in UNDER_WAY:
            return
        rollout = Rollout(self._store, self._clock, self._restarter, service.id, service.spec_version)
        task = self._supervisor.start(self._through(rollout, service.id), f"update {service.name}")
        self._running[service.id] = (service.spec_version, task)

    async def _through(self, rollout: "Rollout", service_id: str) -> None:
        await rollout.run()
        await self._clock.sleep(_RETRY_SECONDS)
        self._running.pop(service_id, None)
        service = self._store.get(Service, service_id)
        if service is not None and any(_ripe(service, tasks) for tasks in dirty_slots(self._store, service).values()):
            self.consider(service)  # something has come for it while it ended

    def cancel(self, service_id: str) -> None:
        """No rollout of this service any more."""
        running = self._running.pop(service_id, None)
        if running is not None:
            running[1].cancel()

    def close(self) -> None:
        """End all: another manager leads."""
        for service_id in list(self._running):
            self.cancel(service_id)


class Rollout:
    """One update of one service to one version of its spec."""

    def __init__(self, store: Store, clock: Clock, restarter: Restarter, service_id: str, spec_version: int) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._id = service_id
        self._spec_version = spec_version
        self._made: dict[str, int] = {}  # task made by this update → when (elapsed time)
        self._over: dict[str, int] = {}  # of those, which have ended → when that was seen
        self._failed: set[str] = set()
        self._changed = asyncio.Condition()

    def _service(self) -> Service | None:
        service = self._store.get(Service, self._id)
        return service if service is not None and service.spec_version == self._spec_version else None

    async def run(self) -> None:
        """Go through with it; ends early when the spec changes, the service goes, or too much fails. Begins again while the store
        cannot commit."""
        while (service := self._service()) is not None and not await self._try(service):
            await self._clock.sleep(_RETRY_SECONDS)

    async def _try(self, service: Service) -> bool:
        watch = self._store.watch(Task, Node)
        try:
            async with asyncio.TaskGroup() as group:
                observer = group.create_task(self._observe(watch))
                try:
                    await self._go(service)
                finally:
                    observer.cancel()
            return True
        except* ScowError as errors:
            logger.info("update of service %s waits: %s", service.name, errors.exceptions[0])
        finally:
            watch.close()
        heed_cancel()
        return False

    async def _observe(self, watch: Subscription) -> None:
        """Wake those who wait for a task; count what this update made and what failed of it."""
        while True:
            with contextlib.suppress(Resync):
                async for _ in watch:
                    async with self._changed:
                        self._changed.notify_all()
                return
            async with self._changed:
                self._changed.notify_all()

    async def _go(self, service: Service) -> None:
        dirty = dirty_slots(self._store, service)
        if not dirty:
            if status_of(service) in UNDER_WAY:
                await self._complete()
            return
        if status_of(service) not in UNDER_WAY:
            await self._set_status("updating", "update in progress", start=True)
        config = config_of(self._service() or service)
        parallel = config.get("Parallelism")
        width = 1 if parallel is None else int(parallel)
        gate = asyncio.Semaphore(width or len(dirty))
        total = len(dirty)
        stop = asyncio.Event()

        async def one(key: str) -> None:
            async with gate:
                if stop.is_set() or self._service() is None:
                    return
                await self._slot(key, config)
                if self._too_many(config, total):
                    stop.set()
                if not stop.is_set() and (delay := int(config.get("Delay") or 0)):
                    await self._clock.sleep(delay / 1e9)

        async with asyncio.TaskGroup() as group:
            guard = group.create_task(self._guard(config, total, stop))
            work = [group.create_task(one(key)) for key in sorted(dirty, key=lambda text: (len(text), text))]
            await asyncio.wait(work)
            if not stop.is_set():
                await self._settle(config)
            if stop.is_set():
                await guard
            guard.cancel()
        if not stop.is_set() and self._service() is not None:
            await self._complete()

    def _failures(self, config: Mapping[str, Any]) -> list[str]:
        """Tasks made by this update that ended within the time they are watched."""
        monitor = self._monitor(config)
        for id, at in self._made.items():
            task = self._store.get(Task, id)
            if task is None or id in self._failed:
                continue
            ended = task.over and task.status.state is not TaskState.SHUTDOWN
            if ended and self._over.setdefault(id, self._clock.elapsed_ns()) - at <= monitor + 10**9:
                self._failed.add(id)
        return sorted(self._failed)

    @staticmethod
    def _monitor(config: Mapping[str, Any]) -> int:
        found = config.get("Monitor")
        return DEFAULT_MONITOR_NS if not found else int(found)

    async def _guard(self, config: Mapping[str, Any], total: int, stop: asyncio.Event) -> None:
        """Stop the rollout when more than the allowed part of it fails."""
        async with self._changed:
            while not self._too_many(config, total):
                await self._changed.wait()
        stop.set()
        await self._give_up(str(config.get("FailureAction") or "pause"), sorted(self._failed)[0])

    def _too_many(self, config: Mapping[str, Any], total: int) -> bool:
        """Whether more has failed than may, and that matters."""
        if str(config.get("FailureAction") or "pause") == "continue":
            return False
        failed = self._failures(config)
        return bool(failed) and len(failed) / total > float(config.get("MaxFailureRatio") or 0.0)

    async def _give_up(self, action: str, task_id: str) -> None:
        reason = f"due to failure or early termination of task {task_id}"
        service = self._service()
        if service is None:
            return
        back = status_of(service).startswith("rollback")
        if action == "rollback" and not back and service.previous_spec is not None:
            await self._store.update(
                lambda tx: roll_back(tx, self._id, self._spec_version, self._clock.now_ns(), f"update rolled back {reason}")
            )
        elif back:
            await self._set_status("rollback_paused", f"rollback paused {reason}")
        else:
            await self._set_status("paused", f"update paused {reason}")

    async def _settle(self, config: Mapping[str, Any]) -> None:
        """Watch the last ones for as long as the monitor period says."""
        if not self._made or str(config.get("FailureAction") or "pause") == "continue":
            return
        left = max(self._made.values()) + self._monitor(config) - self._clock.elapsed_ns()
        if left > 0:
            await self._clock.sleep(left / 1e9)

    async def _set_status(self, state: str, message: str, start: bool = False, end: bool = False) -> None:
        def write(tx: Tx) -> None:
            service = tx.get(Service, self._id)
            if service is None or service.spec_version != self._spec_version:
                return
            now = units.rfc3339nano(self._clock.now_ns())
            status = {**(service.update_status or {}), "State": state, "Message": message}
            if start:
                status["StartedAt"] = now
            if end:
                status["CompletedAt"] = now
            tx.update(service.changed(update_status=status))

        await self._store.update(write)

    async def _complete(self) -> None:
        service = self._service()
        if service is None:
            return
        back = status_of(service).startswith("rollback")
        await self._set_status(
            "rollback_completed" if back else "completed", "rollback completed" if back else "update completed", end=True
        )

    # --- one slot

    async def _slot(self, key: str, config: Mapping[str, Any]) -> None:
        start_first = str(config.get("Order") or "stop-first") == "start-first"
        made = await self._store.update(lambda tx: self._replace(tx, key, start_first))
        if made is None:
            return
        new, old = made
        self._made[new.id] = self._clock.elapsed_ns()
        if start_first:
            if await self._runs(new.id):
                await self._store.update(lambda tx: self._end(tx, old))
            return
        await self._released(new.id)
        self._made[new.id] = self._clock.elapsed_ns()
        await self._runs(new.id)
        self._made[new.id] = self._clock.elapsed_ns()

    def _replace(self, tx: Tx, key: str, start_first: bool) -> tuple[Task, list[str]] | None:
        """Put a new task into a slot, where there is none yet; it and the ids of those it replaces. Stop-first, the restarter lets it run
        when they have ended, whatever becomes of this update meanwhile."""
        service = tx.get(Service, self._id)
        if service is None or service.spec_version != self._spec_version:
            return None
        there = tx.by(Task, "slot", key)
        wanted = [task for task in there if task.wanted]
        if not wanted or (len(wanted) == 1 and not making.is_dirty(service, wanted[0])):
            return None
        good = _good(service, wanted)
        if good:  # an update that was cut short has made it
            new = max(good, key=lambda task: (task.status.state, -task.created_ns, task.id))
            old = [task.id for task in wanted if task.id != new.id]
            if not start_first:
                self._end(tx, old)
            return new, old
        slot = wanted[0].slot
        new = making.new_task(service, slot, "" if slot else wanted[0].node_id, self._clock.now_ns())
        if not start_first:
            new = new.changed(desired_state=TaskState.READY)
            for task in wanted:
                tx.update(task.changed(desired_state=TaskState.SHUTDOWN))
            self._restarter.release(new, [task.id for task in there if making.held(tx, task)])
        tx.create(new)
        return new, [task.id for task in wanted]

    @staticmethod
    def _end(tx: Tx, ids: list[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            if task is not None and task.wanted:
                tx.update(task.changed(desired_state=TaskState.SHUTDOWN))

    async def _runs(self, id: str) -> bool:
        """Wait until a task runs (True) or can no more, or the spec has changed."""
        async with self._changed:
            while True:
                task = self._store.get(Task, id)
                if task is None or not task.active:
                    return False
                if task.status.state is TaskState.RUNNING:
                    return True
                await self._changed.wait()

    async def _released(self, id: str) -> None:
        """Wait until a task may run, or is wanted no more."""
        async with self._changed:
            while (task := self._store.get(Task, id)) is not None and task.desired_state is TaskState.READY:
                await self._changed.wait()


def roll_back(tx: Tx, service_id: str, spec_version: int, now_ns: int, message: str) -> None:
    """Give a service its previous spec again, as an update of its own."""
    service = tx.get(Service, service_id)
    if service is None or service.spec_version != spec_version or service.previous_spec is None:
        return
    status = {**(service.update_status or {}), "State": "rollback_started", "Message": message}
    status.setdefault("StartedAt", units.rfc3339nano(now_ns))
    tx.update(service.changed(spec=service.previous_spec, previous_spec=None, spec_version=service.spec_version + 1, update_status=status))
