"""Replicated services: as many live slots as the spec says.

A slot is live while a task in it is wanted; one whose last task may not be restarted counts as taken, too, so that "restart: none" does
not become an endless supply.
"""

from itertools import islice

from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.services import Services
from scow.swarm.objects import Node, Service, Task, TaskState
from scow.swarm.store.store import Change, Tx

Slot = list[Task]


class Replicated(Services):
    """The loop (`loop.Loop`). It also tells the restarter what becomes of tasks, of all modes: somebody has to, once."""

    mode = "replicated"

    def _is_lost(self, task: Task) -> bool:
        """See Services: it has ended, or its node is gone, drained or removed."""
        if not task.wanted:
            return False
        if task.over:
            return True
        if not task.node_id:
            return False
        node = self._store.get(Node, task.node_id)
        return node is None or not node.usable

    def setup(self) -> None:
        """See Loop."""
        super().setup()
        self._restarter.resume()

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Task):
            self._restarter.ended(one.id) if change.new is None else self._restarter.changed(one)
        elif isinstance(one, Node) and (change.new is None or one.status_state == "down"):
            self._restarter.down(one.id)
        super().handle(change)

    def _node(self, change: Change, node: Node) -> None:
        """See Services."""
        here = [task for task in self._store.by(Task, "node", node.id) if self._mine(self._store, task.service_id) is not None]
        if change.new is None or not node.usable:
            self._lost |= {task.id for task in here if self._is_lost(task)}
        elif isinstance(change.old, Node) and (change.old.spec != node.spec or change.old.description != node.description):
            self._lost |= {task.id for task in here if task.active and not constraints.match_spec(task.spec, node)}

    def _restart(self, tx: Tx, service: Service, task: Task) -> None:
        """See Services."""
        self._restarter.restart(tx, service, task)

    def _fill(self, tx: Tx, service: Service) -> None:
        """See Services."""
        live = self._live_slots(tx, service)
        missing = service.replicas - len(live)
        for number in islice(making.free_slots(live), max(missing, 0)):
            tx.create(making.new_task(service, number, "", self._clock.now_ns()))
        if missing < 0:
            for number in surplus(live, -missing):
                for task in live[number]:
                    if task.wanted:
                        tx.update(task.changed(desired_state=TaskState.REMOVE))

    def _live_slots(self, tx: Tx, service: Service) -> dict[int, Slot]:
        """Slots that count, with the tasks in them that do."""
        found: dict[int, Slot] = {}
        for number, tasks in making.slots(tx.by(Task, "service", service.id)).items():
            wanted = [task for task in tasks if task.wanted]
            if not wanted:
                last = making.newest(tasks)
                if last is None or last.desired_state is TaskState.REMOVE or not last.over or self._restarter.allowed(last, service):
                    continue
                wanted = [last]
            found[number] = wanted
        return found


def surplus(live: dict[int, Slot], count: int) -> list[int]:
    """Which slots go when a service shrinks: those that don't run first, then from the nodes that have most of the service."""
    on_node: dict[str, int] = {}
    ranked: list[tuple[bool, int, int]] = []
    for number in sorted(live):
        running = next((task for task in live[number] if task.status.state is TaskState.RUNNING), None)
        order = 0
        if running is not None:
            on_node[running.node_id] = order = on_node.get(running.node_id, 0) + 1
        ranked.append((running is not None, -order, -number))
    ranked.sort()
    return [-entry[2] for entry in ranked[:count]]
