"""States and transitions of a container: a pure table, no I/O.

`Container.commit` is the only caller of `advance` in daily life; recovery plans with the same table. Times are nanoseconds since the
epoch, 0 = never.
"""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from scow.errors import Conflict
from scow.model import codec


class Status(enum.StrEnum):
    """Docker's words for what a container is doing."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Condition(enum.StrEnum):
    """What `wait` may wait for."""

    NOT_RUNNING = "not-running"
    NEXT_EXIT = "next-exit"
    REMOVED = "removed"


class Transition(enum.StrEnum):
    """What may happen to a container."""

    CREATED = "created"
    STARTED = "started"
    START_FAILED = "start-failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    OOM = "oom"
    HEALTH = "health"
    EXITED = "exited"
    EXITED_TO_RESTART = "exited-to-restart"
    RESTART_CANCELLED = "restart-cancelled"
    MANUAL_STOP = "manual-stop"
    REMOVING = "removing"
    REMOVAL_FAILED = "removal-failed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Probe:
    """One health check that was run."""

    start_ns: int = 0
    end_ns: int = 0
    exit_code: int = 0
    output: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Health of a running container: status is starting, healthy or unhealthy; the log holds the last five probes."""

    status: str = "starting"
    failing_streak: int = 0
    log: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Everything about a container that changes by what happens to it."""

    status: Status = codec.key("Status", Status.CREATED, decoder=lambda value, _path: Status(value))
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    health: Health | None = None

    @property
    def running(self) -> bool:
        """Docker's `Running`: also true while paused and while waiting for the next start by policy."""
        return self.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    @property
    def alive(self) -> bool:
        """There is a process now."""
        return self.status in (Status.RUNNING, Status.PAUSED)

    @property
    def paused(self) -> bool:
        return self.status is Status.PAUSED

    @property
    def restarting(self) -> bool:
        return self.status is Status.RESTARTING


class Rule(NamedTuple):
    """A row of the table: from which states, to which (None = stays), who is woken, Docker's event, state fields that are set."""

    sources: frozenset[Status]
    target: Status | None
    wakes: frozenset[Condition] = frozenset()
    action: str | None = None
    sets: Mapping[str, Any] = MappingProxyType({})


class IllegalTransition(Conflict):
    """The container's state doesn't allow what was to happen."""


S, C = Status, Condition
_IDLE = frozenset({S.CREATED, S.EXITED, S.DEAD})
_LIVE = frozenset({S.RUNNING, S.PAUSED})
_ANY = frozenset(Status)
_STOP = frozenset({C.NOT_RUNNING, C.NEXT_EXIT})
_GONE: dict[str, Any] = {"pid": 0}

TABLE: dict[Transition, Rule] = {
    Transition.CREATED: Rule(frozenset({S.CREATED}), None, action="create"),
    Transition.STARTED: Rule(
        _IDLE | {S.RESTARTING},
        S.RUNNING,
        action="start",
        sets={"error": "", "exit_code": 0, "oom_killed": False, "manually_stopped": False},
    ),
    # dockerd leaves a container whose first start failed as "created"
    Transition.START_FAILED: Rule(_IDLE, None, sets=_GONE),
    Transition.PAUSED: Rule(frozenset({S.RUNNING}), S.PAUSED, action="pause"),
    Transition.RESUMED: Rule(frozenset({S.PAUSED}), S.RUNNING, action="unpause"),
    Transition.OOM: Rule(_LIVE, None, action="oom", sets={"oom_killed": True}),
    Transition.HEALTH: Rule(_LIVE, None),
    Transition.EXITED: Rule(_LIVE, S.EXITED, _STOP, "die", _GONE),
    Transition.EXITED_TO_RESTART: Rule(_LIVE, S.RESTARTING, _STOP, "die", _GONE),
    Transition.RESTART_CANCELLED: Rule(frozenset({S.RESTARTING}), S.EXITED, _STOP, sets=_GONE),
    Transition.MANUAL_STOP: Rule(_ANY, None, sets={"manually_stopped": True}),
    Transition.REMOVING: Rule(_IDLE, S.REMOVING),
    Transition.REMOVAL_FAILED: Rule(frozenset({S.REMOVING}), S.DEAD, frozenset({C.REMOVED})),
    Transition.REMOVED: Rule(frozenset({S.REMOVING}), None, frozenset(Condition), "destroy"),
}
del S, C

_ENDS = frozenset({Transition.EXITED, Transition.EXITED_TO_RESTART})
_FIELDS = frozenset(f.name for f in dataclasses.fields(State)) - {"status"}


def advance(state: State, event: Transition, facts: Mapping[str, Any]) -> State:
    """The state after `event`; `facts` that are fields of State are taken over. Raises IllegalTransition."""
    rule = TABLE[event]
    if state.status not in rule.sources:
        raise IllegalTransition(f"cannot go from {state.status} by {event}")
    changes = {**rule.sets, **{name: value for name, value in facts.items() if name in _FIELDS}}
    if state.health is not None and event in _ENDS:
        changes["health"] = dataclasses.replace(state.health, status="unhealthy")  # as in Docker: nobody probes it any more
    elif state.health is not None and event is Transition.STARTED:
        changes["health"] = Health()
    return dataclasses.replace(state, status=rule.target or state.status, **changes)
