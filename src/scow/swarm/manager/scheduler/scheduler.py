"""Gives nodes to tasks. PENDING tasks become ASSIGNED, or stay PENDING with the reason why nobody takes them.

Tasks of one spec are placed as a group: filters run once per node and group, then the group is dealt out over a heap of nodes, so that the
cost per task does not grow with the number of nodes. Spread preferences are nested groups of nodes that are filled evenly.
"""

import dataclasses
import heapq
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from scow.swarm.clock import Clock
from scow.swarm.manager.orchestrator.update import UNDER_WAY, config_of, status_of
from scow.swarm.manager.scheduler.filters import Pipeline
from scow.swarm.manager.scheduler.nodes import Room, claim, holds
from scow.swarm.manager.scheduler.replaced import Replaced
from scow.swarm.objects import Node, Object, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import Change, Store, Tx

_BATCH = 200
_NOBODY = "no suitable node"


class Scheduler:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Task, Node, Service)

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rooms: dict[str, Room] = {}
        self._replaced: dict[str, dict[int, Replaced]] = {}  # service in such an update → version of tasks that are placed → what goes
        self._waiting: dict[str, None] = {}
        self._retry: dict[str, None] = {}
        self._changed = False

    def setup(self) -> None:
        """See Loop."""
        self._rooms = {node.id: Room.of(node, self._store.by(Task, "node", node.id)) for node in self._store.all(Node)}
        self._waiting = {task.id: None for task in self._store.all(Task) if self._due(task)}
        self._retry = {}
        self._replaced = {}

    @staticmethod
    def _due(task: Task) -> bool:
        return task.status.state is TaskState.PENDING and task.desired_state <= TaskState.COMPLETE

    def handle(self, change: Change) -> None:
        """See Loop."""
        one = change.object
        if isinstance(one, Node):
            self._node(change, one)
        elif isinstance(one, Task):
            self._task(change, one)
        elif isinstance(one, Service) and (change.new is None or not _starts_first(one)):
            self._replaced.pop(one.id, None)

    def _node(self, change: Change, node: Node) -> None:
        if change.new is None:
            self._rooms.pop(node.id, None)
            return
        room = self._rooms.get(node.id)
        if (
            room is not None
            and isinstance(change.old, Node)
            and change.old.description.get("Resources") == node.description.get("Resources")
        ):
            room.node = node
        else:
            self._rooms[node.id] = Room.of(node, self._store.by(Task, "node", node.id))
        self._changed = True

    def _task(self, change: Change, task: Task) -> None:
        old = change.old
        for replaced in self._replaced.get(task.service_id, {}).values():
            replaced.gone(task.id) if change.new is None else replaced.note(task)
        if isinstance(old, Task) and old.node_id and (change.new is None or old.node_id != task.node_id or not holds(task)):
            room = self._rooms.get(old.node_id)
            if room is not None and task.id in room.tasks:
                room.drop(task.id)
                self._changed = True
                # what was to end anyway says nothing about the node: after a power cut all that ran there has ended badly
                wanted = change.new is not None and task.desired_state <= TaskState.COMPLETE
                if wanted and task.status.state in (TaskState.FAILED, TaskState.REJECTED):
                    room.failed(task, self._clock.elapsed_ns())
        if change.new is None:
            self._waiting.pop(task.id, None)
            self._retry.pop(task.id, None)
            return
        if task.node_id and holds(task) and (room := self._rooms.get(task.node_id)) is not None:
            room.add(task)
        if self._due(task):
            if task.id not in self._retry:
                self._waiting[task.id] = None
        else:
            self._waiting.pop(task.id, None)
            self._retry.pop(task.id, None)

    async def tick(self) -> None:
        """See Loop."""
        if self._changed:
            self._waiting = {**self._retry, **self._waiting}
            self._retry = {}
            self._changed = False
        if not self._waiting:
            return
        decided: list[tuple[Task, str]] = []
        stuck: list[tuple[Task, str]] = []
        for group in self._groups():
            placed, left, reason = self._place(group)
            decided += placed
            stuck += [(task, reason) for task in left]
        for start in range(0, len(decided), _BATCH):
            batch = decided[start : start + _BATCH]
            refused = await self._store.update(partial(self._assign, rows=batch))
            for task in refused:  # those that still wait are tried again when their node's change is heard, which was why
                self._rooms[task.node_id].drop(task.id)
                self._retry[task.id] = None
        for start in range(0, len(stuck), _BATCH):
            batch = stuck[start : start + _BATCH]
            await self._store.update(partial(self._explain, rows=batch))
        self._retry |= {task.id: None for task, _ in stuck}
        self._waiting = {}

    def _groups(self) -> list[list[Task]]:
        """Waiting tasks that are alike, in order of age."""
        groups: dict[tuple[str, int, str], list[Task]] = {}
        for id in self._waiting:
            task = self._store.get(Task, id)
            if task is not None and self._due(task):
                groups.setdefault((task.service_id, task.spec_version, task.node_id), []).append(task)
        return list(groups.values())

    def _place(self, group: Sequence[Task]) -> tuple[list[tuple[Task, str]], list[Task], str]:
        """(task, node) pairs, those that nobody takes, and why."""
        first = group[0]
        if first.node_id:  # a global service's: its node is given
            rooms: Iterable[Room] = [self._rooms[first.node_id]] if first.node_id in self._rooms else []
        else:
            rooms = self._rooms.values()
        pipeline = Pipeline(first)
        fitting = [room for room in rooms if pipeline.fits(room)]
        preferences = [
            str((row.get("Spread") or {}).get("SpreadDescriptor") or "")
            for row in (first.spec.get("Placement") or {}).get("Preferences") or ()
        ]
        counts = _Counts(first.service_id, self._old(first), self._clock.elapsed_ns())
        tree = _Branch(pipeline, fitting, [one for one in preferences if one], counts)
        placed: list[tuple[Task, str]] = []
        left: list[Task] = []
        for task in group:
            room = tree.take()
            if room is None:
                left.append(task)
                continue
            status = dataclasses.replace(task.status, state=TaskState.ASSIGNED)
            mine = task.changed(node_id=room.node.id, generic_resources=claim(task, room), status=status)
            room.add(mine)
            placed.append((mine, room.node.id))
        if not left:
            return placed, left, ""
        pipeline = Pipeline(first)
        for room in rooms:
            pipeline.fits(room)
        return placed, left, pipeline.explain()

    def _old(self, first: Task) -> Mapping[str, int]:
        """How many tasks of a service are on each node and yet to be replaced by an update that starts new ones first: where they are says
        nothing of where those should go. With them counted it would leave the nodes empty that had many."""
        service = self._store.get(Service, first.service_id)
        if first.node_id or service is None or not _starts_first(service):
            return {}
        versions = self._replaced.setdefault(service.id, {})
        found = versions.get(first.spec_version)
        if found is None or not found.of(service):
            found = versions[first.spec_version] = Replaced(service, first.spec_version, self._store.by(Task, "service", service.id))
        return found.counts

    def _assign(self, tx: Tx, rows: Sequence[tuple[Task, str]]) -> list[Task]:
        """Write decisions; what has changed meanwhile is left out and given back."""
        refused: list[Task] = []
        for wanted, node_id in rows:
            task = tx.get(Task, wanted.id)
            node = tx.get(Node, node_id)
            if task is None or node is None or not self._due(task) or node.status_state != "ready":
                refused.append(wanted)
                continue
            status = TaskStatus(TaskState.ASSIGNED, self._clock.now_ns(), "scheduler assigned task to node")
            tx.update(task.changed(node_id=node_id, status=status, generic_resources=wanted.generic_resources))
        return refused

    def _explain(self, tx: Tx, rows: Sequence[tuple[Task, str]]) -> None:
        for stuck, reason in rows:
            task = tx.get(Task, stuck.id)
            text = f"{_NOBODY} ({reason})" if reason else _NOBODY
            if task is not None and self._due(task) and task.status.error != text:
                status = TaskStatus(TaskState.PENDING, self._clock.now_ns(), "pending task scheduling", text)
                tx.update(task.changed(status=status))


