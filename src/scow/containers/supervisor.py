"""What happens by itself: exits, restarts by policy, cleaning up behind the answer.

`TaskManager.on_exit` ends here. The timers of restart policies and the clean-ups are this file's; the decisions are `restart.py`'s.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from scow import log
from scow.containers import restart
from scow.containers.container import Container
from scow.containers.lifecycle import Status, Transition
from scow.containers.parts import Parts
from scow.errors import ScowError

if TYPE_CHECKING:
    from scow.containers.delete import Remover
    from scow.containers.start import Starter
    from scow.runtime.task import Exit

logger = log.get(__name__)

UNKNOWN_EXIT = 255
_RETRY_SECONDS = 1.0


class ExitSupervisor:
    """Follows every running container."""

    def __init__(self, parts: Parts, starter: "Starter", remover: "Remover") -> None:
        self._parts = parts
        self._starter = starter
        self._remover = remover
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._delays: dict[str, float] = {}
        self.kept: set[str] = set()  # restarted by the user: --rm must not act on the stop in between
        self.stopping = False
        self.adopting: dict[str, Exit | None] = {}  # at boot: lives, but its row doesn't say so yet; its exit waits here

    # --- called by the task manager

    def on_exit(self, container_id: str, exit: "Exit") -> None:
        """A container's process has ended. While a verb holds the lock (a start that hasn't committed yet) the exit waits its turn."""
        if container_id in self.adopting:
            self.adopting[container_id] = exit
            return
        container = self._parts.store.by_id(container_id)
        if container is None:
            self._parts.cleanups.start(self._parts.tasks.delete(container_id), f"delete {container_id[:12]}")
        elif self._parts.locks.locked(container_id):
            self._parts.cleanups.start(self._exit_later(container, exit), f"exit {container_id[:12]}")
        else:
            try:
                self.exited(container, exit)
            except Exception as exc:  # whatever it is, an exit is not lost by it
                if not isinstance(exc, ScowError):
                    logger.exception("the exit of %s could not be written", container.id[:12])
                container.tell_end(exit.code if exit.known else UNKNOWN_EXIT)
                self._parts.supervisor.start(self._exit_later(container, exit), f"exit {container_id[:12]}")

    async def _exit_later(self, container: Container, exit: "Exit") -> None:
        """Tried until it is written: a full disk must not lose an exit (its record stays until then)."""
        said = ""
        while True:
            async with self._parts.locks(container.id):
                try:
                    self.exited(container, exit)
                    return
                except Exception as exc:
                    level, said = logging.DEBUG if str(exc) == said else logging.ERROR, str(exc)
                    logger.log(level, "the exit of %s could not be written, it is tried again: %s", container.id[:12], exc)
                    container.tell_end(exit.code if exit.known else UNKNOWN_EXIT)
            await asyncio.sleep(_RETRY_SECONDS)

    def on_oom(self, container_id: str) -> None:
        """The kernel killed something of the container for memory."""
        container = self._parts.store.by_id(container_id)
        if container is not None and container.state.alive and not container.state.oom_killed:
            container.commit(Transition.OOM)

    # --- the exit

    def exited(self, container: Container, exit: "Exit") -> None:
        """Commit an exit and decide what follows. The caller holds the lock, or nobody does. Without effect when no process was known."""
        if not container.state.alive:
            return
        if exit.oom and not container.state.oom_killed:
            container.commit(Transition.OOM)
        state = container.state
        code = exit.code if exit.known else UNKNOWN_EXIT
        at_ns = exit.at_ns or time.time_ns()
        decision: restart.Delay | restart.Stop = restart.Stop()
        if not self.stopping:
            decision = restart.decide(
                container.host.restart_policy,
                code,
                manually_stopped=state.manually_stopped,
                restart_count=state.restart_count,
                ran_ns=at_ns - state.started_ns,
                last_delay=self._delays.get(container.id, 0.0),
            )
        facts = {"exit_code": code, "finished_ns": at_ns, "error": "" if exit.known else "the exit code is not known"}
        if container.ended is None:  # else this is said already
            self._starter.farewell(container)
        if isinstance(decision, restart.Delay):
            container.commit(Transition.EXITED_TO_RESTART, **facts, restart_count=state.restart_count + 1)
            self._parts.ended(container)
            self._starter.clean_later(container)
            self.restart_after(container, decision.seconds)
            return
        self._delays.pop(container.id, None)
        container.commit(Transition.EXITED, **facts)
        self._parts.ended(container)
        if container.host.auto_remove and not self.stopping and container.id not in self.kept:
            self._parts.cleanups.start(self._auto_remove(container), f"auto-remove {container.id[:12]}")
        else:
            self._starter.clean_later(container)

    async def _auto_remove(self, container: Container) -> None:
        async with self._parts.locks(container.id):
            if container.state.status in (Status.EXITED, Status.CREATED, Status.DEAD):
                try:
                    await self._remover.remove(container, volumes=True)
                except ScowError:
                    logger.exception("a container could not be removed after its exit")

    # --- restarts by policy

    def restart_after(self, container: Container, seconds: float) -> None:
        """Start a `restarting` container after a while."""
        self._delays[container.id] = seconds
        self._timers[container.id] = self._parts.supervisor.start(self._restart(container, seconds), f"restart {container.id[:12]}")

    async def _restart(self, container: Container, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._parts.locks(container.id):
            self._timers.pop(container.id, None)
            if container.state.status is not Status.RESTARTING or self.stopping:
                return
            try:
                await self._starter.start(container, by_policy=True)
            except ScowError as exc:  # committed by the starter: not tried again
                logger.warning("restart by policy failed: %s", exc.message)

    def cancel_restart(self, container: Container) -> bool:
        """Forget a planned restart (stop, kill, removal by the user); whether there was one. The caller holds the lock."""
        timer = self._timers.pop(container.id, None)
        if timer is not None:
            timer.cancel()
        self._delays.pop(container.id, None)
        if container.state.status is Status.RESTARTING:
            container.commit(Transition.RESTART_CANCELLED)
            return True
        return False

    def reset(self, container: Container) -> None:
        """A start by the user begins a new history."""
        self._delays.pop(container.id, None)

    def close(self) -> None:
        """No restarts from now on."""
        self.stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
