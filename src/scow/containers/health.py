"""Health checks: one task for each running container that has a check. The result is part of the container's state and so in its row.

`Parts.on_running` starts a watch, `Parts.on_ended` ends it; after a restart of the daemon the recovered containers are told again, and the
counting goes on where it was.
"""

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING

from scow import log
from scow.containers.container import Container
from scow.containers.lifecycle import Health, Probe, Transition
from scow.errors import ScowError
from scow.model.container import HealthConfig
from scow.units import format_duration

if TYPE_CHECKING:
    from scow.containers.exec import ExecService
    from scow.containers.parts import Parts

logger = log.get(__name__)

NANO = 1_000_000_000
MAX_OUTPUT = 4096
MAX_LOG = 5
_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30 * NANO, 30 * NANO, 5 * NANO, 3
_SHELL = ["/bin/sh", "-c"]


def command_of(container: Container) -> list[str]:
    """What a container's check runs; [] when it has none."""
    check = container.config.healthcheck
    if check is None or len(check.test) < 2:
        return []
    if check.test[0] == "CMD":
        return list(check.test[1:])
    if check.test[0] == "CMD-SHELL":
        return [*(container.config.shell or _SHELL), check.test[1]]
    return []


def interval_ns(check: HealthConfig, health: Health, since_start_ns: int) -> int:
    """How long until the next probe."""
    if health.status == "starting" and since_start_ns < check.start_period:
        return check.start_interval or _START_INTERVAL
    return check.interval or _INTERVAL


def judge(check: HealthConfig, health: Health, probe: Probe, started_ns: int) -> Health:
    """Health after a probe: success heals at once, failures count outside the start period."""
    kept = (*health.log, probe)[-MAX_LOG:]
    if probe.exit_code == 0:
        return Health("healthy", 0, kept)
    if health.status == "starting" and probe.start_ns - started_ns < check.start_period:
        return dataclasses.replace(health, log=kept)
    streak = health.failing_streak + 1
    status = "unhealthy" if streak >= (check.retries or _RETRIES) else health.status
    return Health(status, streak, kept)


def clip(output: bytes) -> str:
    """A probe's output as it is kept."""
    text = output[:MAX_OUTPUT].decode("utf-8", "replace")
    return text + "..." if len(output) > MAX_OUTPUT else text


class HealthMonitor:
    """Watches all containers with a check."""

    def __init__(self, parts: "Parts", execs: "ExecService") -> None:
        self._parts = parts
        self._execs = execs
        self._tasks: dict[str, asyncio.Task[None]] = {}
        parts.on_running.append(self.started)
        parts.on_ended.append(self.ended)

    def started(self, container: Container) -> None:
        """The container runs (or was found running at boot)."""
        self.ended(container)
        health, started_ns = container.state.health, container.state.started_ns
        if not command_of(container):
            if health is not None:
                container.commit(Transition.HEALTH, health=None)
            return
        if health is None or (health.log[-1].end_ns < started_ns if health.log else health.status != "starting"):  # of an earlier run
            container.commit(Transition.HEALTH, health=Health())
        self._tasks[container.id] = self._parts.supervisor.start(self._watch(container, started_ns), f"health {container.id[:12]}")

    def ended(self, container: Container) -> None:
        """The container's process is gone."""
        task = self._tasks.pop(container.id, None)
        if task is not None:
            task.cancel()

    async def _watch(self, container: Container, started_ns: int) -> None:
        check = container.config.healthcheck
        command = command_of(container)
        if check is None:
            return
        while True:
            health = container.state.health or Health()
            await asyncio.sleep(interval_ns(check, health, time.time_ns() - started_ns) / NANO)
            if container.state.paused:
                continue
            probe = await self._probe(container, check, command)
            state = container.state
            if not state.alive or state.started_ns != started_ns:
                return
            if state.paused:
                continue
            before = state.health or Health()
            after = judge(check, before, probe, started_ns)
            action = f"health_status: {after.status}" if after.status != before.status else None
            container.commit(Transition.HEALTH, health=after, action=action)

    async def _probe(self, container: Container, check: HealthConfig, command: list[str]) -> Probe:
        timeout = check.timeout or _TIMEOUT
        began = time.time_ns()
        try:
            code, output = await self._execs.run(container, command, timeout / NANO, MAX_OUTPUT + 1)
        except ScowError as exc:
            return Probe(began, time.time_ns(), -1, clip(exc.message.encode()))
        if code is None:
            return Probe(began, time.time_ns(), -1, f"Health check exceeded timeout ({format_duration(timeout)}): {clip(output)}")
        return Probe(began, time.time_ns(), code, clip(output))
