"""Jobs by the clock, while the manager that leads is killed or loses power just before, at, or just after their time. Slow: a tick is a
minute. Three managers, and a worker on which the job runs, so that what is counted does not depend on what a dead node may have done."""

import datetime
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.swarm.hosts import PATIENCE, Swarm, swarms, why_not
from tests.support.engine import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.skipif(bool(why_not()), reason=why_not())]

ROLES = ("manager", "manager", "manager", "worker")
MINUTE = 60
OFFSETS = (-1.0, -0.2, 0.1, 1.5)
"""Seconds from the tick to the leader's end: before it, too late to hand over, before it has looked, after it has begun the run."""


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    yield from swarms(4)


class Witness:
    """Asks all managers, again and again, which runs were begun and when."""

    def __init__(self, swarm: Swarm, name: str) -> None:
        self._swarm, self._name = swarm, name
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.begun: dict[int, float] = {}
        """Number of the run → seconds since the epoch at which a leader began it."""

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(90)

    def _work(self) -> None:
        while not self._end.wait(0.5):
            for host in self._swarm.hosts[:3]:
                found = host.ask("GET", f"/services/{self._name}") if host.runs else None
                if found is not None and found.status == 200:
                    job = found.json["JobStatus"]
                    if number := int(job["JobIteration"]["Index"]):
                        text = str(job["LastExecution"])[:19] + "+00:00"
                        self.begun.setdefault(number, datetime.datetime.fromisoformat(text).timestamp())


def tick_of(at: float) -> int:
    """The minute of a moment."""
    return int(at) // MINUTE * MINUTE


@pytest.mark.parametrize("how", ["killed", "powered off"])
def test_each_tick_begins_one_run_though_the_leader_ends_at_it(swarm: Swarm, tmp_path: Path, how: str) -> None:
    swarm.form(*ROLES, beat=5.0)
    tmp_path.chmod(0o777)
    log = tmp_path / "runs"
    container = {
        "Image": "busybox:latest",
        "Command": ["sh", "-c", "echo $ID >>/out/runs"],
        "Env": ["ID={{.Task.ID}}"],
        "Mounts": [{"Type": "bind", "Source": str(tmp_path), "Target": "/out"}],
    }
    template = {"ContainerSpec": container, "Placement": {"Constraints": ["node.role==worker"]}}
    spec = {"Name": "tick", "Labels": {"scow.cron": "* * * * *"}, "TaskTemplate": template, "Mode": {"ReplicatedJob": {}}}

    def runs() -> list[str]:
        return log.read_text().split() if log.exists() else []

    gaps: list[tuple[float, float]] = []
    reply = swarm.leader().ask("POST", "/services/create", spec)
    assert reply.status == 201, reply
    until(lambda: len(runs()) == 1, PATIENCE, "the run that making a job begins")
    with Witness(swarm, "tick") as witness:
        first = tick_of(time.time() + 10) + MINUTE
        for offset in OFFSETS:
            tick = tick_of(time.time() + 10) + MINUTE
            leader = swarm.leader()
            time.sleep(max(0.0, tick + offset - time.time()))
            hit = time.time()
            if how == "killed":
                leader.kill()
            else:
                leader.power_off()
            until(lambda: any(host.nodes() for host in swarm.others(leader)), PATIENCE, "another leader")  # noqa: B023
            gaps.append((hit, time.time()))
            until(lambda: max(witness.begun.values(), default=0.0) >= tick, PATIENCE, "the tick's run")  # noqa: B023
            late, gap = max(witness.begun.values()) - tick, gaps[-1][1] - hit
            print(f"{how} {hit - tick:+.1f} s from the tick: another led {gap:.1f} s later, the run began {late:+.0f} s from the tick")
            leader.start()
            leader.busybox()
            until(swarm.well, PATIENCE, "a swarm that is well again")
        last = tick_of(time.time()) + MINUTE
        until(lambda: max(witness.begun.values()) >= last, MINUTE + PATIENCE, "a tick that nothing disturbs")
        try:
            until(lambda: len(runs()) == len(witness.begun) + 1, PATIENCE, "a container for each run, besides that of the beginning")
        except AssertionError as exc:
            rows = [(row["ID"], row["JobIteration"], row["DesiredState"], row["Status"]) for row in swarm.leader().tasks("tick")]
            raise AssertionError(f"runs begun: {witness.begun}; containers: {runs()}; tasks: {rows}; {swarm[3].log()[-4000:]}") from exc
        begun = dict(witness.begun)
        ran = runs()
    swarm.leader().ask("DELETE", "/services/tick")
    assert sorted(begun) == list(range(1, len(begun) + 1)), begun
    ticks = [tick_of(at) for at in begun.values()]
    assert len(set(ticks)) == len(ticks), f"a tick twice: {begun}"
    # two ticks within one gap are made up for by one run
    missed = set(range(first, last + 1, MINUTE)) - set(ticks)
    assert all(any(hit - 1.5 <= tick and tick + MINUTE <= led + 2 for hit, led in gaps) for tick in missed), (missed, gaps, begun)
    assert len(ran) == len(set(ran)) == len(begun) + 1
