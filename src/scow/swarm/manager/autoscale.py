"""Automatic scaling: how many replicas a service has follows what its tasks use.

Asked for by labels of the service (`opts/autoscale.py`). The largest need of all targets counts; a tenth above or below the target changes
nothing. Each decision goes the way of any update and is told with its reason in the service and in events; so is why there is none where
one is wanted (`Held`). The time of the last decision is in the service: a change of leader does not forget the cooldown.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scow import log, units
from scow.errors import ScowError
from scow.opts.autoscale import PREFIX, Policy, policy_of
from scow.swarm.clock import Clock
from scow.swarm.manager.orchestrator.update import PAUSED, UNDER_WAY, status_of
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Service, Task, TaskState
from scow.swarm.store.store import Store, Tx

logger = log.get(__name__)

_TOLERANCE = 0.1
_EVERY_SECONDS = 1.0
_MAX_LOOKS = 3700
_ROUNDING = 1e-9
_LAST_NS = 20 * 10**9
_ENDING_NS = 3 * 10**9
_LAST_BEATS = 3
"""A measurement holds for that long, or for so many heartbeats: a daemon may be started again meanwhile."""
_HELD_NS = 10 * 10**9
"""The reason why nothing is done is written at most so often: every write changes the version that users' updates must name."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many, and why; `wanted`: how many the load asks for, whatever the bounds."""

    replicas: int
    reason: str
    wanted: int = 0


def decide(policy: Policy, replicas: int, running: int, used: Mapping[str, float]) -> Decision | None:
    """What follows from the mean use of the tasks that run (in the targets' units); None: nothing is known. Pure.

    What those that run use is all that there is to do: where others are still on their way, they will take their part of it.
    """
    wanted, reason = -1, ""
    for name, target in policy.targets.items():
        if name not in used:
            continue
        ratio = used[name] / target
        need = replicas
        if ratio > 1 + _TOLERANCE:
            need = max(replicas, math.ceil(running * ratio - _ROUNDING))
        elif ratio < 1 - _TOLERANCE:
            need = min(replicas, math.ceil(running * ratio - _ROUNDING))
        if need > wanted:
            wanted = need
            reason = f"{name} is {used[name]:.4g} per replica, the target is {target:g}"
    if not reason:
        return None
    bounded = min(max(wanted, policy.least), policy.most)
    if bounded != wanted:
        reason += f", bounded by {'max' if bounded < wanted else 'min'} {bounded}"
    return Decision(bounded, reason, wanted)


@dataclass(frozen=True, slots=True)
class _Look:
    """What all running tasks of a service used at one moment (elapsed time): the sum and of how many it is known, by target. `leaving`:
    what those still have to do that are about to end."""

    at_ns: int
    running: int
    totals: Mapping[str, tuple[float, int]]
    leaving: Mapping[str, float]


