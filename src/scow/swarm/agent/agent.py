"""The agent: finds a dispatcher, says hello, beats, runs what it is told, reports. Comes back by itself when the connection breaks."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scow import log
from scow.aio import Supervisor, heed_cancel
from scow.errors import NotFound, ScowError, Unavailable
from scow.swarm.agent.executor import Executor
from scow.swarm.agent.worker import Worker
from scow.swarm.clock import Clock
from scow.swarm.objects import TaskStatus
from scow.swarm.wire import Assignment, Session

logger = log.get(__name__)

_BACKOFF_SECONDS = (0.1, 0.3, 0.5, 1.0, 1.0, 2.0, 3.0)

Dial = Callable[[], Awaitable[Session]]


class Agent:
    """One node's side. `dial()` gives a session with the manager that leads; `removed()` is called when the cluster no longer knows this
    node, `told` with every assignment that the worker has taken; `tls()`: Docker's TLSInfo of this node, which managers are told."""

    def __init__(
        self,
        executor: Executor,
        clock: Clock,
        worker: Callable[["Agent"], Worker],
        dial: Dial,
        address: str,
        removed: Callable[[], None],
        told: Callable[[Assignment], None] = lambda assignment: None,
        tls: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._executor = executor
        self._clock = clock
        self._dial = dial
        self._address = address
        self._removed = removed
        self._told = told
        self._tls = tls
        self._stale = asyncio.Event()
        self._session: Session | None = None
        self._unsent: dict[str, TaskStatus] = {}
        self._wake = asyncio.Event()
        self._supervisor = Supervisor("swarm agent")
        self.worker = worker(self)
        self.connected = asyncio.Event()
        self.error = ""

    @property
    def session(self) -> Session:
        """The connection with the manager that leads. Raises Unavailable while there is none."""
        if self._session is None or not self.connected.is_set():
            raise Unavailable(f"no manager of the swarm can be reached{': ' + self.error if self.error else ''}")
        return self._session

    async def report(self, id: str, status: TaskStatus) -> None:
        """Queue a status; the newest of a task counts."""
        self._unsent[id] = status
        self._wake.set()

    def refresh(self) -> None:
        """Begin a new session: this node has another certificate, or believes other roots. Tasks go on."""
        self._stale.set()

    def start(self) -> None:
        """Begin."""
        self.worker.recover()
        self._supervisor.start(self._live(), "session")

    async def close(self) -> None:
        """The daemon stops; tasks live on."""
        await self._supervisor.close()
        await self.worker.close()

    async def leave(self, farewell: bool = True) -> None:
        """The node leaves: the manager is told, where it can be reached and `farewell` says so; tasks end."""
        if farewell and self._session is not None and self.connected.is_set():
            with contextlib.suppress(ScowError):
                await self._session.leave()
        await self._supervisor.close()
        await self.worker.leave()
        await self.worker.close()

    async def _live(self) -> None:
        tries = 0
        while True:
            try:
                self._session = session = await self._dial()
                self._stale.clear()
                description = await self._executor.describe()
                known = self._tls()
                period = await session.register({**description, **({"TLSInfo": known} if known else {})}, self._address)
                self.worker.describe_node(_for_templates(description))
                tries = 0
                self.error = ""
                self.connected.set()
                await self._serve(session, period)
            except NotFound as error:
                logger.warning("the cluster no longer knows this node: %s", error.message)
                self.error = error.message
                self._removed()
                return
            except ScowError as error:
                self.error = error.message
                logger.info("no session with a manager: %s", error.message)
            except Exception:
                heed_cancel()
                self.error = "this engine failed, its log says how"
                logger.exception("a session with a manager failed and begins again")
            finally:
                self.connected.clear()
                if self._session is not None:
                    closing, self._session = self._session, None
                    await closing.close()
            wait = _BACKOFF_SECONDS[min(tries, len(_BACKOFF_SECONDS) - 1)]
            tries += 1
            await self._clock.sleep(wait * (0.75 + random.random() / 2))

    async def _serve(self, session: Session, period: float) -> None:
        """Until one of the three streams breaks, or the session is to be another."""
        outcome: list[ScowError] = []

        async def guarded(work: Awaitable[object]) -> None:
            try:
                await work
            except ScowError as error:
                outcome.append(error)

        self._unsent = {**dict(self.worker.statuses()), **self._unsent}
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            jobs = [
                group.create_task(guarded(self._assignments(session))),
                group.create_task(guarded(self._beats(session, period))),
                group.create_task(guarded(self._reports(session))),
                group.create_task(guarded(self._stale.wait())),
            ]
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in jobs:
                job.cancel()
        if outcome:
            raise outcome[0]

    async def _assignments(self, session: Session) -> None:
        async for assignment in session.assignments():
            await self.worker.assign(assignment)
            self._told(assignment)

    async def _beats(self, session: Session, period: float) -> None:
        while True:
            await self._clock.sleep(period)
            period = await session.heartbeat(await self._executor.usage())

    async def _reports(self, session: Session) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            sending, self._unsent = self._unsent, {}
            if not sending:
                continue
            try:
                await session.report(list(sending.items()))
            except BaseException:
                with contextlib.suppress(Exception):
                    self._unsent = {**sending, **self._unsent}
                raise


def _for_templates(description: Mapping[str, Any]) -> dict[str, Any]:
    return {"Hostname": description.get("Hostname"), "Platform": description.get("Platform") or {}}
