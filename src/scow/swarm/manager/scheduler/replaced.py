"""Which tasks an update that starts new ones first is yet to replace, counted by node, so that placing a task costs the same however many
its service has. Kept by the scheduler: counted once when an update's first task is placed, then after each change of a task."""

from collections.abc import Iterable, Mapping

from scow.swarm.manager.scheduler.nodes import holds
from scow.swarm.manager.tasks import is_dirty
from scow.swarm.objects import Service, Task


class Replaced:
    """Of one service: its tasks on nodes of versions before `version` and of another spec than its present one."""

    def __init__(self, service: Service, version: int, tasks: Iterable[Task]) -> None:
        self._service = service
        self._version = version
        self._nodes: dict[str, str] = {}  # task → its node
        self._counts: dict[str, int] = {}
        for task in tasks:
            self.note(task)

    def of(self, service: Service) -> bool:
        """Whether this was counted for the spec that the service has now."""
        return self._service.spec_version == service.spec_version and self._service.spec == service.spec

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are on each node; absent: none."""
        return self._counts

    def note(self, task: Task) -> None:
        """A task of the service is as it is given."""
        if task.spec_version >= self._version:
            return
        node = task.node_id if task.wanted and holds(task) else ""
        if node == self._nodes.get(task.id, ""):
            return
        self.gone(task.id)
        if node and is_dirty(self._service, task):
            self._nodes[task.id] = node
            self._counts[node] = self._counts.get(node, 0) + 1

    def gone(self, task_id: str) -> None:
        """A task is not there any more; unknown is fine."""
        if node := self._nodes.pop(task_id, ""):
            self._counts[node] -= 1
