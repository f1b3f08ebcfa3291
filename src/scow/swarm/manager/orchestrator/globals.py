"""Global services: one task on every node that the constraints let in."""

from collections.abc import Iterable

from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.services import Services
from scow.swarm.objects import Node, Service, Task, TaskState
from scow.swarm.store.store import Change, Tx


class Globals(Services):
    """The loop (`loop.Loop`)."""

    mode = "global"

    def _is_lost(self, task: Task) -> bool:
        """See Services; what is on a node that takes no tasks any more is ended by `_fill`."""
        return task.wanted and task.over

    def _node(self, change: Change, node: Node) -> None:
        """See Services."""
        if not (isinstance(change.old, Node) and isinstance(change.new, Node) and _same_place(change.old, change.new)):
            self._services |= self._all_mine()

    def _restart(self, tx: Tx, service: Service, task: Task) -> None:
        """See Services."""
        node = tx.get(Node, task.node_id)
        if node is None or not _fits(service, node):
            tx.update(task.changed(desired_state=TaskState.SHUTDOWN))
        else:
            self._restarter.restart(tx, service, task)

    def _fill(self, tx: Tx, service: Service) -> None:
        """See Services."""
        by_node: dict[str, list[Task]] = {}
        for task in tx.by(Task, "service", service.id):
            by_node.setdefault(task.node_id, []).append(task)
        for node in tx.all(Node):
            tasks = by_node.pop(node.id, [])
            if not _fits(service, node):
                _end(tx, tasks)
            elif node.availability != "pause" and not any(task.wanted for task in tasks) and self._may_come(service, tasks):
                tx.create(making.new_task(service, 0, node.id, self._clock.now_ns()))
        for tasks in by_node.values():  # of nodes that are gone
            _end(tx, tasks)

    def _may_come(self, service: Service, tasks: list[Task]) -> bool:
        """Whether a node on which no task is wanted gets one: not where the last one failed and may not be replaced."""
        last = making.newest(tasks)
        failed = last is not None and last.over and last.status.state is not TaskState.SHUTDOWN
        return last is None or not failed or self._restarter.allowed(last, service)


def _fits(service: Service, node: Node) -> bool:
    return node.usable and constraints.match(service, node)


def _end(tx: Tx, tasks: Iterable[Task]) -> None:
    for task in tasks:
        if task.desired_state < TaskState.SHUTDOWN:
            tx.update(task.changed(desired_state=TaskState.SHUTDOWN))


def _same_place(before: Node, after: Node) -> bool:
    """Whether nothing that constraints or availability look at has changed."""
    return (
        before.spec == after.spec
        and before.status_state == after.status_state
        and before.description == after.description
        and before.address == after.address
    )
