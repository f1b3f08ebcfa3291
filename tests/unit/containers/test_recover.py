"""The plan of recovery, as a table."""

from typing import Any

import pytest

from scow.containers.lifecycle import State, Status
from scow.containers.recover import Alive, Ended, Observed, Step, Stored, plan_recovery
from scow.model.container import RestartPolicy

NOW = 1000


def plan(
    status: Status,
    seen: Observed | None,
    *,
    policy: str = "no",
    live_restore: bool = True,
    auto_remove: bool = False,
    held: bool = False,
    **facts: Any,
) -> list[str]:
    state = State(status=status, **{"started_ns": 10, **facts})
    row = Stored("c", state, RestartPolicy(policy), auto_remove, held)
    return [step.what for step in plan_recovery([row], {"c": seen} if seen else {}, live_restore, NOW)]


@pytest.mark.parametrize("status", list(Status))
def test_half_created_is_undone(status: Status) -> None:
    assert plan(status, Alive(1), held=True) == ["undo"]


@pytest.mark.parametrize("seen", [None, Alive(1), Ended(0, 5)])
def test_half_removed_is_removed(seen: Observed | None) -> None:
    assert plan(Status.REMOVING, seen, policy="always") == ["finish-removal"]


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.PAUSED, Status.EXITED, Status.RESTARTING])
def test_what_lives_is_adopted(status: Status) -> None:
    assert plan(status, Alive(7), policy="always") == ["adopt"]


def test_without_live_restore_what_lives_is_ended_and_the_policy_acts() -> None:
    assert plan(Status.RUNNING, Alive(7), live_restore=False) == ["adopt", "kill"]
    assert plan(Status.RUNNING, Alive(7), live_restore=False, policy="unless-stopped") == ["adopt", "kill", "start"]
    assert plan(Status.RUNNING, Alive(7), live_restore=False, auto_remove=True) == ["adopt", "kill", "remove"]


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("no", 3, ["die"]),
        ("on-failure", 3, ["die", "start"]),
        ("on-failure", 0, ["die"]),
        ("always", 0, ["die", "start"]),
        ("unless-stopped", 0, ["die", "start"]),
    ],
)
def test_a_recorded_exit(policy: str, code: int, expected: list[str]) -> None:
    assert plan(Status.RUNNING, Ended(code, 500), policy=policy) == expected


def test_an_exit_of_a_start_that_was_never_written_down() -> None:
    assert plan(Status.CREATED, Ended(3, 500), started_ns=0) == ["die"]
    assert plan(Status.EXITED, Ended(3, 500), finished_ns=400) == ["die"]


def test_an_exit_that_was_written_down_is_only_cleaned() -> None:
    assert plan(Status.EXITED, Ended(3, 500), finished_ns=500) == ["clean"]


def test_facts_of_an_exit() -> None:
    row = Stored("c", State(status=Status.RUNNING, started_ns=10), RestartPolicy("no"))
    assert plan_recovery([row], {"c": Ended(137, 77, oom=True)}, True, NOW) == [
        Step("die", "c", {"code": 137, "at_ns": 77, "oom": True, "known": True, "started_ns": 0})
    ]
    (lost,) = plan_recovery([row], {}, True, NOW)
    assert (lost.what, lost.facts["code"], lost.facts["at_ns"], lost.facts["known"]) == ("die", 255, NOW, False)


@pytest.mark.parametrize(
    ("policy", "stopped", "expected"),
    [
        ("no", False, ["clean"]),
        ("always", True, ["clean", "start"]),
        ("unless-stopped", True, ["clean"]),
        ("unless-stopped", False, ["clean", "start"]),
    ],
)
def test_a_container_that_had_ended_before(policy: str, stopped: bool, expected: list[str]) -> None:
    assert plan(Status.EXITED, None, policy=policy, manually_stopped=stopped) == expected


def test_never_started_stays_and_waiting_for_a_restart_goes_on() -> None:
    assert plan(Status.CREATED, None, policy="always", started_ns=0) == ["clean"]
    assert plan(Status.RESTARTING, None, policy="on-failure", exit_code=1) == ["clean", "start"]


def test_rm_is_kept_across_a_crash() -> None:
    assert plan(Status.RUNNING, None, auto_remove=True) == ["die", "remove"]
    assert plan(Status.EXITED, None, auto_remove=True) == ["clean", "remove"]
    assert plan(Status.CREATED, None, auto_remove=True, started_ns=0) == ["clean"]


def test_processes_without_a_row() -> None:
    assert [step.what for step in plan_recovery([], {"x": Alive(1)}, True, NOW)] == ["stray"]
