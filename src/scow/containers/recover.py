"""Boot: what is stored meets what lives. `plan_recovery` is pure and tested as a table; `Recovery` carries the plan out.

Kernel over database over memory: a process that lives is running whatever the row says; an exit that the keeper recorded has its
code and time.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scow import log
from scow.aio import in_pool
from scow.containers import depends as depends_
from scow.containers import restart
from scow.containers.container import Container
from scow.containers.delete import remove_tree
from scow.containers.lifecycle import State, Status, Transition
from scow.containers.parts import Parts
from scow.containers.signals import SIGKILL
from scow.errors import ScowError
from scow.kernel import cgroups
from scow.model.container import RestartPolicy
from scow.runtime.spec import cgroup_path
from scow.runtime.types import Exit, Task

if TYPE_CHECKING:
    from scow.containers.delete import Remover
    from scow.containers.start import Starter
    from scow.containers.supervisor import ExitSupervisor

logger = log.get(__name__)

LOST_EXIT = 255
_DONOR_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A row: what recovery needs of it."""

    id: str
    state: State
    policy: RestartPolicy
    auto_remove: bool = False
    held: bool = False  # its creation had not finished


@dataclass(frozen=True, slots=True)
class Alive:
    """A process that lives."""

    pid: int
    paused: bool = False
    started_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """An exit somebody has recorded."""

    code: int
    at_ns: int
    oom: bool = False
    known: bool = True
    started_ns: int = 0


