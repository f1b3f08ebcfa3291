"""Jobs: services whose tasks are to end well. Replicated: so many completions, a few at a time; global: one on each node.

An iteration begins with each `--force` update; tasks of earlier iterations are ended and removed.
"""

from functools import partial
from itertools import islice

from scow.swarm.clock import Clock
from scow.swarm.manager import tasks as making
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.manager.orchestrator.restart import Restarter
from scow.swarm.objects import Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Change, Store, Tx

_MODES = ("replicated-job", "global-job")


class Jobs:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Service, Task, Node)

    def __init__(self, store: Store, clock: Clock, restarter: Restarter) -> None:
        self._store = store
        self._clock = clock
        self._restarter = restarter
        self._services: set[str] = set()

    def setup(self) -> None:
        """See Loop."""
        self._services = {one.id for one in self._store.all(Service) if one.mode in _MODES}

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Service):
            if one.mode in _MODES and change.new is not None:
                self._services.add(one.id)
        elif isinstance(one, Task):
            service = self._store.get(Service, one.service_id)
            if service is not None and service.mode in _MODES:
                self._services.add(service.id)
        elif isinstance(one, Node):
            self._services |= {found.id for found in self._store.all(Service) if found.mode == "global-job"}
            self._services |= {task.service_id for task in self._store.by(Task, "node", one.id)}

    async def tick(self) -> None:
        """See Loop."""
        for service_id in list(self._services):
            await self._store.update(partial(self._reconcile, service_id=service_id))
            self._services.discard(service_id)

    def _reconcile(self, tx: Tx, service_id: str) -> None:
        service = tx.get(Service, service_id)
        if service is None or service.mode not in _MODES:
            return
        mine: list[Task] = []
        for task in tx.by(Task, "service", service_id):
            if task.job_iteration == service.job_iteration:
                mine.append(task)
            elif task.desired_state <= TaskState.COMPLETE:
                tx.update(task.changed(desired_state=TaskState.REMOVE))
        self._replace_failed(tx, service, mine)
        mine = [task for task in tx.by(Task, "service", service_id) if task.job_iteration == service.job_iteration]
        if service.mode == "replicated-job":
            self._fill(tx, service, mine)
        else:
            self._spread(tx, service, mine)

    def _replace_failed(self, tx: Tx, service: Service, tasks: list[Task]) -> None:
        for task in tasks:
            if task.desired_state > TaskState.COMPLETE:
                continue
            node = tx.get(Node, task.node_id) if task.node_id else None
            lost = bool(task.node_id) and (node is None or not node.usable) and not task.over
            failed = task.status.state > TaskState.COMPLETE
            if lost or failed:
                # a job's task that has failed is done over, as its policy says; a completed one never is
                made = self._restarter.restart(tx, service, task.changed(desired_state=TaskState.RUNNING))
                if made is not None:
                    tx.update(_again(tx, made).changed(desired_state=TaskState.READY))

    def _fill(self, tx: Tx, service: Service, tasks: list[Task]) -> None:
        job = (service.spec.get("Mode") or {}).get("ReplicatedJob") or {}
        concurrent = job.get("MaxConcurrent")
        total = job.get("TotalCompletions")
        width = 1 if concurrent is None else int(concurrent)
        wanted = width if total is None else int(total)
        width = width or wanted
        done = sum(task.status.state is TaskState.COMPLETE for task in tasks)
        under_way = [task for task in tasks if task.desired_state <= TaskState.COMPLETE and task.status.state < TaskState.COMPLETE]
        wanted -= sum(self._given_up(task, tasks, service) for task in tasks)
        count = min(width - len(under_way), wanted - done - len(under_way))
        for number in islice(making.free_slots({task.slot for task in tasks}), max(count, 0)):
            self._create(tx, service, number, "")

    def _given_up(self, task: Task, tasks: list[Task], service: Service) -> bool:
        """Whether a slot has failed for good: its newest task may not be restarted."""
        if task.status.state <= TaskState.COMPLETE:
            return False
        return making.newest(one for one in tasks if one.slot == task.slot) is task and not self._restarter.allowed(task, service)

    def _spread(self, tx: Tx, service: Service, tasks: list[Task]) -> None:
        had = {task.node_id for task in tasks}
        for node in tx.all(Node):
            if node.id not in had and node.usable and node.availability == "active" and constraints.match(service, node):
                self._create(tx, service, 0, node.id)

    def _create(self, tx: Tx, service: Service, slot: int, node_id: str) -> None:
        made = making.new_task(service, slot, node_id, self._clock.now_ns())
        tx.create(made.changed(desired_state=TaskState.COMPLETE, job_iteration=service.job_iteration))


def _again(tx: Tx, task: Task) -> Task:
    found = tx.get(Task, task.id)
    assert found is not None
    return found
