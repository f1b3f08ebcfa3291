"""The manager as a whole: services become tasks on nodes, fail, are updated, scaled and removed. Agents are simulated, time is moved."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from scow.aio import Supervisor
from scow.filters import Filters
from scow.swarm import view
from scow.swarm.manager.control import Control
from scow.swarm.manager.scheduler.scheduler import Scheduler
from scow.swarm.manager.tasks import new_task
from scow.swarm.objects import Cluster, Node, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import Change, NoLeader, Tx
from tests.fakes.swarm import Cluster0
from tests.support.asynchronous import on_loop

TEMPLATE = {"ContainerSpec": {"Image": "x"}, "RestartPolicy": {"Delay": 0}}


def template(image: str, **more: object) -> dict[str, object]:
    return {**TEMPLATE, "ContainerSpec": {"Image": image}, **more}


@on_loop
async def test_replicas_are_spread_scaled_and_removed() -> None:
    cluster = await Cluster0(nodes=3).start()
    id = await cluster.service("web", 6)
    assert Counter(task.node_id for task in cluster.running(id)) == {"n1": 2, "n2": 2, "n3": 2}
    assert [task.slot for task in cluster.running(id)] == [1, 2, 3, 4, 5, 6]
    await cluster.change(id, Mode={"Replicated": {"Replicas": 2}})
    assert len(cluster.running(id)) == 2
    assert len({task.node_id for task in cluster.running(id)}) == 2
    await cluster.change(id, Mode={"Replicated": {"Replicas": 0}})
    assert cluster.running(id) == []
    await cluster.change(id, Mode={"Replicated": {"Replicas": 3}})
    await cluster.store.update(lambda tx: tx.delete(Service, id))
    await cluster.settle()
    assert cluster.store.all(Task) == []
    await cluster.stop()


@on_loop
async def test_a_failed_task_is_replaced_after_the_delay_in_its_slot() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1, TaskTemplate={"RestartPolicy": {"Delay": 2_000_000_000}})
    (first,) = cluster.running(id)
    cluster.behave = lambda task: TaskState.FAILED if task.id == first.id else TaskState.RUNNING
    await cluster.settle()
    assert cluster.running(id) == []
    await cluster.pass_time(1.5)
    assert cluster.running(id) == []
    await cluster.pass_time(1)
    (second,) = cluster.running(id)
    assert second.slot == first.slot
    assert second.id != first.id
    await cluster.stop()


@pytest.mark.parametrize(
    ("condition", "end", "again"),
    [
        ("none", TaskState.FAILED, False),
        ("on-failure", TaskState.COMPLETE, False),
        ("on-failure", TaskState.FAILED, True),
        ("any", TaskState.COMPLETE, True),
    ],
)
def test_restart_conditions(condition: str, end: TaskState, again: bool) -> None:
    @on_loop
    async def go() -> None:
        cluster = await Cluster0().start()
        id = await cluster.service("web", 1, TaskTemplate={"RestartPolicy": {"Delay": 0, "Condition": condition}})
        (first,) = cluster.running(id)
        cluster.behave = lambda task: end if task.id == first.id else TaskState.RUNNING
        await cluster.settle()
        assert bool(cluster.running(id)) is again
        await cluster.stop()

    go()


@on_loop
async def test_attempts_are_limited() -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.FAILED
    id = await cluster.service("web", 1, TaskTemplate={"RestartPolicy": {"Delay": 0, "MaxAttempts": 2}})
    await cluster.pass_time(5)
    assert len(cluster.store.by(Task, "service", id)) == 3
    await cluster.stop()


@on_loop
async def test_history_is_kept_within_bounds() -> None:
    cluster = await Cluster0().start()
    cluster.behave = lambda task: TaskState.FAILED
    id = await cluster.service("web", 1, TaskTemplate={"RestartPolicy": {"Delay": 10**9}})
    await cluster.pass_time(20)
    assert len(cluster.store.by(Task, "service", id)) in (5, 6)
    await cluster.stop()


@on_loop
async def test_global_services_follow_the_nodes() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("agent", None, Mode={"Global": {}})
    assert {task.node_id for task in cluster.running(id)} == {"n1", "n2"}
    await cluster.store.update(lambda tx: tx.create(cluster.node("n3")))
    await cluster.settle()
    assert {task.node_id for task in cluster.running(id)} == {"n1", "n2", "n3"}

    def drain(tx: Tx) -> None:
        node = tx.find(Node, "n1")
        tx.update(node.changed(spec={**node.spec, "Availability": "drain"}))

    await cluster.store.update(drain)
    await cluster.settle()
    assert {task.node_id for task in cluster.running(id)} == {"n2", "n3"}
    await cluster.stop()


@on_loop
async def test_drained_and_dead_nodes_lose_their_tasks() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 2)

    def down(tx: Tx) -> None:
        tx.update(tx.find(Node, "n1").changed(status_state="down"))

    cluster.dead.add("n1")
    await cluster.store.update(down)
    await cluster.settle()
    assert {task.node_id for task in cluster.running(id) if task.node_id != "n1"} == {"n2"}
    assert sum(task.node_id == "n2" for task in cluster.running(id)) == 2
    await cluster.stop()


@on_loop
async def test_what_fits_nowhere_stays_pending_with_the_reason() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 1, TaskTemplate={"Placement": {"Constraints": ["node.labels.zone==a"]}})
    (task,) = cluster.store.by(Task, "service", id)
    assert task.status.state is TaskState.PENDING
    assert task.status.error == "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    big = await cluster.service("big", 1, TaskTemplate={"Resources": {"Reservations": {"NanoCPUs": 10**12}}})
    assert cluster.store.by(Task, "service", big)[0].status.error == "no suitable node (insufficient resources on 2 nodes)"

    def label(tx: Tx) -> None:
        node = tx.find(Node, "n2")
        tx.update(node.changed(spec={**node.spec, "Labels": {"zone": "a"}}))

    await cluster.store.update(label)
    await cluster.settle()
    assert [task.node_id for task in cluster.running(id)] == ["n2"]
    await cluster.stop()


@on_loop
async def test_reservations_fill_nodes_and_are_given_back() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 5, TaskTemplate={"Resources": {"Reservations": {"NanoCPUs": 2 * 10**9}}})
    assert len(cluster.running(id)) == 4
    await cluster.change(id, Mode={"Replicated": {"Replicas": 4}})
    other = await cluster.service("other", 1, TaskTemplate={"Resources": {"Reservations": {"NanoCPUs": 2 * 10**9}}})
    assert cluster.running(other) == []
    await cluster.change(id, Mode={"Replicated": {"Replicas": 3}})
    assert len(cluster.running(other)) == 1
    await cluster.stop()


@on_loop
async def test_spread_preferences_fill_labels_evenly() -> None:
    cluster = await Cluster0(nodes=0).start()

    def nodes(tx: Tx) -> None:
        for id, zone in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")):
            tx.create(cluster.node(id, {"zone": zone}))

    await cluster.store.update(nodes)
    placement = {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]}
    id = await cluster.service("web", 6, TaskTemplate={"Placement": placement})
    assert Counter(task.node_id[0] for task in cluster.running(id)) == {"a": 3, "b": 3}
    await cluster.stop()


@on_loop
async def test_a_rolling_update_replaces_a_few_at_a_time() -> None:
    cluster = await Cluster0(nodes=2).start()
    update = {"Parallelism": 2, "Delay": 10**9, "Monitor": 10**9}
    id = await cluster.service("web", 4, UpdateConfig=update)
    await cluster.change(id, TaskTemplate=template("new"))
    assert cluster.status(id) == "updating"
    images = Counter(task.spec["ContainerSpec"]["Image"] for task in cluster.running(id))
    assert images == {"x": 2, "new": 2}
    await cluster.pass_time(5)
    assert cluster.status(id) == "completed"
    assert {task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)} == {"new"}
    assert len(cluster.running(id)) == 4
    await cluster.stop()


@on_loop
async def test_scaling_alone_is_no_update() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1)
    (first,) = cluster.running(id)
    await cluster.change(id, Mode={"Replicated": {"Replicas": 2}})
    assert first.id in {task.id for task in cluster.running(id)}
    assert cluster.status(id) == ""
    control = Control(cluster.store, cluster.clock, lambda name: "")
    fresh = Filters({"service": ["web"], "_up-to-date": ["true"]})
    assert len(control.tasks(fresh)) == 2  # what `service scale` waits for
    await cluster.change(id, TaskTemplate=template("y"))
    assert {task["Spec"]["ContainerSpec"]["Image"] for task in control.tasks(fresh)} == {"y"}
    await cluster.stop()


@on_loop
async def test_a_failing_update_pauses_and_names_the_task() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 2, UpdateConfig={"Monitor": 10**9, "Delay": 2 * 10**9})
    cluster.behave = lambda task: TaskState.FAILED if task.spec["ContainerSpec"]["Image"] == "bad" else TaskState.RUNNING
    await cluster.change(id, TaskTemplate=template("bad", RestartPolicy={"Condition": "none"}))
    await cluster.pass_time(3)
    assert cluster.status(id) == "paused"
    service = cluster.store.get(Service, id)
    assert service is not None
    assert service.update_status is not None
    assert "update paused due to failure or early termination of task " in service.update_status["Message"]
    assert sum(task.spec["ContainerSpec"]["Image"] == "x" for task in cluster.running(id)) == 1
    await cluster.stop()


@on_loop
async def test_a_failing_update_rolls_back_when_asked_to() -> None:
    cluster = await Cluster0().start()
    config = {"Monitor": 10**9, "FailureAction": "rollback"}
    id = await cluster.service("web", 2, UpdateConfig=config, RollbackConfig={"Monitor": 10**9})
    cluster.behave = lambda task: TaskState.FAILED if task.spec["ContainerSpec"]["Image"] == "bad" else TaskState.RUNNING
    await cluster.change(id, TaskTemplate=template("bad", RestartPolicy={"Delay": 10**9}))
    await cluster.pass_time(8)
    assert cluster.status(id) == "rollback_completed"
    assert [task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)] == ["x", "x"]
    await cluster.stop()


@on_loop
async def test_start_first_keeps_the_old_one_until_the_new_one_runs() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1, UpdateConfig={"Order": "start-first", "Monitor": 10**9})
    cluster.behave = lambda task: None if task.spec["ContainerSpec"]["Image"] == "slow" else TaskState.RUNNING
    await cluster.change(id, TaskTemplate=template("slow"))
    assert [task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)] == ["x"]
    cluster.behave = lambda task: TaskState.RUNNING
    await cluster.pass_time(3)
    assert [task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)] == ["slow"]
    assert cluster.status(id) == "completed"
    await cluster.stop()


@on_loop
async def test_a_replicated_job_runs_to_its_completions() -> None:
    cluster = await Cluster0().start()
    most = 0

    def behave(task: Task) -> TaskState:
        nonlocal most
        most = max(most, sum(one.status.state is TaskState.RUNNING for one in cluster.store.all(Task)))
        return TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING

    cluster.behave = behave
    id = await cluster.service("job", None, Mode={"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}})
    await cluster.pass_time(1)
    done = [task for task in cluster.store.by(Task, "service", id) if task.status.state is TaskState.COMPLETE]
    assert len(done) == 5
    assert most <= 2
    assert {task.desired_state for task in done} == {TaskState.COMPLETE}
    await cluster.stop()


@on_loop
async def test_a_global_job_runs_once_on_each_node() -> None:
    cluster = await Cluster0(nodes=3).start()
    cluster.behave = lambda task: TaskState.COMPLETE if task.status.state is TaskState.RUNNING else TaskState.RUNNING
    id = await cluster.service("job", None, Mode={"GlobalJob": {}})
    await cluster.pass_time(1)
    tasks = cluster.store.by(Task, "service", id)
    assert sorted(task.node_id for task in tasks) == ["n1", "n2", "n3"]
    told = view.counts(tasks, {"n1", "n2", "n3"}, cluster.store.find(Service, id), 3)
    assert told == {"RunningTasks": 0, "DesiredTasks": 0, "CompletedTasks": 3}
    await cluster.stop()


@on_loop
async def test_a_new_leader_goes_on_where_the_old_one_was() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 4, UpdateConfig={"Delay": 10**9, "Monitor": 10**9})
    await cluster.change(id, TaskTemplate=template("new"))
    await cluster.manager.resign()
    cluster.manager.lead()
    await cluster.settle()
    await cluster.pass_time(12)
    assert cluster.status(id) == "completed"
    assert [task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)] == ["new"] * 4
    await cluster.stop()


@on_loop
async def test_a_slot_that_waits_for_its_old_task_is_filled_when_the_service_is_scaled_meanwhile() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1, UpdateConfig={"Parallelism": 0, "Monitor": 10**6})
    cluster.dead = {"n1"}  # it does nothing for a moment
    await cluster.change(id, TaskTemplate=template("y"))
    await cluster.change(id, Mode={"Replicated": {"Replicas": 2}})
    cluster.dead = set()
    await cluster.pass_time(3)
    assert [(task.slot, task.spec["ContainerSpec"]["Image"]) for task in cluster.running(id)] == [(1, "y"), (2, "y")]
    await cluster.stop()


@on_loop
async def test_a_replacement_that_a_former_leader_has_stored_late_comes_to_run() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1)
    (old,) = cluster.running(id)

    def late(tx: Tx) -> None:
        service = tx.find(Service, id)
        tx.update(old.changed(desired_state=TaskState.SHUTDOWN))
        tx.create(new_task(service, 1, "", cluster.clock.now_ns()).changed(desired_state=TaskState.READY))

    await cluster.store.update(late)
    await cluster.pass_time(1)
    (new,) = cluster.running(id)
    assert new.id != old.id
    await cluster.stop()


@on_loop
async def test_two_tasks_that_two_leaders_have_put_into_one_slot_become_one() -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 2)

    def second(tx: Tx) -> None:
        tx.create(new_task(tx.find(Service, id), 1, "", cluster.clock.now_ns()))

    await cluster.store.update(second)
    await cluster.pass_time(3)
    assert [task.slot for task in cluster.running(id)] == [1, 2]
    await cluster.stop()


@on_loop
async def test_a_task_whose_node_goes_down_while_it_is_placed_is_placed_again() -> None:
    cluster = Cluster0()
    scheduler = Scheduler(cluster.store, cluster.clock)
    task = Task(id="t", service_id="s", status=TaskStatus(TaskState.PENDING))

    def write(tx: Tx) -> None:
        tx.create(cluster.node("n1"))
        tx.create(task)

    async def turn(state: str) -> Change:
        old = cluster.store.find(Node, "n1")
        await cluster.store.update(lambda tx: tx.update(old.changed(status_state=state)))
        return Change(old, cluster.store.find(Node, "n1"))

    await cluster.store.update(write)
    scheduler.setup()
    down = await turn("down")
    await scheduler.tick()  # it has not heard of it
    assert not cluster.store.find(Task, "t").node_id
    for change in (down, await turn("ready")):
        scheduler.handle(change)
        await scheduler.tick()
    assert cluster.store.find(Task, "t").node_id == "n1"


@on_loop
async def test_a_leader_whose_store_is_lost_in_the_middle_of_an_update_resigns(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = await Cluster0().start()
    id = await cluster.service("web", 1, UpdateConfig={"Monitor": 10**6})
    resigning: list[asyncio.Task[None]] = []
    supervisor = Supervisor("test")
    update = cluster.store.update

    async def lost(fn: Callable[[Tx], object]) -> object:
        if getattr(fn, "__qualname__", "") != "Rollout._slot.<locals>.<lambda>":
            return await update(fn)
        # the update hears of it when the manager does, too
        asyncio.get_running_loop().call_soon(lambda: resigning.append(supervisor.start(cluster.manager.resign(), "resign")))
        raise NoLeader

    monkeypatch.setattr(cluster.store, "update", lost)
    await cluster.change(id, TaskTemplate=template("y"))
    done, _ = await asyncio.wait(resigning, timeout=30)
    assert done
    monkeypatch.undo()
    cluster.manager.lead()
    await cluster.pass_time(2)
    assert [task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)] == ["y"]
    await cluster.stop()


@on_loop
async def test_two_ports_without_a_number_for_one_target_keep_theirs() -> None:
    cluster = await Cluster0().start()
    ports = [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"}] * 2
    id = await cluster.service("web", 1, EndpointSpec={"Mode": "vip", "Ports": ports})
    before = cluster.store.get(Service, id)
    assert before is not None
    given = [one["PublishedPort"] for one in before.endpoint["Ports"]]
    assert len(set(given)) == 2
    await cluster.change(id, Labels={"a": "b"})
    after = cluster.store.get(Service, id)
    assert after is not None
    assert [one["PublishedPort"] for one in after.endpoint["Ports"]] == given
    await cluster.stop()


@on_loop
async def test_an_update_does_not_wait_for_what_ran_on_a_node_that_dies_meanwhile() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 2, UpdateConfig={"Parallelism": 1, "Monitor": 10**6})
    cluster.dead = {"n1"}
    await cluster.change(id, TaskTemplate=template("y"))
    await cluster.pass_time(20)  # noticed after 15, and a minute is what a living node gets to end a task
    assert [(task.node_id, task.spec["ContainerSpec"]["Image"]) for task in cluster.running(id)] == [("n2", "y"), ("n2", "y")]
    await cluster.stop()


@on_loop
async def test_a_clock_that_is_set_makes_no_node_silent_and_no_restart_late() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 2, TaskTemplate={"RestartPolicy": {"Delay": 2_000_000_000}})
    before = cluster.running(id)
    for seconds in (3600, -7200, 3600):
        cluster.clock.step(seconds)
        await cluster.pass_time(4)
    assert cluster.running(id) == before
    cluster.behave = lambda task: TaskState.FAILED if task.id == before[0].id else TaskState.RUNNING
    await cluster.settle()
    cluster.clock.step(-3600)
    await cluster.manager.resign()
    cluster.manager.lead()
    cluster.behave = lambda task: TaskState.RUNNING
    await cluster.pass_time(3)
    assert len(cluster.running(id)) == 2
    await cluster.stop()


@on_loop
async def test_tasks_of_a_dead_node_are_lost_after_a_day_whatever_clocks_and_leaders_do() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 2)
    await cluster.pass_time(1)
    cluster.dead.add("n2")
    await cluster.pass_time(20)
    (old,) = [task for task in cluster.store.by(Task, "service", id) if task.node_id == "n2"]

    async def hours(count: int) -> TaskState | None:
        for _ in range(count):
            await cluster.pass_time(3605, step=1201)
            if cluster.store.find(Node, "n1").status_state != "ready":  # its beats were far apart
                await cluster._beat()
        found = cluster.store.get(Task, old.id)
        return found.status.state if found is not None else None

    cluster.clock.step(40 * 3600)
    assert await hours(10) is TaskState.RUNNING
    for _ in range(3):  # each leads for less than a day, on a host with a clock of its own
        await cluster.manager.resign()
        cluster.clock.step(-30 * 3600)
        cluster.manager.lead()
        assert await hours(4) is TaskState.RUNNING
    assert 16 <= cluster.store.find(Node, "n2").down_hours < 24  # what a leader had of an hour when it ended is not counted
    assert await hours(9) in (TaskState.ORPHANED, None)  # None: it is history, and that has been tidied up
    cluster.dead.clear()
    await cluster.pass_time(1)
    assert cluster.store.find(Node, "n2").down_hours == 0
    await cluster.stop()


@on_loop
async def test_an_update_is_watched_as_long_wherever_the_clock_is_set() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 1, UpdateConfig={"Monitor": 5_000_000_000, "FailureAction": "pause"})
    cluster.clock.step(-3600)
    cluster.behave = lambda task: TaskState.FAILED if task.spec["ContainerSpec"]["Image"] == "bad" else TaskState.RUNNING
    await cluster.change(id, TaskTemplate=template("bad", RestartPolicy={"Delay": 10**9}))
    cluster.clock.step(7200)
    await cluster.pass_time(2)
    found = cluster.store.get(Service, id)
    assert found is not None
    assert (found.update_status or {})["State"] == "paused"
    await cluster.stop()


@on_loop
async def test_a_shorter_heartbeat_holds_from_a_nodes_next_one() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 2)
    before = cluster.running(id)
    await cluster.pass_time(1)

    def write(tx: Tx) -> None:
        (found,) = tx.all(Cluster)
        tx.update(found.changed(spec={**found.spec, "Dispatcher": {"HeartbeatPeriod": 10**9}}))

    await cluster.store.update(write)
    for _ in range(8):  # nobody beats for four seconds: they were told five
        cluster.clock.advance(0.5)
        await cluster.settle()
    assert cluster.running(id) == before
    await cluster.pass_time(1)
    cluster.dead = {"n2"}
    await cluster.pass_time(5)
    assert {task.node_id for task in cluster.running(id)} == {"n1"}
    await cluster.stop()


@on_loop
async def test_a_global_service_may_publish_on_hosts_and_reserve_more_than_half() -> None:
    cluster = await Cluster0(2).start()
    ports = [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host", "Protocol": "tcp"}]
    template = {
        "ContainerSpec": {"Image": "x"},
        "Resources": {"Reservations": {"MemoryBytes": 6 << 30}},
        "Placement": {"MaxReplicas": 1},
    }
    id = await cluster.service("all", None, Mode={"Global": {}}, TaskTemplate=template, EndpointSpec={"Mode": "vip", "Ports": ports})
    await cluster.settle()
    assert sorted(task.node_id for task in cluster.running(id)) == ["n1", "n2"]
    await cluster.stop()


@on_loop
async def test_a_node_that_lost_power_often_is_not_avoided() -> None:
    cluster = await Cluster0(nodes=2).start()
    id = await cluster.service("web", 6)
    for number in range(3):
        cluster.dead = {"n2"}
        await cluster.pass_time(20)
        assert {task.node_id for task in cluster.running(id)} == {"n1"}

        def report(tx: Tx) -> None:  # what a node says that comes back without its containers
            for task in tx.by(Task, "node", "n2"):
                if task.status.state <= TaskState.RUNNING:
                    tx.update(task.changed(status=replace(task.status, state=TaskState.FAILED)))

        await cluster.store.update(report)
        cluster.dead = set()
        await cluster.pass_time(2)
        await cluster.change(id, TaskTemplate=template("x", ForceUpdate=number + 1))
        await cluster.pass_time(10)
        assert Counter(task.node_id for task in cluster.running(id)) == {"n1": 3, "n2": 3}
    await cluster.stop()


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
@pytest.mark.parametrize("nodes", [1, 2])
@on_loop
async def test_a_forced_update_spreads_tasks_over_nodes_that_came_later(order: str, nodes: int) -> None:
    cluster = await Cluster0(nodes).start()
    id = await cluster.service("web", 6)
    for number in range(nodes + 1, 4):
        await cluster.store.update(lambda tx, id=f"n{number}": tx.create(cluster.node(id)))  # type: ignore[misc]
    await cluster.settle()
    template = {"ContainerSpec": {"Image": "x"}, "RestartPolicy": {"Delay": 0}, "ForceUpdate": 1}
    await cluster.change(id, TaskTemplate=template, UpdateConfig={"Order": order})
    for _ in range(60):
        await cluster.pass_time(1)
    on = [task.node_id for task in cluster.running(id)]
    assert sorted(on.count(node) for node in ("n1", "n2", "n3")) == [2, 2, 2]
    await cluster.stop()


@on_loop
async def test_a_loop_that_fails_begins_again() -> None:
    cluster = await Cluster0(nodes=2).start()
    broken = replace(cluster.store.all(Node)[0], description={"Resources": [1]})
    whole = cluster.store.all(Node)[0].description
    await cluster.store.update(lambda tx: tx.update(broken))
    await cluster.settle()

    def mend(tx: Tx) -> None:
        tx.update(tx.find(Node, broken.id).changed(description=whole))

    await cluster.store.update(mend)
    await cluster.pass_time(6)
    id = await cluster.service("web", 4)
    assert Counter(task.node_id for task in cluster.running(id)) == {"n1": 2, "n2": 2}
    await cluster.stop()