def _starts_first(service: Service) -> bool:
    """Whether an update is under way that starts new tasks before it ends those that they replace."""
    return status_of(service) in UNDER_WAY and config_of(service).get("Order") == "start-first"


@dataclasses.dataclass(frozen=True, slots=True)
class _Counts:
    """What nodes are compared by, for one service; `old`: its tasks that will be replaced anyway, by node."""

    service: str
    old: Mapping[str, int]
    at_ns: int

    def mine(self, room: Room) -> int:
        """Tasks of the service on a node."""
        return room.per_service.get(self.service, 0) - self.old.get(room.node.id, 0)

    def flaky(self, room: Room) -> int:
        """See Room."""
        return room.flaky(self.service, self.at_ns)


class _Branch:
    """Nodes to fill evenly: a heap of them, or a heap of branches by the value of a label."""

    def __init__(self, pipeline: Pipeline, rooms: Sequence[Room], preferences: Sequence[str], counts: _Counts) -> None:
        self._pipeline = pipeline
        self._counts = counts
        self._branches: list[tuple[int, int, _Branch]] = []
        self._heap: list[tuple[int, int, int, str, Room]] = []
        if preferences:
            groups: dict[str, list[Room]] = {}
            for room in rooms:
                groups.setdefault(_label(room, preferences[0]), []).append(room)
            for number, value in enumerate(sorted(groups)):
                inside = groups[value]
                count = sum(map(counts.mine, inside))
                self._branches.append((count, number, _Branch(pipeline, inside, preferences[1:], counts)))
            heapq.heapify(self._branches)
        else:
            self._heap = [self._entry(room) for room in rooms]
            heapq.heapify(self._heap)

    def _entry(self, room: Room) -> tuple[int, int, int, str, Room]:
        return (self._counts.flaky(room), self._counts.mine(room), len(room.tasks), room.node.id, room)

    def take(self) -> Room | None:
        """The best node that still fits; it counts as used."""
        while self._branches:
            count, number, branch = self._branches[0]
            room = branch.take()
            if room is None:
                heapq.heappop(self._branches)
                continue
            heapq.heapreplace(self._branches, (count + 1, number, branch))
            return room
        while self._heap:
            room = self._heap[0][4]
            if not self._pipeline.fits(room):
                heapq.heappop(self._heap)
                continue
            flaky, mine, total, id, _ = self._entry(room)
            heapq.heapreplace(self._heap, (flaky, mine + 1, total + 1, id, room))
            return room
        return None


def _label(room: Room, descriptor: str) -> str:
    lowered = descriptor.lower()
    if lowered.startswith("node.labels."):
        return str((room.node.spec.get("Labels") or {}).get(descriptor[len("node.labels.") :], ""))
    if lowered.startswith("engine.labels."):
        labels = (room.node.description.get("Engine") or {}).get("Labels") or {}
        return str(labels.get(descriptor[len("engine.labels.") :], ""))
    return ""