Observed = Alive | Ended


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the plan: `what` is one of the words below; `facts` belong to it.

    undo (half created), finish-removal, adopt (lives), kill (lives, but live restore is off), die (facts: code, at_ns, oom), remove (--rm),
    clean (ended in an earlier life), start (by policy; count = restart count to store).
    """

    what: str
    id: str
    facts: Mapping[str, Any]


def plan_recovery(stored: Iterable[Stored], observed: Mapping[str, Observed], live_restore: bool, now_ns: int) -> list[Step]:
    """The steps that make rows and kernel agree, in order; starts by policy come last."""
    steps: list[Step] = []
    starts: list[Step] = []
    known: set[str] = set()
    for row in stored:
        known.add(row.id)
        mine, start = _plan_one(row, observed.get(row.id), live_restore, now_ns)
        steps += mine
        starts += start
    steps += [Step("stray", key, {}) for key in observed if key not in known]
    return steps + starts


def _plan_one(row: Stored, seen: Observed | None, live_restore: bool, now_ns: int) -> tuple[list[Step], list[Step]]:
    if row.held:
        return [Step("undo", row.id, {})], []
    if row.state.status is Status.REMOVING:
        return [Step("finish-removal", row.id, {})], []
    steps: list[Step] = []
    code, ran = row.state.exit_code, row.state.started_ns > 0
    was_live = row.state.alive
    if isinstance(seen, Alive):
        steps.append(Step("adopt", row.id, {"pid": seen.pid, "paused": seen.paused, "started_ns": seen.started_ns}))
        if live_restore:
            return steps, []
        steps.append(Step("kill", row.id, {}))
        code, ran = 137, True
    elif isinstance(seen, Ended) and (was_live or seen.at_ns > row.state.finished_ns):
        code, ran = (seen.code if seen.known else LOST_EXIT), True
        facts = {"code": code, "at_ns": seen.at_ns or now_ns, "oom": seen.oom, "known": seen.known, "started_ns": seen.started_ns}
        steps.append(Step("die", row.id, facts))
    elif was_live:
        code = LOST_EXIT
        steps.append(Step("die", row.id, {"code": code, "at_ns": now_ns, "oom": False, "known": False, "started_ns": 0}))
    else:
        steps.append(Step("clean", row.id, {}))
    if row.auto_remove and ran:
        return [*steps, Step("remove", row.id, {})], []
    again = row.state.restarting or (
        ran and restart.at_boot(row.policy, code, manually_stopped=row.state.manually_stopped, restart_count=row.state.restart_count)
    )
    if again and row.state.status is not Status.DEAD:
        return steps, [Step("start", row.id, {})]
    return steps, []


@dataclass(slots=True)
class Recovery:
    """Executes the plan; decides nothing."""

    parts: Parts
    starter: "Starter"
    remover: "Remover"
    exits: "ExitSupervisor"

    async def run(self) -> None:
        """Read the rows, look at the kernel, make them agree, start what policies want (behind the answer)."""
        parts = self.parts
        containers = {container.id: container for container in parts.store.load()}
        for container in containers.values():
            self.starter.plan_log(container)
        found = await parts.tasks.recover()
        self.exits.adopting = {key: None for key, value in found.items() if isinstance(value, Task)}
        groups = cgroups.manager()
        frozen = {key for key in found if key in containers and groups.frozen(cgroup_path(key, containers[key].host))}
        observed = {key: observe(value, key in frozen) for key, value in found.items()}
        rows = [
            Stored(c.id, c.state, c.host.restart_policy, c.host.auto_remove, bool(c.hold))
            for c in sorted(containers.values(), key=lambda c: c.created_ns)
        ]
        live = {key: seen.pid for key, seen in observed.items() if isinstance(seen, Alive)}
        await parts.network.recover(live, {key: tuple(containers[key].networks) for key in live if key in containers})
        await parts.volumes.recover(live)
        plan = plan_recovery(rows, observed, parts.defaults.live_restore, time.time_ns())
        starts: dict[str, asyncio.Task[None]] = {}
        for step in plan:
            if step.what == "start":
                container = containers[step.id]
                starts[step.id] = parts.supervisor.start(self._start(container, starts, containers), f"boot {step.id[:12]}")
                continue
            try:
                await self._execute(step, containers.get(step.id))
            except (ScowError, OSError):
                logger.exception("recovery step %s of %s failed", step.what, step.id[:12])
        rest, self.exits.adopting = self.exits.adopting, {}
        for key, ended in rest.items():
            if ended is not None:
                self.exits.on_exit(key, ended)
        await self._strays(containers)

    async def _execute(self, step: Step, container: Container | None) -> None:
        if container is None:
            self.exits.adopting.pop(step.id, None)
            await self.parts.tasks.delete(step.id)
            return
        facts = step.facts
        match step.what:
            case "undo" | "finish-removal":
                await self._finish_removal(container)
            case "adopt":
                self._adopt(container, facts)
            case "kill" if container.state.alive:
                over = container.waiter("next-exit")
                await self.parts.tasks.signal(container.id, SIGKILL)
                await over
            case "die":
                self._die(container, facts)
                await self.starter.clean(container)
            case "clean":
                await self.starter.clean(container)
            case "remove":
                if container.state.status is not Status.REMOVING and self.parts.store.by_id(container.id) is not None:
                    await self.remover.remove(container, volumes=True)

    def _adopt(self, container: Container, facts: Mapping[str, Any]) -> None:
        pid = facts["pid"]
        if not container.state.alive:
            container.commit(
                Transition.STARTED, pid=pid, started_ns=facts["started_ns"] or time.time_ns(), health=self.starter.health(container)
            )
        elif container.state.pid != pid:
            container.state = _with_pid(container.state, pid)
            container.save()
        if facts["paused"] and not container.state.paused:
            container.commit(Transition.PAUSED, quiet=True)
        elif container.state.paused and not facts["paused"]:
            container.commit(Transition.RESUMED, quiet=True)
        self.parts.running(container)
        if (ended := self.exits.adopting.pop(container.id, None)) is not None:
            self.exits.on_exit(container.id, ended)

    def _die(self, container: Container, facts: Mapping[str, Any]) -> None:
        at_ns = facts["at_ns"]
        if not container.state.alive:
            container.commit(Transition.STARTED, pid=0, started_ns=min(facts["started_ns"] or at_ns, at_ns), quiet=True)
        if facts["oom"]:
            container.commit(Transition.OOM)
        error = "" if facts["known"] else "the exit code is not known: neither engine nor keeper saw the end"
        container.commit(Transition.EXITED, exit_code=facts["code"], finished_ns=at_ns, error=error)

    async def _start(self, container: Container, starts: "Mapping[str, asyncio.Task[None]]", everything: Mapping[str, Container]) -> None:
        """Start it after those whose namespaces it joins, that it links to (loops can't be: what is named existed before), or that its
        labels name (loops end after a while)."""
        depends = depends_.dependencies(container, everything)
        first = [starts[key] for key in {*needed(self.parts, container), *depends} if key in starts and key != container.id]
        if first:
            await asyncio.wait(first, timeout=_DONOR_SECONDS)
            for key, condition in depends.items():
                await depends_.settled(everything[key], condition)
        async with self.parts.locks(container.id):
            if container.state.alive or self.parts.store.by_id(container.id) is None or self.exits.stopping:
                return
            try:
                await self.starter.start(container, by_policy=True)
            except ScowError as exc:
                logger.warning("a container could not be started at boot: %s: %s", container.id[:12], exc.message)

    async def _finish_removal(self, container: Container) -> None:
        parts = self.parts
        await self.starter.clean(container)
        await self.remover.drop_new_volumes(container)
        await parts.images.remove_rootfs(container.id)
        await in_pool(remove_tree, container.dir)
        with parts.db.update():
            parts.refs.drop_user(container.id)
            parts.store.erase(container)

    async def _strays(self, containers: Mapping[str, Container]) -> None:
        """Directories, bundles and references of containers without a row: their removal had been answered and not finished."""
        parts = self.parts
        for key in await in_pool(parts.store.directories):
            if key in containers:
                continue
            try:
                await parts.tasks.delete(key)
                await parts.network.release(key)
                directory, bundle = parts.store.paths(key)
                await parts.images.unmount_rootfs(key, bundle / "rootfs")
                await parts.images.remove_rootfs(key)
                parts.refs.drop_user(key)
                await in_pool(remove_tree, bundle)
                await in_pool(remove_tree, directory)
            except (ScowError, OSError):
                logger.exception("remains of a removed container could not be cleared: %s", key[:12])


def _with_pid(state: State, pid: int) -> State:
    import dataclasses

    return dataclasses.replace(state, pid=pid)


def needed(parts: Parts, container: Container) -> set[str]:
    """Ids of the containers that must run before this one can."""
    host = container.host
    modes = (host.network_mode, host.ipc_mode, host.pid_mode)
    found = {mode.removeprefix("container:") for mode in modes if mode.startswith("container:")}
    linked = (parts.store.find(link.partition(":")[0]) for link in host.links)
    return found | {other.id for other in linked if other is not None}


def observe(found: Task | Exit, frozen: bool) -> Observed:
    """What TaskManager.recover() and the freezer say of a container, in recovery's own words."""
    if isinstance(found, Exit):
        return Ended(found.code, found.at_ns, found.oom, found.known)
    return Alive(found.pid, frozen, found.started_ns)
