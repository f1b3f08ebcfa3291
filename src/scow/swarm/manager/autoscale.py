"""Automatic scaling: how many replicas a service has follows what its tasks use.

Asked for by labels of the service (`opts/autoscale.py`). The largest need of all targets counts; a tenth above or below the target changes
nothing. Each decision goes the way of any update and is told with its reason in the service and in events.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from scow import log, units
from scow.errors import ScowError
from scow.opts.autoscale import PREFIX, Policy, policy_of
from scow.swarm.clock import Clock
from scow.swarm.objects import Service, Task, TaskState
from scow.swarm.store.store import Store, Tx

logger = log.get(__name__)

_TOLERANCE = 0.1
_EVERY_SECONDS = 1.0
_MAX_SAMPLES = 1000
_UPDATING = ("updating", "paused", "rollback_started", "rollback_paused")  # more tasks of a spec in doubt help nobody
_LAST_NS = 20 * 10**9


@dataclass(frozen=True, slots=True)
class Decision:
    """How many, and why."""

    replicas: int
    reason: str


def decide(policy: Policy, replicas: int, used: Mapping[str, float]) -> Decision | None:
    """What follows from the mean use per replica (in the targets' units); None: stay. Pure."""
    wanted, reason = 0, ""
    for name, target in policy.targets.items():
        if name not in used:
            continue
        ratio = used[name] / target
        need = replicas if abs(ratio - 1) <= _TOLERANCE else math.ceil(replicas * ratio)
        if need >= wanted:
            wanted = need
            reason = f"{name} is {used[name]:.4g} per replica, the target is {target:g}"
    if not reason:
        return None
    bounded = min(max(wanted, policy.least), policy.most)
    if bounded != wanted:
        reason += f", bounded by {'max' if bounded < wanted else 'min'} {bounded}"
    return None if bounded == replicas else Decision(bounded, reason)


class Autoscaler:
    """The leader's. `note` takes what nodes measure; `run` decides."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._samples: dict[str, deque[tuple[int, Mapping[str, float]]]] = {}  # task → when, what
        self._changed: dict[str, int] = {}  # service → when its number was last changed (elapsed time)

    def note(self, usage: Mapping[str, Mapping[str, float]]) -> None:
        """Measurements of one node: task id → metric → value (cores, bytes, connections)."""
        now = self._clock.elapsed_ns()
        for id, row in usage.items():
            self._samples.setdefault(id, deque(maxlen=_MAX_SAMPLES)).append((now, dict(row)))

    async def run(self) -> None:
        """Look every second; runs while this manager leads."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            self._forget()
            for service in self._store.all(Service):
                if any(key.startswith(PREFIX) for key in service.labels):
                    try:
                        await self._consider(service)
                    except ScowError as error:
                        logger.info("autoscaling of service %s: %s", service.name, error.message)

    def _forget(self) -> None:
        for id in [id for id in self._samples if self._store.get(Task, id) is None]:
            del self._samples[id]

    async def _consider(self, service: Service) -> None:
        policy = policy_of(service.labels)
        if policy is None or service.mode != "replicated" or (service.update_status or {}).get("State") in _UPDATING:
            return
        now = self._clock.elapsed_ns()
        replicas = service.replicas
        if replicas == 0:
            return  # switched off by hand
        if not policy.least <= replicas <= policy.most:
            bounded = min(max(replicas, policy.least), policy.most)
            await self._scale(service, Decision(bounded, f"{replicas} replicas are outside of {policy.least} to {policy.most}"))
            return
        if now - self._changed.get(service.id, -policy.cooldown_ns) < policy.cooldown_ns:
            return
        used, complete = self.used(service, policy)
        decision = decide(policy, replicas, used) if used else None
        if decision is None:
            return
        grows = decision.replicas > replicas
        if (grows and not self._homeless(service)) or (not grows and complete):
            await self._scale(service, decision)

    def _homeless(self, service: Service) -> bool:
        """Whether tasks wait for a node that has room: more of them would be no help."""
        tasks = self._store.by(Task, "service", service.id)
        return any(
            task.status.state is TaskState.PENDING and task.status.error and task.desired_state <= TaskState.RUNNING for task in tasks
        )

    def used(self, service: Service, policy: Policy) -> tuple[dict[str, float], bool]:
        """Mean use per running task over the window, in the targets' units, {} when there is not enough to say; whether all tasks count:
        of some that tell nothing nobody knows that they could be spared."""
        now = self._clock.elapsed_ns()
        since = now - policy.window_ns
        totals: dict[str, list[float]] = {}
        running = [
            task
            for task in self._store.by(Task, "service", service.id)
            if task.status.state is TaskState.RUNNING and task.desired_state <= TaskState.RUNNING
        ]
        limits = (service.task_spec.get("Resources") or {}).get("Limits") or {}
        cores = int(limits.get("NanoCPUs") or 0) / 1e9 or 1.0
        memory = int(limits.get("MemoryBytes") or 0)
        for task in running:
            samples = self._samples.get(task.id, ())
            rows = [row for at, row in samples if at >= since]
            if not rows and samples and samples[-1][0] >= now - _LAST_NS:
                rows = [samples[-1][1]]  # a window shorter than the time between two reports
            for name in policy.targets:
                values = [row[name] for row in rows if name in row]
                if not values:
                    continue
                mean = sum(values) / len(values)
                if name == "cpu":
                    mean = 100 * mean / cores
                elif name == "memory":
                    if not memory:
                        continue  # without a limit there is nothing to be a percentage of
                    mean = 100 * mean / memory
                totals.setdefault(name, []).append(mean)
        complete = all(len(totals.get(name, ())) == len(running) for name in policy.targets)
        return {name: sum(values) / len(values) for name, values in totals.items() if len(values) * 2 > len(running)}, complete

    async def _scale(self, service: Service, decision: Decision) -> None:
        """Write it as an update of the service, unless its spec has changed meanwhile."""
        now = self._clock.now_ns()

        def write(tx: Tx) -> bool:
            fresh = tx.get(Service, service.id)
            if fresh is None or fresh.version != service.version:
                return False
            mode = {"Mode": {"Replicated": {"Replicas": decision.replicas}}}
            # a rollback leads to what a user asked for before, not to the number of a moment ago
            previous = {**fresh.previous_spec, **mode} if fresh.previous_spec is not None else None
            told = {"From": service.replicas, "To": decision.replicas, "Reason": decision.reason, "At": units.rfc3339nano(now)}
            changed = fresh.changed(spec={**fresh.spec, **mode}, previous_spec=previous, spec_version=fresh.spec_version + 1, scaling=told)
            tx.update(changed)
            return True

        if await self._store.update(write):
            self._changed[service.id] = self._clock.elapsed_ns()
            logger.info("service %s goes from %d to %d replicas: %s", service.name, service.replicas, decision.replicas, decision.reason)
