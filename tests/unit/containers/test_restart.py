"""Restart policies."""

import pytest

from scow.containers.restart import STEADY_NS, Delay, Stop, at_boot, decide
from scow.model.container import RestartPolicy


def ask(name: str, code: int = 1, maximum: int = 0, stopped: bool = False, count: int = 0, ran: int = 0, last: float = 0.0) -> Delay | Stop:
    policy = RestartPolicy(name, maximum)
    return decide(policy, code, manually_stopped=stopped, restart_count=count, ran_ns=ran, last_delay=last)


@pytest.mark.parametrize(
    ("name", "code", "maximum", "stopped", "count", "again"),
    [
        ("no", 1, 0, False, 0, False),
        ("", 1, 0, False, 0, False),
        ("always", 0, 0, False, 50, True),
        ("always", 0, 0, True, 0, False),
        ("unless-stopped", 0, 0, False, 0, True),
        ("unless-stopped", 1, 0, True, 0, False),
        ("on-failure", 0, 0, False, 0, False),
        ("on-failure", 1, 0, False, 99, True),
        ("on-failure", 1, 2, False, 1, True),
        ("on-failure", 1, 2, False, 2, False),
        ("on-failure", 1, 0, True, 0, False),
    ],
)
def test_decision(name: str, code: int, maximum: int, stopped: bool, count: int, again: bool) -> None:
    assert isinstance(ask(name, code, maximum, stopped, count), Delay) is again


def test_delays_double_to_a_minute_and_start_over_after_ten_seconds() -> None:
    delay, seen = 0.0, []
    for _ in range(12):
        answer = ask("always", last=delay)
        assert isinstance(answer, Delay)
        delay = answer.seconds
        seen.append(delay)
    assert seen[:4] == [0.1, 0.2, 0.4, 0.8]
    assert seen[-1] == 60
    assert ask("always", last=delay, ran=STEADY_NS) == Delay(0.1)


@pytest.mark.parametrize(
    ("name", "code", "stopped", "again"),
    [
        ("always", 0, True, True),
        ("unless-stopped", 0, True, False),
        ("unless-stopped", 0, False, True),
        ("on-failure", 0, False, False),
        ("on-failure", 143, False, True),
        ("on-failure", 143, True, False),
        ("no", 1, False, False),
    ],
)
def test_at_boot(name: str, code: int, stopped: bool, again: bool) -> None:
    assert at_boot(RestartPolicy(name), code, manually_stopped=stopped, restart_count=0) is again
