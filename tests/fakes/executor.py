"""An engine for the swarm that runs nothing: tasks are what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from scow.swarm.agent.executor import Controller, Dependencies, Failed, Rejected
from scow.swarm.objects import ContainerStatus, Task


class FakeController:
    """`engine.log` has what was done; a task ends when its `ended` future is given an exit code."""

    def __init__(self, engine: "FakeExecutor", task: Task, needs: Dependencies) -> None:
        self.engine, self.task, self.needs = engine, task, needs
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def _did(self, what: str) -> None:
        self.engine.log.append((what, self.task.id))

    async def prepare(self) -> None:
        self._did("prepare")
        if self.engine.reject(self.task):
            raise Rejected("No such image: x")
        self.engine.containers.add(self.task.id)

    async def start(self) -> None:
        self._did("start")

    async def wait(self) -> None:
        code = await asyncio.shield(self.ended)
        if code:
            raise Failed(f"task: non-zero exit ({code})", code)

    async def shutdown(self) -> None:
        self._did("shutdown")
        if not self.ended.done():
            self.ended.set_result(143)

    async def remove(self) -> None:
        self._did("remove")
        self.engine.containers.discard(self.task.id)

    async def update(self, task: Task) -> None:
        self.task = task

    async def status(self) -> ContainerStatus | None:
        return ContainerStatus(f"c-{self.task.id}", 1) if self.task.id in self.engine.containers else None

    async def ports(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    async def logs(self, options: Mapping[str, Any]) -> AsyncIterator[tuple[int, int, bytes]]:
        yield 1, 1_000_000_000, f"hello of {self.task.id}\n".encode()


class FakeExecutor:
    """An Executor."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.containers: set[str] = set()
        self.controllers: dict[str, FakeController] = {}
        self.configured: list[Mapping[str, Any]] = []
        self.reject: Callable[[Task], bool] = lambda task: False

    async def describe(self) -> dict[str, Any]:
        return {
            "Hostname": "here",
            "Platform": {"OS": "linux", "Architecture": "x86_64"},
            "Resources": {"NanoCPUs": 4 * 10**9, "MemoryBytes": 8 << 30},
            "Engine": {"EngineVersion": "28.2.2"},
        }

    async def configure(self, state: Mapping[str, Any]) -> None:
        self.configured.append(state)

    def controller(self, task: Task, needs: Dependencies) -> Controller:
        made = FakeController(self, task, needs)
        self.controllers[task.id] = made
        return made

    async def usage(self) -> dict[str, dict[str, float]]:
        return {}

    async def found(self) -> set[str]:
        return set(self.containers)

    async def discard(self, task_id: str) -> None:
        self.log.append(("discard", task_id))
        self.containers.discard(task_id)
