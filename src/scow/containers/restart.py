"""Restart policies: a pure decision. The timers are the supervisor's."""

from dataclasses import dataclass

from scow.model.container import RestartPolicy

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Delay:
    """Start again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Don't start again."""


def decide(
    policy: RestartPolicy, exit_code: int, *, manually_stopped: bool, restart_count: int, ran_ns: int, last_delay: float
) -> Delay | Stop:
    """What to do after an exit. `restart_count` is since the user's start, `ran_ns` how long it ran, `last_delay` the last wait (or 0)."""
    if manually_stopped:
        return Stop()
    match policy.name:
        case "always" | "unless-stopped":
            again = True
        case "on-failure":
            again = exit_code != 0 and (policy.maximum_retry_count == 0 or restart_count < policy.maximum_retry_count)
        case _:
            again = False
    if not again:
        return Stop()
    if last_delay <= 0 or ran_ns >= STEADY_NS:
        return Delay(FIRST_DELAY)
    return Delay(min(last_delay * 2, LONGEST_DELAY))


def at_boot(policy: RestartPolicy, exit_code: int, *, manually_stopped: bool, restart_count: int) -> bool:
    """Whether a container that isn't running is started when the daemon comes up.

    `always` starts also what the user had stopped, `unless-stopped` doesn't. `on-failure` starts what failed and has tries left.
    """
    match policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not manually_stopped
        case "on-failure":
            return not manually_stopped and exit_code != 0 and not 0 < policy.maximum_retry_count <= restart_count
        case _:
            return False
