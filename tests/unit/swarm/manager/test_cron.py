"""Schedules, and jobs that run by them."""

import datetime

import pytest

from scow.errors import InvalidArgument
from scow.opts.schedule import parse
from scow.swarm.manager.control import Control
from scow.swarm.objects import Service, Task, TaskState
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


def test_a_leap_day_comes_also_after_a_century_without_one() -> None:
    assert parse("0 0 29 2 *").after(ns("2097-03-01T00:00:00")) == ns("2104-02-29T00:00:00")


@pytest.mark.parametrize(
    "bad", ["", "* * * *", "60 * * * *", "x * * * *", "*/0 * * * *", "5-1 * * * *", "@never", "* * * 13 *", "0 0 31 2,4 *"]
)
def test_what_is_no_schedule(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(bad)


async def _quick() -> Cluster0:
    """A cluster whose tasks end well as soon as they run."""
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING
    return cluster


async def _each_minute() -> tuple[Cluster0, str]:
    """Such a cluster, and a job that begins in it each minute."""
    cluster = await _quick()
    return cluster, await cluster.service("job", None, Mode={"ReplicatedJob": {}}, Labels={"scow.cron": "* * * * *"})


def _iteration(cluster: Cluster0, id: str) -> int:
    service = cluster.store.get(Service, id)
    assert service is not None
    return service.job_iteration


@on_loop
async def test_a_job_runs_once_a_minute_across_a_change_of_leader(caplog: pytest.LogCaptureFixture) -> None:
    cluster, id = await _each_minute()
    await cluster.pass_time(61, step=5)
    assert _iteration(cluster, id) == 1
    await cluster.manager.resign()
    cluster.clock.advance(300)
    cluster.manager.lead()
    await cluster.pass_time(2)
    assert _iteration(cluster, id) == 2
    assert "job job: 5 times of its schedule passed while no manager led: it runs once for all of them" in caplog.text
    await cluster.pass_time(61, step=5)
    assert _iteration(cluster, id) == 3
    await cluster.stop()


@on_loop
async def test_a_clock_that_is_set_neither_repeats_a_job_nor_silences_it() -> None:
    cluster, id = await _each_minute()
    await cluster.pass_time(61, step=5)
    assert _iteration(cluster, id) == 1
    cluster.clock.step(3600)  # what was jumped over is made up for once
    await cluster.pass_time(5)
    assert _iteration(cluster, id) == 2
    cluster.clock.step(-3600)  # and the hour that comes again repeats nothing
    await cluster.pass_time(120, step=5)
    assert _iteration(cluster, id) == 2
    cluster.clock.step(3600)  # two minutes passed meanwhile, made up for once
    await cluster.pass_time(5)
    assert _iteration(cluster, id) == 3
    cluster.clock.step(400 * 86400)
    await cluster.pass_time(5)
    assert _iteration(cluster, id) == 4
    cluster.clock.step(-400 * 86400)  # the clock was wrong by a year: the job goes on by what it says now
    await cluster.pass_time(70, step=5)
    assert _iteration(cluster, id) == 5
    await cluster.stop()


@on_loop
async def test_another_schedule_counts_from_when_it_was_given() -> None:
    cluster = await _quick()
    control = Control(cluster.store, cluster.clock, lambda ref: "")
    spec = {"Name": "job", "TaskTemplate": {"ContainerSpec": {"Image": "x"}}, "Mode": {"ReplicatedJob": {}}}
    id = await control.create_service({**spec, "Labels": {"scow.cron": "@yearly"}})

    def service() -> Service:
        found = cluster.store.get(Service, id)
        assert found is not None
        return found

    await cluster.pass_time(600, step=5)
    await control.update_service(id, service().version, {**spec, "Labels": {"scow.cron": "* * * * *"}})
    executed = service().job_executed_ns
    await cluster.pass_time(1)
    assert (service().job_iteration, service().job_executed_ns) == (0, executed)
    await cluster.pass_time(61, step=5)
    assert service().job_iteration == 1
    await control.update_service(id, service().version, {**spec, "Labels": {}})
    await cluster.pass_time(600, step=5)
    await control.update_service(id, service().version, {}, rollback="previous")
    await cluster.pass_time(1)
    assert service().job_iteration == 1
    await cluster.pass_time(61, step=5)
    assert service().job_iteration == 2
    await cluster.stop()


@on_loop
async def test_a_run_that_goes_on_is_ended_and_tasks_that_found_no_node_do_not_heap_up() -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.RUNNING
    labels = {"scow.cron": "* * * * *"}
    long = await cluster.service("long", None, Mode={"ReplicatedJob": {}}, Labels=labels)
    nowhere = {"Placement": {"Constraints": ["node.labels.x==y"]}}
    stuck = await cluster.service("stuck", None, Mode={"ReplicatedJob": {}}, Labels=labels, TaskTemplate=nowhere)
    await cluster.pass_time(400, step=5)
    going = [task for task in cluster.store.by(Task, "service", long) if task.status.state is TaskState.RUNNING]
    assert [task.job_iteration for task in going] == [_iteration(cluster, long)]
    assert len(cluster.store.by(Task, "service", stuck)) == 1
    await cluster.store.update(lambda tx: tx.delete(Service, long))
    await cluster.pass_time(61, step=5)
    assert not cluster.store.by(Task, "service", long)
    await cluster.stop()


@on_loop
async def test_a_run_that_goes_on_may_be_left_alone() -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.RUNNING
    id = await cluster.service("long", None, Mode={"ReplicatedJob": {}}, Labels={"scow.cron": "* * * * *", "scow.cron.overlap": "skip"})
    await cluster.pass_time(200, step=5)
    assert _iteration(cluster, id) == 0
    cluster.behave = lambda task: TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING
    await cluster.pass_time(5)
    assert _iteration(cluster, id) == 0
    await cluster.pass_time(61, step=5)
    assert _iteration(cluster, id) == 1
    await cluster.stop()
