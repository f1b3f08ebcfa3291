"""What is over goes: tasks of removed services, tasks to be removed that have ended, history beyond what the cluster keeps."""

from functools import partial

from scow.swarm.manager import tasks as making
from scow.swarm.objects import Cluster, Node, Object, Service, Task, TaskState
from scow.swarm.store.store import Change, Store, Tx

_BATCH = 200


class Reaper:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Service, Task, Cluster, Node)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gone: set[str] = set()  # services that were removed
        self._slots: set[str] = set()  # "service/slot" with something new
        self._over: set[str] = set()  # tasks that may be deleted

    def setup(self) -> None:
        """See Loop."""
        for task in self._store.all(Task):
            self._note(task)
            if self._store.get(Service, task.service_id) is None:
                self._gone.add(task.service_id)

    def _note(self, task: Task) -> None:
        if self.deletable(task):
            self._over.add(task.id)
        if not task.active:
            self._slots.add(task.slot_key)

    def deletable(self, task: Task) -> bool:
        """Whether a task that is to be removed has ended, or never reached a node that could still run it."""
        if task.desired_state is not TaskState.REMOVE:
            return task.status.state is TaskState.ORPHANED
        if task.over or task.status.state < TaskState.ASSIGNED or not task.node_id:
            return True
        return self._store.get(Node, task.node_id) is None

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Service):
            if change.new is None:
                self._gone.add(one.id)
        elif isinstance(one, Task):
            if change.new is not None:
                self._note(one)
        elif isinstance(one, Node):
            if change.new is None:
                for task in self._store.by(Task, "node", one.id):
                    self._note(task)
        elif isinstance(one, Cluster):
            self._slots |= {task.slot_key for task in self._store.all(Task)}

    async def tick(self) -> None:
        """See Loop."""
        for service_id in list(self._gone):
            await self._store.update(partial(self._dismiss, service_id=service_id))
            self._gone.discard(service_id)
        self._over |= self._surplus()
        while self._over:
            batch = list(self._over)[:_BATCH]
            await self._store.update(partial(self._delete, ids=batch))
            self._over.difference_update(batch)

    def _dismiss(self, tx: Tx, service_id: str) -> None:
        if tx.get(Service, service_id) is not None:
            return
        for task in tx.by(Task, "service", service_id):
            if task.desired_state is not TaskState.REMOVE:
                tx.update(task.changed(desired_state=TaskState.REMOVE))

    def _delete(self, tx: Tx, ids: list[str]) -> None:
        for id in ids:
            if tx.get(Task, id) is not None:
                tx.delete(Task, id)

    def _surplus(self) -> set[str]:
        """Ended tasks beyond the history that is kept of their slots."""
        limit = making.history_limit(self._store)
        slots, self._slots = self._slots, set()
        if limit < 0:
            return set()
        found: set[str] = set()
        for slot in slots:
            tasks = self._store.by(Task, "slot", slot)
            # those that nobody was found for will not run any more, and no node says so
            ended = [task for task in tasks if not task.wanted and (task.over or task.status.state < TaskState.ASSIGNED)]
            ended.sort(key=lambda task: (task.created_ns, task.id))
            found |= {task.id for task in ended[: max(0, len(tasks) - limit)]}
        return found
