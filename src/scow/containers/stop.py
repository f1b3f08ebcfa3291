"""Stop, kill, restart, pause and unpause. Locks cover the sending of a signal, never the waiting for its effect."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scow import log
from scow.containers import signals
from scow.containers.container import Container, WaitResult
from scow.containers.lifecycle import Status, Transition
from scow.containers.parts import Parts
from scow.errors import Conflict, Internal, InvalidArgument, NotFound, NotModified

if TYPE_CHECKING:
    from scow.containers.start import Starter
    from scow.containers.supervisor import ExitSupervisor

logger = log.get(__name__)

DEFAULT_TIMEOUT = 10
KILL_WAIT = 10.0
_NS = 1_000_000_000


def not_running(container: Container) -> Conflict:
    """dockerd's words for a verb that needs a process."""
    return Conflict(f"container {container.id} is not running")


@dataclass(slots=True)
class Stopper:
    """Ends containers' processes and freezes them."""

    parts: Parts
    starter: "Starter"
    exits: "ExitSupervisor"

    async def send(self, container: Container, signum: int, *, final: bool) -> None:
        """Send a signal and tell it as an event; `final` marks the container as stopped by the user. The caller holds the lock.

        A container that is gone already counts as reached. A frozen one is thawed so that it can act on the signal.
        """
        if final and not self.exits.stopping and not container.state.manually_stopped:
            container.commit(Transition.MANUAL_STOP)
        try:
            await self.parts.tasks.signal(container.id, signum)
            if container.state.paused and (final or signum == signals.SIGKILL):
                await self.parts.tasks.resume(container.id)
        except NotFound:
            return
        container.announce("kill", {"signal": str(signum)})

    async def kill_now(self, container: Container) -> None:
        """SIGKILL; the caller holds the lock and waits outside it."""
        await self.send(container, signals.SIGKILL, final=True)

    async def stop(self, container: Container, signal: str = "", timeout: int | None = None) -> None:
        """Ask the container to end, kill it after `timeout` seconds (None = its own or 10, negative = never). Raises NotModified."""
        signum = signals.parse(signal) if signal else signals.of_container(container.config.stop_signal)
        if not container.state.running:
            raise NotModified("")
        await self.end(container, signum, timeout, final=True)
        container.announce("stop")

    async def end(self, container: Container, signum: int, timeout: int | None, *, final: bool) -> None:
        """Signal, grace, kill. Returns when no process is left. Raises Internal when even SIGKILL has no effect."""
        if timeout is None:
            timeout = container.config.stop_timeout if container.config.stop_timeout is not None else DEFAULT_TIMEOUT
        async with self.parts.locks(container.id):
            self.exits.cancel_restart(container)
            if not container.state.alive:
                if final and not self.exits.stopping:
                    container.commit(Transition.MANUAL_STOP)
                return
            over = container.waiter("next-exit")
            await self.send(container, signum, final=final)
        if await _ended(over, None if timeout < 0 else float(timeout)):
            return
        async with self.parts.locks(container.id):
            if container.state.alive and not over.done():
                level = logging.INFO if timeout else logging.DEBUG  # who gives no time knows
                logger.log(level, "container %s did not end after signal %d in %d s: it is killed", container.id[:12], signum, timeout)
                await self.send(container, signals.SIGKILL, final=final)
        if not await _ended(over, KILL_WAIT):
            over.cancel()
            raise Internal(f"cannot stop container: {container.id}: it did not end after SIGKILL")

    async def kill(self, container: Container, signal: str = "") -> None:
        """POST kill. SIGKILL waits for the end (at most 10 s). Raises InvalidArgument, Conflict `container X is not running`."""
        try:
            signum = signals.parse(signal) if signal else signals.SIGKILL
        except InvalidArgument as exc:
            raise InvalidArgument(f"cannot kill container: {container.name}: {exc.message[:1].lower()}{exc.message[1:]}") from None
        over = None
        async with self.parts.locks(container.id):
            if container.state.restarting:
                container.commit(Transition.MANUAL_STOP)
                self.exits.cancel_restart(container)
                return
            if not container.state.alive:
                raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
            if signum == signals.SIGKILL:
                over = container.waiter("next-exit")
            final = signum == signals.SIGKILL or signum == signals.of_container(container.config.stop_signal)
            await self.send(container, signum, final=final)
        if over is not None and not await _ended(over, KILL_WAIT):
            over.cancel()

    async def restart(self, container: Container, signal: str = "", timeout: int | None = None) -> None:
        """Stop if it runs, then start. `--rm` doesn't act in between."""
        signum = signals.parse(signal) if signal else signals.of_container(container.config.stop_signal)
        if container.state.status is Status.REMOVING:
            raise Conflict("container is marked for removal and cannot be restarted")
        self.exits.kept.add(container.id)
        try:
            if container.state.running:
                await self.end(container, signum, timeout, final=True)
                container.announce("stop")
            async with self.parts.locks(container.id):
                if not container.state.alive:
                    self.exits.cancel_restart(container)
                    self.exits.reset(container)
                    await self.starter.start(container)
        finally:
            self.exits.kept.discard(container.id)
        container.announce("restart")

    async def stop_all(self, timeout: float) -> None:
        """Shutdown: every container ends; none is marked as stopped by the user, so restart policies act at the next boot."""
        live = [container for container in self.parts.store.all() if container.state.alive]
        waits = []
        for container in live:
            own = container.config.stop_timeout
            grace = int(min(timeout, own if own is not None and own >= 0 else timeout))
            waits.append(self.end(container, signals.of_container(container.config.stop_signal), grace, final=False))
        for container, result in zip(live, await asyncio.gather(*waits, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                logger.error("a container did not end at shutdown: %s: %s", container.id[:12], result)

    async def pause(self, container: Container) -> None:
        """Freeze every process. Raises Conflict."""
        async with self.parts.locks(container.id):
            state = container.state
            if state.restarting:
                raise Conflict(f"container {container.id} is restarting, wait until the container is running")
            if state.paused:
                raise Conflict(f"container {container.id} is already paused")
            if not state.alive:
                raise not_running(container)
            await self.parts.tasks.pause(container.id)
            container.commit(Transition.PAUSED)

    async def unpause(self, container: Container) -> None:
        """Thaw. Raises Conflict."""
        async with self.parts.locks(container.id):
            if not container.state.paused:
                raise Conflict(f"Container {container.id} is not paused")
            await self.parts.tasks.resume(container.id)
            container.commit(Transition.RESUMED)

    async def resize(self, container: Container, rows: int, cols: int) -> None:
        """Set the terminal's size. Raises Conflict before there is a process."""
        if not container.state.alive:
            raise not_running(container)
        await self.parts.tasks.resize(container.id, rows, cols)
        container.announce("resize", {"height": str(rows), "width": str(cols)})


async def _ended(over: "asyncio.Future[WaitResult]", timeout: float | None) -> bool:
    done, _ = await asyncio.wait({over}, timeout=timeout)
    return bool(done)
