"""The transition table."""

import pytest

from scow.containers.lifecycle import TABLE, Health, IllegalTransition, State, Status, Transition, advance

LIFE = [
    (Status.CREATED, Transition.STARTED, Status.RUNNING),
    (Status.EXITED, Transition.STARTED, Status.RUNNING),
    (Status.RESTARTING, Transition.STARTED, Status.RUNNING),
    (Status.CREATED, Transition.START_FAILED, Status.CREATED),
    (Status.EXITED, Transition.START_FAILED, Status.EXITED),
    (Status.RUNNING, Transition.PAUSED, Status.PAUSED),
    (Status.PAUSED, Transition.RESUMED, Status.RUNNING),
    (Status.RUNNING, Transition.EXITED, Status.EXITED),
    (Status.PAUSED, Transition.EXITED, Status.EXITED),
    (Status.RUNNING, Transition.EXITED_TO_RESTART, Status.RESTARTING),
    (Status.RESTARTING, Transition.RESTART_CANCELLED, Status.EXITED),
    (Status.EXITED, Transition.REMOVING, Status.REMOVING),
    (Status.REMOVING, Transition.REMOVAL_FAILED, Status.DEAD),
    (Status.DEAD, Transition.REMOVING, Status.REMOVING),
]


@pytest.mark.parametrize(("before", "event", "after"), LIFE)
def test_a_transition_of_the_table(before: Status, event: Transition, after: Status) -> None:
    assert advance(State(status=before), event, {}).status is after


@pytest.mark.parametrize("event", list(Transition))
def test_every_other_source_is_refused(event: Transition) -> None:
    for status in set(Status) - TABLE[event].sources:
        with pytest.raises(IllegalTransition):
            advance(State(status=status), event, {})


@pytest.mark.parametrize("end", [Transition.EXITED, Transition.EXITED_TO_RESTART])
def test_who_has_ended_is_not_healthy_until_probed_again(end: Transition) -> None:
    over = advance(State(status=Status.RUNNING, health=Health("healthy")), end, {})
    assert over.health is not None and over.health.status == "unhealthy"
    again = advance(over, Transition.STARTED, {})
    assert again.health is not None and again.health.status == "starting"
    assert advance(State(status=Status.RUNNING), end, {}).health is None


def test_facts_become_fields_and_others_are_left_out() -> None:
    state = advance(State(error="old", exit_code=3), Transition.STARTED, {"pid": 7, "started_ns": 5, "attributes": {}, "status": "x"})
    assert (state.status, state.pid, state.started_ns, state.error, state.exit_code) == (Status.RUNNING, 7, 5, "", 0)


def test_running_as_docker_means_it() -> None:
    assert [State(status=s).running for s in (Status.RUNNING, Status.PAUSED, Status.RESTARTING, Status.EXITED)] == [True, True, True, False]
    assert not State(status=Status.RESTARTING).alive
