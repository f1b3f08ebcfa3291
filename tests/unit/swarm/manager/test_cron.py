"""Schedules, and jobs that run by them."""

import datetime

import pytest

from scow.errors import InvalidArgument
from scow.opts.schedule import parse
from scow.swarm.objects import Service, TaskState
from tests.fakes.swarm import Cluster0
from tests.support.asynchronous import on_loop


def ns(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp()) * 10**9


@pytest.mark.parametrize(
    ("schedule", "now", "then"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:15:00", "2026-01-01T00:30:00"),
        ("30 4 * * *", "2026-01-01T05:00:00", "2026-01-02T04:30:00"),
        ("0 0 29 feb *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 12 * * mon-fri", "2026-01-03T00:00:00", "2026-01-05T12:00:00"),
        ("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("@monthly", "2026-01-31T00:00:00", "2026-02-01T00:00:00"),
        ("0 0 * * 7", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
    ],
)
def test_next_times(schedule: str, now: str, then: str) -> None:
    assert parse(schedule).after(ns(now)) == ns(then)


def test_a_time_that_never_comes() -> None:
    assert parse("0 0 31 2 *").after(ns("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize("bad", ["", "* * * *", "60 * * * *", "x * * * *", "*/0 * * * *", "5-1 * * * *", "@never", "* * * 13 *"])
def test_what_is_no_schedule(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(bad)


@on_loop
async def test_a_job_runs_once_a_minute_across_a_change_of_leader(caplog: pytest.LogCaptureFixture) -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING
    id = await cluster.service("job", None, Mode={"ReplicatedJob": {}}, Labels={"scow.cron": "* * * * *"})

    def iteration() -> int:
        service = cluster.store.get(Service, id)
        assert service is not None
        return service.job_iteration

    await cluster.pass_time(61, step=5)
    assert iteration() == 1
    await cluster.manager.resign()
    cluster.clock.advance(300)
    cluster.manager.lead()
    await cluster.pass_time(2)
    assert iteration() == 2
    assert "job job: 5 times of its schedule passed while no manager led: it runs once for all of them" in caplog.text
    await cluster.pass_time(61, step=5)
    assert iteration() == 3
    await cluster.stop()


@on_loop
async def test_a_clock_that_is_set_neither_repeats_a_job_nor_silences_it() -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING
    id = await cluster.service("job", None, Mode={"ReplicatedJob": {}}, Labels={"scow.cron": "* * * * *"})

    def iteration() -> int:
        service = cluster.store.get(Service, id)
        assert service is not None
        return service.job_iteration

    await cluster.pass_time(61, step=5)
    assert iteration() == 1
    cluster.clock.step(3600)  # what was jumped over is made up for once
    await cluster.pass_time(5)
    assert iteration() == 2
    cluster.clock.step(-3600)  # and the hour that comes again repeats nothing
    await cluster.pass_time(120, step=5)
    assert iteration() == 2
    cluster.clock.step(3600)  # two minutes passed meanwhile, made up for once
    await cluster.pass_time(5)
    assert iteration() == 3
    cluster.clock.step(400 * 86400)
    await cluster.pass_time(5)
    assert iteration() == 4
    cluster.clock.step(-400 * 86400)  # the clock was wrong by a year: the job goes on by what it says now
    await cluster.pass_time(70, step=5)
    assert iteration() == 5
    await cluster.stop()
