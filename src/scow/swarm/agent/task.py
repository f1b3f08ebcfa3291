"""One task on its node: from what is wanted to what is, one step at a time. States only grow."""

import asyncio
from collections.abc import Awaitable, Callable

from scow import log
from scow.aio import heed_cancel
from scow.errors import ScowError
from scow.swarm.agent.executor import Controller, Failed, Rejected, Temporary
from scow.swarm.clock import Clock
from scow.swarm.objects import Task, TaskState, TaskStatus

logger = log.get(__name__)

Report = Callable[[str, TaskStatus], Awaitable[None]]

_RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


async def step(task: Task, controller: Controller, now_ns: int) -> TaskStatus | None:
    """Do the next thing; the status behind it, None when there is nothing to do until the task object changes.

    Raises Temporary when the same step is to be tried again.
    """
    state, wanted = task.status.state, task.desired_state
    if state > TaskState.RUNNING:
        return None

    def to(new: TaskState, message: str, error: str = "") -> TaskStatus:
        return TaskStatus(new, now_ns, message, error, task.status.container, task.status.ports)

    if wanted > TaskState.COMPLETE:
        if state >= TaskState.PREPARING:
            try:
                await controller.shutdown()
            except ScowError as error:  # it is wanted no more, and still there
                raise Temporary(error.message) from error
        return to(TaskState.SHUTDOWN, "shutdown")
    try:
        match state:
            case TaskState.ASSIGNED:
                return to(TaskState.ACCEPTED, "accepted")
            case TaskState.ACCEPTED:
                return to(TaskState.PREPARING, "preparing")
            case TaskState.PREPARING:
                await controller.prepare()
                return to(TaskState.READY, "prepared")
            case TaskState.READY:
                return to(TaskState.STARTING, "starting") if wanted >= TaskState.RUNNING else None
            case TaskState.STARTING:
                await controller.start()
                return to(TaskState.RUNNING, "started")
            case TaskState.RUNNING:
                await controller.wait()
                return to(TaskState.COMPLETE, "finished")
            case _:
                return None
    except Rejected as error:
        return to(TaskState.REJECTED, "preparing", error.message)
    except Temporary:
        raise
    except Failed as error:
        return to(TaskState.FAILED, "started" if state is TaskState.RUNNING else "starting", error.message)
    except (ScowError, OSError) as error:
        reason = error.message if isinstance(error, ScowError) else str(error)
        if state < TaskState.STARTING:
            return to(TaskState.REJECTED, "preparing", reason)
        return to(TaskState.FAILED, "starting", reason)


class TaskRunner:
    """Drives one task until it is over or closed; `update` gives it the newest object."""

    def __init__(self, task: Task, controller: Controller, clock: Clock, report: Report) -> None:
        self.task = task
        self.controller = controller
        self._clock = clock
        self._report = report
        self._changed = asyncio.Event()
        self._stepping: asyncio.Task[None] | None = None

    def update(self, task: Task) -> None:
        """A newer object from the dispatcher: the wanted state may have grown; this node's own status counts more than the sent one."""
        before = self.task
        self.task = task.changed(status=before.status if before.status.state >= task.status.state else task.status)
        self._changed.set()
        if task.desired_state > TaskState.COMPLETE >= before.desired_state and self._stepping is not None:
            self._stepping.cancel()  # whatever it waits for, it is to end now

    async def run(self) -> None:
        """Step on until the task is over; ends by cancellation otherwise."""
        tries = 0
        while not self.task.over:
            self._changed.clear()
            wait = _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]
            try:
                status = await self._step()
                if status is not None:
                    await self._note(status)
            except Temporary as error:
                logger.info("task %s is tried again in %.1f s: %s", self.task.id, wait, error.message)
            except Exception:  # a task that nobody drives would neither end nor be replaced
                heed_cancel()
                logger.exception("task %s is tried again in %.1f s", self.task.id, wait)
            else:
                tries = 0
                if status is None:
                    await self._changed.wait()
                continue
            tries += 1
            await self._clock.sleep(wait)

    async def _step(self) -> TaskStatus | None:
        """One step; when the task is to end meanwhile, what it waits for is given up and the step that ends it follows."""
        outcome: list[TaskStatus | ScowError | None] = []

        async def work() -> None:
            try:
                outcome.append(await step(self.task, self.controller, self._clock.now_ns()))
            except ScowError as error:
                outcome.append(error)

        async with asyncio.TaskGroup() as group:
            self._stepping = group.create_task(work())
            await asyncio.wait([self._stepping])
        self._stepping = None
        if not outcome:
            return await step(self.task, self.controller, self._clock.now_ns())
        if isinstance(outcome[0], ScowError):
            raise outcome[0]
        return outcome[0]

    async def _note(self, status: TaskStatus) -> None:
        """Take a status over and tell it, with the facts of the container."""
        at = self._clock.now_ns()
        if status.state >= TaskState.READY:
            found = await self.controller.status()
            ports = await self.controller.ports() if status.state is TaskState.RUNNING else status.ports
            status = TaskStatus(status.state, at, status.message, status.error, found or status.container, tuple(ports))
        if status.state > self.task.status.state:
            self.task = self.task.changed(status=status)
            await self._report(self.task.id, status)
