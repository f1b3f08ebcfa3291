"""All tasks of this node: a runner for each, dependencies kept while tasks need them, containers that nobody knows of removed.

Tasks that were started are also kept in the node's own database (table `swarm_tasks`), so that a restarted daemon goes on with them before
it has found a manager.
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from scow import log
from scow.aio import Supervisor
from scow.errors import ScowError
from scow.metadata import Database
from scow.swarm.agent.executor import Dependencies, Executor
from scow.swarm.agent.task import Report, TaskRunner
from scow.swarm.clock import Clock
from scow.swarm.objects import Task, TaskState, TaskStatus, from_json, to_json
from scow.swarm.wire import Assignment

logger = log.get(__name__)

_SHUTDOWN_SECONDS = 60.0
_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class Worker:
    """Runs what is assigned."""

    def __init__(self, executor: Executor, clock: Clock, db: Database, report: Report) -> None:
        self._executor = executor
        self._clock = clock
        self._table = db.table("swarm_tasks")
        self._report = report
        self._runners: dict[str, TaskRunner] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._secrets: dict[str, tuple[str, bytes]] = {}
        self._configs: dict[str, tuple[str, bytes]] = {}
        self._services: dict[str, Mapping[str, Any]] = {}
        self._node: Mapping[str, Any] = {}
        self._supervisor = Supervisor("swarm tasks")

    def recover(self) -> None:
        """Take up the tasks of before the restart, those that need no secret; the others wait for the dispatcher."""
        for row in self._table.all().values():
            task = from_json("task", row)
            if isinstance(task, Task) and task.status.state >= TaskState.STARTING and not _needs(task):
                self._begin(task)

    def task(self, id: str) -> TaskRunner | None:
        """The runner of a task of this node."""
        return self._runners.get(id)

    def statuses(self) -> list[tuple[str, TaskStatus]]:
        """Where every task is: told at the begin of a session."""
        return [(id, runner.task.status) for id, runner in self._runners.items()]

    async def assign(self, assignment: Assignment) -> None:
        """Do what the dispatcher says."""
        for id, row in assignment.secrets.items():
            self._secrets[id] = (row["name"], base64.b64decode(row["data"]))
        for id, row in assignment.configs.items():
            self._configs[id] = (row["name"], base64.b64decode(row["data"]))
        self._services |= assignment.services
        if assignment.cluster is not None:
            await self._executor.configure({"cluster": assignment.cluster})
        for task in assignment.tasks:
            self._take(task)
        gone = set(assignment.removed)
        if assignment.complete:
            kept = {task.id for task in assignment.tasks}
            gone |= set(self._runners) - kept
            self._supervisor.start(self._discard(kept), "unknown containers")
        for id in gone:
            self._drop(id)

    def describe_node(self, node: Mapping[str, Any]) -> None:
        """What templates may say about this node."""
        self._node = node

    def _take(self, task: Task) -> None:
        runner = self._runners.get(task.id)
        if runner is None:
            self._begin(task)
        else:
            runner.update(task)
            self._keep(runner.task)
            if runner.task.wanted:
                self._supervisor.start(self._tell(runner), f"change of {task.id}")

    async def _tell(self, runner: TaskRunner) -> None:
        with contextlib.suppress(ScowError):
            await runner.controller.update(runner.task)

    def _begin(self, task: Task) -> None:
        container = task.spec.get("ContainerSpec") or {}
        service = self._services.get(task.service_id) or {"ID": task.service_id, "Name": task.service_name, "Labels": task.labels}
        needs = Dependencies(
            secrets={id: self._secrets[id] for row in container.get("Secrets") or () if (id := str(row.get("SecretID"))) in self._secrets},
            configs={id: self._configs[id] for row in container.get("Configs") or () if (id := str(row.get("ConfigID"))) in self._configs},
            registry_auth=str(service.get("auth") or ""),
            service=service,
            node=self._node,
        )
        runner = TaskRunner(task, self._executor.controller(task, needs), self._clock, self._noted)
        self._runners[task.id] = runner
        self._keep(task)
        self._running[task.id] = self._supervisor.start(runner.run(), task.name)

    async def _noted(self, id: str, status: TaskStatus) -> None:
        runner = self._runners.get(id)
        if runner is not None:
            self._keep(runner.task)
        await self._report(id, status)

    def _keep(self, task: Task) -> None:
        """For a restarted daemon; before it is started a task has nothing that could be lost."""
        if task.status.state >= TaskState.STARTING or task.id in self._table:
            self._table.put(task.id, to_json(task))

    def _drop(self, id: str) -> None:
        """The task is no more: its container goes, too."""
        runner = self._runners.pop(id, None)
        running = self._running.pop(id, None)
        self._table.delete(id)
        if running is not None:
            running.cancel()
        if runner is not None:
            self._supervisor.start(self._remove(runner, running), f"remove {id}")

    async def _remove(self, runner: TaskRunner, running: "asyncio.Task[None] | None") -> None:
        if running is not None:
            await asyncio.wait([running])  # what it was about to make is there, or never will be

        async def work() -> None:
            if not runner.task.over:
                await runner.controller.shutdown()
            await runner.controller.remove()

        await self._surely(work, runner.task.id)

    async def _surely(self, work: Callable[[], Awaitable[None]], task_id: str) -> None:
        """Remove something of a task that is no more; nobody would ask for it again, so until it works."""
        for tries in itertools.count():
            try:
                await work()
                return
            except ScowError as error:
                wait = _AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)]
                logger.warning("container of task %s could not be removed, again in %.0f s: %s", task_id, wait, error.message)
                await self._clock.sleep(wait)

    async def _discard(self, known: set[str]) -> None:
        for id in await self._executor.found() - known - set(self._runners):
            self._supervisor.start(self._surely(partial(self._executor.discard, id), id), f"discard {id}")

    async def leave(self) -> None:
        """The node leaves the cluster: every task ends and its container goes."""
        for id in list(self._runners):
            self._drop(id)
        await self._supervisor.drain(_SHUTDOWN_SECONDS)
        for id in await self._executor.found():
            with contextlib.suppress(ScowError):
                await self._executor.discard(id)
        for id in list(self._table.all()):
            self._table.delete(id)

    async def close(self) -> None:
        """The daemon stops: containers live on."""
        await self._supervisor.close()


def _needs(task: Task) -> bool:
    container = task.spec.get("ContainerSpec") or {}
    return bool(container.get("Secrets") or container.get("Configs")) and task.status.state < TaskState.RUNNING