class Autoscaler:
    """The leader's. `note` takes what nodes measure; `run` decides."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._samples: dict[str, tuple[int, Mapping[str, float]]] = {}  # task → when, what (elapsed time, as all below)
        self._looks: dict[str, deque[_Look]] = {}  # service → within its window
        self._changed: dict[str, tuple[int, int]] = {}  # service → its number, and when it was last changed
        self._told: dict[str, int] = {}  # service → when it was last written why nothing is done
        self._errors: dict[str, str] = {}

    def note(self, usage: Mapping[str, Mapping[str, float]]) -> None:
        """Measurements of one node: task id → metric → value (cores, bytes, connections)."""
        now = self._clock.elapsed_ns()
        self._samples.update({id: (now, dict(row)) for id, row in usage.items()})

    async def run(self) -> None:
        """Look every second; runs while this manager leads."""
        for kept in (self._samples, self._looks, self._changed, self._told, self._errors):
            kept.clear()
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            self._forget()
            for service in self._store.all(Service):
                if any(key.startswith(PREFIX) for key in service.labels):
                    try:
                        await self._consider(service)
                        self._errors.pop(service.id, None)
                    except ScowError as error:
                        if self._errors.get(service.id) != error.message:
                            self._errors[service.id] = error.message
                            logger.info("autoscaling of service %s: %s", service.name, error.message)

    def _forget(self) -> None:
        for id in [id for id in self._samples if self._store.get(Task, id) is None]:
            del self._samples[id]
        for id in [id for id in self._changed if self._store.get(Service, id) is None]:
            for kept in (self._looks, self._changed, self._told, self._errors):
                kept.pop(id, None)

    async def _consider(self, service: Service) -> None:
        policy = policy_of(service.labels)
        if policy is None or service.mode != "replicated":
            return
        state = status_of(service)
        replicas = service.replicas
        changed = self._since(service, policy)
        self._look(service, policy, changed)
        if replicas == 0:
            await self._hold(service, "with 0 replicas there is no load to measure: it stays so until it is scaled up by hand")
        elif state in PAUSED:
            await self._hold(service, f"its {'rollback' if state.startswith('rollback') else 'update'} is paused")
        elif not policy.least <= replicas <= policy.most:
            if state not in UNDER_WAY:
                bounded = min(max(replicas, policy.least), policy.most)
                reason = f"{replicas} replicas are outside of {policy.least} to {policy.most}"
                await self._scale(service, Decision(bounded, reason))
        elif self._clock.elapsed_ns() - changed < policy.cooldown_ns:
            await self._hold(service, "")
        else:
            await self._follow(service, policy, state in UNDER_WAY)  # more tasks of a spec in doubt help nobody

    def _since(self, service: Service, policy: Policy) -> int:
        """When the number of a service was last changed, by whomever: elapsed time. What an earlier leader did is told by the service."""
        now, known = self._clock.elapsed_ns(), self._changed.get(service.id)
        at = now
        if known is None:
            decided = (service.scaling or {}).get("At")
            # a clock that was set back makes it as long as the policy says, no longer
            age = self._clock.now_ns() - units.parse_rfc3339(decided) if decided else policy.cooldown_ns
            at = now - (age if age >= 0 else 0)
        elif known[0] == service.replicas:
            return known[1]
        self._changed[service.id] = service.replicas, at
        return at

    def _look(self, service: Service, policy: Policy, changed: int) -> None:
        """Add up what all tasks use now. The past of tasks that are gone stays in the sums: their load comes back to the others."""
        now = self._clock.elapsed_ns()
        cluster = cluster_of(self._store)
        beat = int(((cluster.spec.get("Dispatcher") if cluster else None) or {}).get("HeartbeatPeriod") or 0)
        oldest = now - max(_LAST_NS, _LAST_BEATS * beat)
        limits = (service.task_spec.get("Resources") or {}).get("Limits") or {}
        # without a limit of memory there is nothing to be a percentage of
        units_of = {"cpu": (int(limits.get("NanoCPUs") or 0) / 1e9 or 1.0) / 100, "memory": int(limits.get("MemoryBytes") or 0) / 100}
        running = [task for task in self._store.by(Task, "service", service.id) if task.status.state is TaskState.RUNNING]
        stay = [task.id for task in running if task.wanted]
        rows = self._told_by(stay, oldest)
        # a node that is lost says nothing any more, and its tasks have been replaced
        ending = self._told_by((task.id for task in running if not task.wanted), now - max(2 * beat, _ENDING_NS))
        totals: dict[str, tuple[float, int]] = {}
        leaving: dict[str, float] = {}
        for name in policy.targets:
            if unit := units_of.get(name, 1.0):
                values = [row[name] / unit for row in rows if name in row]
                totals[name] = sum(values), len(values)
                leaving[name] = sum(row[name] / unit for row in ending if name in row)
        looks = self._looks.setdefault(service.id, deque(maxlen=_MAX_LOOKS))
        looks.append(_Look(now, len(stay), totals, leaving))
        # before the change it was fewer, or more, that were loaded; one look from before the window shows that it is full
        while looks[0].at_ns < changed or (len(looks) > 1 and looks[1].at_ns <= now - policy.window_ns):
            looks.popleft()

    def _told_by(self, tasks: Iterable[str], oldest: int) -> list[Mapping[str, float]]:
        """Measurements of tasks, not older than that."""
        found = [self._samples[id] for id in tasks if id in self._samples]
        return [row for at, row in found if at >= oldest]

    async def _follow(self, service: Service, policy: Policy, updating: bool) -> None:
        """Do what the load asks for, or say why not."""
        looks = self._looks[service.id]
        running = looks[-1].running
        if not running:
            return
        replicas, held = service.replicas, ""
        # of tasks that tell nothing yet nobody knows that they add to the load …
        more = decide(policy, replicas, running, _means(looks, policy, running, whole=False))
        if more is not None and more.wanted > replicas:
            if waits := self._homeless(service):
                held = f"more replicas are needed, but there is no room for those that there are: {waits}"
            elif updating:
                held = "more replicas are needed: they come when its update has ended"
            elif more.replicas == replicas:
                held = f"more replicas are needed than max {policy.most}"
            else:
                await self._scale(service, more)
                return
        elif not updating and looks[-1].at_ns - looks[0].at_ns >= policy.window_ns:
            # … nor that they could be spared
            used = _means(looks, policy, running, whole=True)
            fewer = decide(policy, replicas, running, used) if set(used) == set(policy.targets) else None
            if fewer is not None and fewer.replicas < replicas:
                await self._scale(service, fewer)
                return
        await self._hold(service, held)

    def _homeless(self, service: Service) -> str:
        """Why tasks wait for a node that has room: more of them would be no help."""
        for task in self._store.by(Task, "service", service.id):
            if task.status.state is TaskState.PENDING and task.status.error and task.wanted:
                return task.status.error
        return ""

    async def _hold(self, service: Service, why: str) -> None:
        """Write why nothing is done; "" for nothing to do."""
        now = self._clock.elapsed_ns()
        if str((service.scaling or {}).get("Held") or "") == why or now - self._told.get(service.id, now - _HELD_NS) < _HELD_NS:
            return
        told = {key: value for key, value in (service.scaling or {}).items() if key != "Held"}
        if why:
            told["Held"] = why
        if await self._write(service, scaling=told or None):
            self._told[service.id] = now
            if why:
                logger.info("autoscaling of service %s: %s", service.name, why)

    async def _scale(self, service: Service, decision: Decision) -> None:
        """Write it as an update of the service, unless its spec has changed meanwhile."""
        mode = {"Mode": {"Replicated": {"Replicas": decision.replicas}}}
        # a rollback leads to what a user asked for before, not to the number of a moment ago
        previous = {**service.previous_spec, **mode} if service.previous_spec is not None else None
        at = units.rfc3339nano(self._clock.now_ns())
        told = {"From": service.replicas, "To": decision.replicas, "Reason": decision.reason, "At": at}
        spec = {**service.spec, **mode}
        if await self._write(service, spec=spec, previous_spec=previous, spec_version=service.spec_version + 1, scaling=told):
            self._changed[service.id] = decision.replicas, self._clock.elapsed_ns()
            logger.info("service %s goes from %d to %d replicas: %s", service.name, service.replicas, decision.replicas, decision.reason)

    async def _write(self, service: Service, **fields: Any) -> bool:
        """Change the service unless somebody else has meanwhile; whether it was done."""

        def write(tx: Tx) -> bool:
            fresh = tx.get(Service, service.id)
            if fresh is None or fresh.version != service.version:
                return False
            tx.update(fresh.changed(**fields))
            return True

        return await self._store.update(write)


def _means(looks: Collection[_Look], policy: Policy, running: int, whole: bool) -> dict[str, float]:
    """What there was to do on the mean, per task that runs now, in the targets' units. `whole`: only of looks that know of every task, and
    only where most do; with what is about to come from tasks that end."""
    found: dict[str, float] = {}
    for name in policy.targets:
        known = [one for one in looks if one.running and one.totals.get(name, (0.0, 0))[1] >= (one.running if whole else 1)]
        if known and not (whole and 2 * len(known) < len(looks)):
            sums = [one.totals[name][0] + (one.leaving[name] if whole else 0.0) for one in known]
            found[name] = sum(sums) / len(sums) / running
    return found
