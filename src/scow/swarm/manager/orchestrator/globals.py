"""Global services: one task on every node that the constraints let in."""

from scow.swarm.clock import Clock
from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.replicated import usable
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.manager.orchestrator.update import Updates
from scow.swarm.objects import Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Change, Store, Tx


class Globals:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Service, Task, Node)

    def __init__(self, store: Store, clock: Clock, restarter: Restarter, updates: Updates) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._updates = updates
        self._services: set[str] = set()
        self._ended: set[str] = set()

    def _mine(self) -> set[str]:
        return {one.id for one in self._store.all(Service) if one.mode == "global"}

    def setup(self) -> None:
        """See Loop."""
        self._services = self._mine()
        self._ended = {
            task.id
            for id in self._services
            for task in self._store.by(Task, "service", id)
            if task.desired_state <= TaskState.RUNNING and task.status.state > TaskState.RUNNING
        }

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Service):
            if one.mode == "global":
                if change.new is None:
                    self._services.discard(one.id)
                    self._updates.cancel(one.id)
                else:
                    self._services.add(one.id)
        elif isinstance(one, Node):
            before, after = change.old, change.new
            if not (isinstance(before, Node) and isinstance(after, Node) and _same_place(before, after)):
                self._services |= self._mine()
        elif isinstance(one, Task):
            service = self._store.get(Service, one.service_id)
            if service is None or service.mode != "global":
                return
            if change.new is None:
                if one.desired_state <= TaskState.RUNNING:
                    self._services.add(service.id)
            elif one.desired_state <= TaskState.RUNNING and one.status.state > TaskState.RUNNING:
                self._ended.add(one.id)

    async def tick(self) -> None:
        """See Loop."""
        if self._ended:
            ended = self._ended
            await self._store.update(lambda tx: self._restart(tx, ended))
            self._ended = set()
        for service_id in list(self._services):
            await self._store.update(lambda tx, id=service_id: self._fill(tx, id))  # type: ignore[misc]
            service = self._store.get(Service, service_id)
            if service is not None and service.mode == "global":
                self._updates.consider(service)
            self._services.discard(service_id)

    def _restart(self, tx: Tx, ids: set[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            service = tx.get(Service, task.service_id) if task else None
            node = tx.get(Node, task.node_id) if task else None
            if task is None or service is None or task.desired_state > TaskState.RUNNING:
                continue
            if node is None or not usable(node) or not constraints.match(service, node):
                tx.update(task.changed(desired_state=TaskState.SHUTDOWN))
            else:
                self._restarter.restart(tx, service, task)

    def _fill(self, tx: Tx, service_id: str) -> None:
        service = tx.get(Service, service_id)
        if service is None or service.mode != "global":
            return
        by_node: dict[str, list[Task]] = {}
        for task in tx.by(Task, "service", service_id):
            by_node.setdefault(task.node_id, []).append(task)
        nodes = {node.id: node for node in tx.all(Node)}
        for node in nodes.values():
            tasks = by_node.get(node.id, [])
            wanted = [task for task in tasks if task.desired_state <= TaskState.RUNNING]
            fits = usable(node) and constraints.match(service, node)
            if not fits:
                self._end(tx, wanted, TaskState.SHUTDOWN)
                continue
            if wanted or node.availability == "pause":
                continue
            newest = max(tasks, key=lambda task: (task.created_ns, task.id), default=None)
            over = newest is not None and newest.status.state > TaskState.RUNNING and newest.status.state is not TaskState.SHUTDOWN
            if newest is None or not over or self._restarter.allowed(newest, service):
                tx.create(making.new_task(service, 0, node.id, self._clock.now_ns()))
        for node_id, tasks in by_node.items():
            if node_id not in nodes:
                self._end(tx, tasks, TaskState.SHUTDOWN)

    @staticmethod
    def _end(tx: Tx, tasks: list[Task], state: TaskState) -> None:
        for task in tasks:
            if task.desired_state < state:
                tx.update(task.changed(desired_state=state))


def _same_place(before: Node, after: Node) -> bool:
    """Whether nothing that constraints or availability look at has changed."""
    return (
        before.spec == after.spec
        and before.status_state == after.status_state
        and before.description == after.description
        and before.address == after.address
    )
