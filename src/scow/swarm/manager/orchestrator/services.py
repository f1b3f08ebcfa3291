"""What the loops of replicated and of global services share: which services are to be looked at, and which of their tasks cannot go on."""

from functools import partial
from typing import ClassVar

from scow.swarm.clock import Clock
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.manager.orchestrator.update import Updates
from scow.swarm.objects import Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Change, Store, Tx


class Services:
    """The loop (`loop.Loop`) of all services of one mode: tasks that cannot go on are replaced, then what is missing is made, then updates
    begin."""

    kinds: tuple[type[Object], ...] = (Service, Task, Node)
    mode: ClassVar[str]

    def __init__(self, store: Store, clock: Clock, restarter: Restarter, updates: Updates) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._updates = updates
        self._services: set[str] = set()  # to be looked at
        self._lost: set[str] = set()  # tasks that cannot go on

    # --- of each mode

    def _is_lost(self, task: Task) -> bool:
        """Whether a task is wanted and cannot go on."""
        raise NotImplementedError

    def _node(self, change: Change, node: Node) -> None:
        """Note what follows from a change of a node."""
        raise NotImplementedError

    def _restart(self, tx: Tx, service: Service, task: Task) -> None:
        """End a task that cannot go on and replace it where that is allowed."""
        raise NotImplementedError

    def _fill(self, tx: Tx, service: Service) -> None:
        """Make what is missing, end what is too much."""
        raise NotImplementedError

    # --- of all

    def _mine(self, reader: Store | Tx, service_id: str) -> Service | None:
        """The service, if it is there and of this mode."""
        service = reader.get(Service, service_id)
        return service if service is not None and service.mode == self.mode else None

    def _all_mine(self) -> set[str]:
        return {one.id for one in self._store.all(Service) if one.mode == self.mode}

    def setup(self) -> None:
        """See Loop."""
        self._services = self._all_mine()
        self._lost = {task.id for id in self._services for task in self._store.by(Task, "service", id) if self._is_lost(task)}

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Node):
            self._node(change, one)
        elif isinstance(one, Service) and one.mode == self.mode:
            if change.new is None:
                self._services.discard(one.id)
                self._updates.cancel(one.id)
            else:
                self._services.add(one.id)
        elif isinstance(one, Task) and (service := self._mine(self._store, one.service_id)) is not None:
            if change.new is not None:
                if self._is_lost(one):
                    self._lost.add(one.id)
                if self._is_doubled(change):
                    self._updates.consider(service)
            elif one.wanted:
                self._services.add(one.service_id)

    def _is_doubled(self, change: Change) -> bool:
        """Whether a task that is new, or begins to run, is not the only one that is wanted in its slot: an update has started it first, or
        one that was cut short left another."""
        before, task = change.old, change.new
        if not isinstance(task, Task):
            return False
        begins = not isinstance(before, Task) or before.status.state < task.status.state is TaskState.RUNNING
        return begins and sum(other.wanted for other in self._store.by(Task, "slot", task.slot_key)) > 1

    async def tick(self) -> None:
        """See Loop."""
        if self._lost:
            await self._store.update(partial(self._restart_all, ids=self._lost))
            self._lost = set()
        for service_id in list(self._services):
            await self._store.update(partial(self._reconcile, service_id=service_id))
            if (service := self._mine(self._store, service_id)) is not None:
                self._updates.consider(service)
            self._services.discard(service_id)

    def _restart_all(self, tx: Tx, ids: set[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            service = self._mine(tx, task.service_id) if task is not None else None
            if task is not None and service is not None and task.wanted:
                self._restart(tx, service, task)

    def _reconcile(self, tx: Tx, service_id: str) -> None:
        if (service := self._mine(tx, service_id)) is not None:
            self._fill(tx, service)
