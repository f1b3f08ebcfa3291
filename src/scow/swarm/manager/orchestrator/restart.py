"""Restarting tasks that have ended: whether, when, and the wait between.

A replacement is made at once in the wanted state READY; it is released (wanted RUNNING) when the delay is over and, where the old task
still runs, when that has ended. Whoever made it (a restart, an update that another spec has cut short since, a manager that led before and
whose last commit came late), every task in that state is released here. The history that limits attempts travels in the tasks themselves,
so a new leader knows it, too.
"""

import asyncio
from collections.abc import Iterable

from scow.swarm.clock import Clock
from scow.swarm.manager.loop import Later
from scow.swarm.manager.tasks import held, new_task, restart_policy
from scow.swarm.objects import Service, Task, TaskState
from scow.swarm.store.store import Store, Tx

DEFAULT_DELAY_NS = 5_000_000_000
_OLD_TASK_NS = 60_000_000_000


class Restarter:
    """Ends and replaces tasks."""

    def __init__(self, store: Store, clock: Clock, later: Later) -> None:
        self._store = store
        self._clock = clock
        self._later = later
        self._known: set[str] = set()  # tasks in the wanted state READY whose release is under way
        self._waiting: dict[str, tuple[set[str], asyncio.Task[None]]] = {}  # of those, which wait → for whose end, and how long
        self._before: dict[str, str] = {}  # old task → the new one that waits for its end

    def allowed(self, task: Task, service: Service) -> bool:
        """Whether the policy lets an ended task be replaced."""
        policy = restart_policy(task.spec)
        condition = str(policy.get("Condition") or "any")
        if condition == "none":
            return False
        if condition == "on-failure" and task.status.state in (TaskState.COMPLETE, TaskState.SHUTDOWN):
            return False
        attempts = int(policy.get("MaxAttempts") or 0)
        if not attempts or is_updated(task, service):
            return True
        return len(self._recent(task)) < attempts

    def _recent(self, task: Task) -> tuple[int, ...]:
        window = int(restart_policy(task.spec).get("Window") or 0)
        if not window:
            return task.restarts_ns
        now = self._clock.now_ns()  # in the store, so by the wall clock: what is not yet comes from before it was set back
        return tuple(at for at in task.restarts_ns if now - window <= at <= now)

    def restart(self, tx: Tx, service: Service, task: Task) -> Task | None:
        """End `task` and replace it where the policy allows; the replacement. The task must be wanted still."""
        if not task.wanted:
            return None
        ended = task.changed(desired_state=TaskState.SHUTDOWN)
        tx.update(ended)
        if not self.allowed(task, service):
            return None
        now = self._clock.now_ns()
        wait = _delay(service)
        if not task.over:  # replaced, not failed: nothing to wait for but its end
            wait = 0
        made = new_task(service, task.slot, task.node_id if not task.slot else "", now)
        history = () if is_updated(task, service) else (*self._recent(task), now)
        made = made.changed(
            desired_state=TaskState.READY,
            not_before_ns=now + wait,
            restarts_ns=history[-1000:],
            job_iteration=task.job_iteration,
        )
        tx.create(made)
        self.release(made, [task.id] if held(tx, task) else [])
        return made

    def release(self, task: Task, old_ids: Iterable[str] = ()) -> None:
        """Let a task in the wanted state READY run when its time has come and those with `old_ids` have ended, at the latest after a
        minute. May be called before the task is stored, so within the transaction that makes it."""
        self._known.add(task.id)
        if olds := set(old_ids):
            timer = self._later(_OLD_TASK_NS / 1e9, lambda: self._stopped(task.id), f"before {task.id}")
            self._waiting[task.id] = olds, timer
            self._before |= dict.fromkeys(olds, task.id)
            return
        # never longer than the policy says, wherever the clock was set meanwhile
        wait = max(0, min(task.not_before_ns - self._clock.now_ns(), _delay(task))) / 1e9
        self._later(wait, lambda: self._start(task.id), f"start {task.id}")

    def changed(self, task: Task) -> None:
        """A task has changed: one that waits for its end may go on; one that nobody here has made is seen to."""
        if task.over:
            self.ended(task.id)
        elif task.desired_state is TaskState.READY:
            if task.id not in self._known:
                self.release(task, self._olders(task))
        else:
            self._known.discard(task.id)

    def ended(self, task_id: str) -> None:
        """A task is over or gone."""
        self._known.discard(task_id)
        new_id = self._before.pop(task_id, "")
        if (waiting := self._waiting.get(new_id)) is None:
            return
        olds, timer = waiting
        olds.discard(task_id)
        if not olds:
            timer.cancel()
            self._later(0, lambda: self._stopped(new_id), f"after {task_id}")

    def down(self, node_id: str) -> None:
        """A node is down: nobody waits for what ran there."""
        for task in self._store.by(Task, "node", node_id):
            if task.id in self._before:
                self.ended(task.id)

    async def _stopped(self, new_id: str) -> None:
        if self._waiting.pop(new_id, None) is None:
            return
        task = self._store.get(Task, new_id)
        if task is not None:
            self.release(task)
        else:  # where it is stored after all, it is seen to when it comes
            self._known.discard(new_id)

    async def _start(self, task_id: str) -> None:
        def write(tx: Tx) -> None:
            task = tx.get(Task, task_id)
            if task is not None and task.desired_state is TaskState.READY:
                tx.update(task.changed(desired_state=TaskState.RUNNING, not_before_ns=0))

        await self._store.update(write)
        self._known.discard(task_id)

    def _olders(self, task: Task) -> list[str]:
        """Those that are to end before a task, in its slot."""
        there = self._store.by(Task, "slot", task.slot_key)
        return [other.id for other in there if other.id != task.id and not other.wanted and held(self._store, other)]

    def resume(self) -> None:
        """Where changes may have been missed, as at the start of a leadership: take up what an earlier leader had begun, and see who has
        ended meanwhile."""
        for old_id in list(self._before):
            old = self._store.get(Task, old_id)
            if old is None or not held(self._store, old):
                self.ended(old_id)
        for task in self._store.all(Task):
            if task.desired_state is TaskState.READY:
                self.changed(task)


def _delay(of: Task | Service) -> int:
    """What the policy says must pass before a restart, in nanoseconds."""
    found = restart_policy(of.spec if isinstance(of, Task) else of.task_spec).get("Delay")
    return DEFAULT_DELAY_NS if found is None else int(found)


def is_updated(task: Task, service: Service) -> bool:
    """Whether the service has another spec by now: attempts are counted anew."""
    return dict(task.spec) != dict(service.task_spec)
