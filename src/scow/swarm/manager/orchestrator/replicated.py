"""Replicated services: as many live slots as the spec says.

A slot is live while a task in it is wanted; one whose last task may not be restarted counts as taken, too, so that "restart: none" does
not become an endless supply.
"""

from scow.swarm.clock import Clock
from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.manager.orchestrator.update import Updates
from scow.swarm.objects import Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Change, Store, Tx

Slot = list[Task]


class Replicated:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Service, Task, Node)

    def __init__(self, store: Store, clock: Clock, restarter: Restarter, updates: Updates) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._updates = updates
        self._services: set[str] = set()
        self._ended: set[str] = set()

    def setup(self) -> None:
        """See Loop."""
        self._services = {one.id for one in self._store.all(Service) if one.mode == "replicated"}
        self._ended = {task.id for task in self._store.all(Task) if self._is_mine(task) and self._lost(task)}

    def _is_mine(self, task: Task) -> bool:
        service = self._store.get(Service, task.service_id)
        return service is not None and service.mode == "replicated"

    def _lost(self, task: Task) -> bool:
        """Whether a task is wanted and cannot run on: it has ended, or its node is gone, drained or removed."""
        if task.desired_state > TaskState.RUNNING:
            return False
        if task.status.state > TaskState.RUNNING:
            return True
        if not task.node_id:
            return False
        node = self._store.get(Node, task.node_id)
        return node is None or not usable(node)

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Service):
            if one.mode != "replicated":
                return
            if change.new is None:
                self._services.discard(one.id)
                self._updates.cancel(one.id)
            else:
                self._services.add(one.id)
        elif isinstance(one, Task):
            if change.new is None:
                self._restarter.removed(one)
                if self._is_mine(one) and one.desired_state <= TaskState.RUNNING:
                    self._services.add(one.service_id)
                return
            self._restarter.changed(one)
            if self._is_mine(one) and self._lost(one):
                self._ended.add(one.id)
        elif isinstance(one, Node) and (change.new is None or not usable(one)):
            if change.new is None or one.status_state == "down":
                self._restarter.down(one.id)
            self._ended |= {task.id for task in self._store.by(Task, "node", one.id) if self._is_mine(task) and self._lost(task)}
        elif (
            isinstance(one, Node)
            and isinstance(change.old, Node)
            and (change.old.spec != one.spec or change.old.description != one.description)
        ):
            self._ended |= {
                task.id
                for task in self._store.by(Task, "node", one.id)
                if task.active and self._is_mine(task) and not constraints.match_spec(task.spec, one)
            }

    async def tick(self) -> None:
        """See Loop."""
        ended, services = self._ended, self._services
        if ended:
            await self._store.update(lambda tx: self._restart(tx, ended))
            self._ended = set()
        for service_id in list(services):
            service = self._store.get(Service, service_id)
            if service is not None:
                await self._reconcile(service)
            services.discard(service_id)

    def _restart(self, tx: Tx, ids: set[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            service = tx.get(Service, task.service_id) if task else None
            if task is not None and service is not None and task.desired_state <= TaskState.RUNNING:
                self._restarter.restart(tx, service, task)

    async def _reconcile(self, service: Service) -> None:
        await self._store.update(lambda tx: self._fill(tx, service.id))
        fresh = self._store.get(Service, service.id)
        if fresh is not None:
            self._updates.consider(fresh)

    def _fill(self, tx: Tx, service_id: str) -> None:
        """Make what is missing, end what is too much."""
        service = tx.get(Service, service_id)
        if service is None or service.mode != "replicated":
            return
        live = self.live_slots(tx, service)
        wanted = service.replicas
        if len(live) < wanted:
            number = 0
            for _ in range(wanted - len(live)):
                number += 1
                while number in live:
                    number += 1
                live[number] = [making.new_task(service, number, "", self._clock.now_ns())]
                tx.create(live[number][0])
        elif len(live) > wanted:
            for number in surplus(tx, live, len(live) - wanted):
                for task in live[number]:
                    if task.desired_state <= TaskState.RUNNING:
                        tx.update(task.changed(desired_state=TaskState.REMOVE))

    def live_slots(self, tx: Tx, service: Service) -> dict[int, Slot]:
        """Slots that count, with the tasks in them that do."""
        found: dict[int, Slot] = {}
        for number, tasks in making.slots(tx.by(Task, "service", service.id)).items():
            wanted = [task for task in tasks if task.desired_state <= TaskState.RUNNING]
            if not wanted:
                newest = max(tasks, key=lambda task: (task.created_ns, task.id))
                if newest.desired_state is TaskState.REMOVE or newest.status.state <= TaskState.RUNNING:
                    continue
                if self._restarter.allowed(newest, service):
                    continue
                wanted = [newest]
            found[number] = wanted
        return found


def usable(node: Node) -> bool:
    """Whether tasks may stay on a node."""
    return node.status_state != "down" and node.availability != "drain"


def surplus(tx: Tx, live: dict[int, Slot], count: int) -> list[int]:
    """Which slots go when a service shrinks: those that don't run first, then from the nodes that have most of the service."""
    on_node: dict[str, int] = {}

    def running(slot: Slot) -> Task | None:
        return next((task for task in slot if task.status.state is TaskState.RUNNING), None)

    ranked: list[tuple[bool, int, int]] = []
    for number in sorted(live):
        task = running(live[number])
        order = 0
        if task is not None:
            on_node[task.node_id] = order = on_node.get(task.node_id, 0) + 1
        ranked.append((task is not None, -order, -number))
    ranked.sort()
    return [-entry[2] for entry in ranked[:count]]
