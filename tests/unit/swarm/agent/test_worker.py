"""Tasks on their node when the engine refuses: what is to end ends, what is to go goes, as soon as it can."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scow.errors import Internal
from scow.metadata import Database
from scow.swarm.agent.worker import Worker
from scow.swarm.clock import ManualClock
from scow.swarm.objects import Task, TaskState, TaskStatus
from scow.swarm.wire import Assignment
from tests.fakes.executor import FakeController, FakeExecutor
from tests.support.asynchronous import on_loop, until

TASK = Task(id="t", service_id="s", slot=1, spec={"ContainerSpec": {"Image": "x"}}, status=TaskStatus(TaskState.ASSIGNED))


class Refusing:
    """A verb that fails some times before it works: the engine's own error, then one that nobody has thought of."""

    def __init__(self, times: int = 2) -> None:
        self.errors: list[Exception] = [Internal("it did not end after SIGKILL"), RuntimeError("unheard of")][:times]
        self.tried = 0

    def __call__(self) -> None:
        self.tried += 1
        if self.errors:
            raise self.errors.pop(0)


class Node:
    """A worker on an engine that runs nothing."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.engine = ManualClock(), FakeExecutor()
        self.said: dict[str, TaskState] = {}
        self.worker = Worker(self.engine, self.clock, Database(folder / "meta.db"), self._report)

    async def _report(self, id: str, status: TaskStatus) -> None:
        self.said[id] = status.state

    async def give(self, task: Task) -> None:
        await self.worker.assign(Assignment(False, (task,)))

    async def until(self, condition: Callable[[], object]) -> None:
        """Time goes on until it holds."""

        def looked() -> object:
            self.clock.advance(0.5)
            return condition()

        await until(looked)


@on_loop
async def test_a_task_that_cannot_be_stopped_at_once_is_stopped_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path)
    await node.give(TASK)
    await until(lambda: node.said.get("t") is TaskState.RUNNING)
    refusing = Refusing()
    shutdown = FakeController.shutdown

    async def stop(self: FakeController) -> None:
        refusing()
        await shutdown(self)

    monkeypatch.setattr(FakeController, "shutdown", stop)
    await node.give(TASK.changed(desired_state=TaskState.SHUTDOWN))
    await node.until(lambda: node.said["t"] is TaskState.SHUTDOWN)
    assert refusing.tried == 3
    await node.worker.close()


@on_loop
async def test_a_container_that_cannot_be_removed_at_once_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path)
    await node.give(TASK)
    await until(lambda: node.said.get("t") is TaskState.RUNNING)
    refusing = Refusing(1)
    remove = FakeController.remove

    async def gone(self: FakeController) -> None:
        refusing()
        await remove(self)

    monkeypatch.setattr(FakeController, "remove", gone)
    await node.worker.assign(Assignment(False, removed=("t",)))
    await node.until(lambda: not node.engine.containers)
    assert refusing.tried == 2

    node.engine.containers.add("stranger")
    refusing = Refusing(1)
    discard = node.engine.discard

    async def unknown(task_id: str) -> None:
        refusing()
        await discard(task_id)

    monkeypatch.setattr(node.engine, "discard", unknown)
    await node.worker.assign(Assignment(True))
    await node.until(lambda: not node.engine.containers)
    await node.worker.close()
