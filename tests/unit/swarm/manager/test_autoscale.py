"""Automatic scaling."""

from typing import Any, cast

import pytest

from scow.errors import InvalidArgument, Unavailable
from scow.opts.autoscale import Policy, policy_of
from scow.swarm.manager.autoscale import decide
from scow.swarm.manager.eventfeed import EventFeed
from scow.swarm.objects import Node, Service, Task, TaskState
from scow.swarm.store.store import Change
from tests.fakes.swarm import Cluster0
from tests.support.asynchronous import on_loop


def test_labels() -> None:
    assert policy_of({"other": "1"}) is None
    labels = {"scow.autoscale.min": "2", "scow.autoscale.max": "8", "scow.autoscale.cpu": "70%", "scow.autoscale.window": "10s"}
    assert policy_of(labels) == Policy(2, 8, {"cpu": 70.0}, 10 * 10**9)


@pytest.mark.parametrize(
    "labels",
    [
        {"min": "2"},
        {"cpu": "fast"},
        {"cpu": "-1"},
        {"cpu": "50", "min": "5", "max": "2"},
        {"cpu": "50", "speed": "1"},
        {"cpu": "50", "window": "soon"},
        {"cpu": "nan"},
        {"cpu": "50", "min": "1.5"},
        {"cpu": "50", "max": "1000000"},
        {"cpu": "50", "window": "0s"},
        {"cpu": "50", "cooldown": "-1s"},
        {"cpu": ""},
        {"memory": "512M"},
        {"cpu": "5_0"},
        {"cpu": "50%%"},
        {"connections": "50%"},
        {"cpu": "1" * 5000},
        {"cpu": "50", "min": "-1"},
    ],
)
def test_labels_that_make_no_sense_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        policy_of({f"scow.autoscale.{key}": value for key, value in labels.items()})


@pytest.mark.parametrize(
    ("replicas", "used", "wanted"),
    [
        (2, {"cpu": 140.0}, 4),
        (2, {"cpu": 74.0}, 2),
        (4, {"cpu": 20.0}, 2),
        (2, {"cpu": 1000.0}, 6),
        (2, {"cpu": 1.0}, 1),
        (2, {"cpu": 10.0, "connections": 300.0}, 6),
        (2, {}, None),
    ],
)
def test_decisions(replicas: int, used: dict[str, float], wanted: int | None) -> None:
    found = decide(Policy(1, 6, {"cpu": 70.0, "connections": 100.0}), replicas, replicas, used)
    assert (found.replicas if found else None) == wanted


@on_loop
async def test_a_busy_service_grows_says_why_and_shrinks_again() -> None:
    cluster = await Cluster0(nodes=2).start()
    labels = {"scow.autoscale.max": "5", "scow.autoscale.cpu": "50", "scow.autoscale.window": "5s", "scow.autoscale.cooldown": "5s"}
    id = await cluster.service("web", 1, Labels=labels)

    async def use(cores: float, seconds: int) -> None:
        for _ in range(seconds):
            cluster.manager.autoscaler.note({task.id: {"cpu": cores} for task in cluster.running(id)})
            await cluster.pass_time(1)

    await use(1.0, 3)
    assert len(cluster.running(id)) == 2
    await use(1.0, 20)
    assert len(cluster.running(id)) == 5
    service = cluster.store.get(Service, id)
    assert service is not None
    assert service.scaling is not None
    assert service.scaling["To"] == 5
    assert service.scaling["Reason"].endswith("per replica, the target is 50, bounded by max 5")
    await use(0.1, 30)
    assert len(cluster.running(id)) == 1
    await cluster.stop()


async def _scaled(replicas: int) -> tuple[Cluster0, str]:
    cluster = await Cluster0().start()
    labels = {"scow.autoscale.max": "5", "scow.autoscale.cpu": "50", "scow.autoscale.window": "5s", "scow.autoscale.cooldown": "0s"}
    return cluster, await cluster.service("web", replicas, Labels=labels)


@on_loop
async def test_tasks_that_tell_nothing_are_not_taken_for_idle() -> None:
    cluster, id = await _scaled(3)
    silent = cluster.running(id)[0].id
    for _ in range(30):
        cluster.manager.autoscaler.note({task.id: {"cpu": 0.0} for task in cluster.running(id) if task.id != silent})
        await cluster.pass_time(1)
    assert len(cluster.running(id)) == 3
    await cluster.stop()


@on_loop
async def test_a_rollback_after_scaling_leads_to_what_was_asked_for_before() -> None:
    cluster, id = await _scaled(1)
    await cluster.change(id, TaskTemplate={"ContainerSpec": {"Image": "y"}, "RestartPolicy": {"Delay": 0}})
    await cluster.settle()
    for _ in range(20):
        cluster.manager.autoscaler.note({task.id: {"cpu": 1.0} for task in cluster.running(id)})
        await cluster.pass_time(1)
    service = cluster.store.get(Service, id)
    assert service is not None and service.previous_spec is not None
    assert service.replicas == 5
    assert service.previous_spec["TaskTemplate"]["ContainerSpec"]["Image"] == "x"
    assert service.previous_spec["Mode"] == {"Replicated": {"Replicas": 5}}
    await cluster.stop()


@on_loop
async def test_no_scaling_while_an_update_has_stopped() -> None:
    cluster, id = await _scaled(1)
    await cluster.store.update(lambda tx: tx.update(tx.find(Service, id).changed(update_status={"State": "paused"})))
    for _ in range(20):
        cluster.manager.autoscaler.note({task.id: {"cpu": 1.0} for task in cluster.running(id)})
        await cluster.pass_time(1)
    assert len(cluster.running(id)) == 1
    await cluster.stop()


@on_loop
async def test_no_more_tasks_are_asked_for_than_find_a_node() -> None:
    cluster = await Cluster0(nodes=2).start()
    labels = {"scow.autoscale.max": "9", "scow.autoscale.cpu": "50", "scow.autoscale.window": "5s", "scow.autoscale.cooldown": "0s"}
    id = await cluster.service("web", 1, Labels=labels, TaskTemplate={"Placement": {"MaxReplicas": 1}})
    for _ in range(30):
        cluster.manager.autoscaler.note({task.id: {"cpu": 1.0} for task in cluster.running(id)})
        await cluster.pass_time(1)
    service = cluster.store.get(Service, id)
    assert service is not None
    assert len(cluster.running(id)) == 2
    assert service.replicas <= 4
    await cluster.stop()


def _service(cluster: Cluster0, id: str) -> Service:
    service = cluster.store.get(Service, id)
    assert service is not None
    return service


async def _loaded(cluster: Cluster0, id: str, cores: float, seconds: int) -> None:
    for _ in range(seconds):
        cluster.manager.autoscaler.note({task.id: {"cpu": cores} for task in cluster.running(id)})
        await cluster.pass_time(1)


@on_loop
async def test_the_cooldown_survives_a_change_of_leader_and_a_clock_that_is_set() -> None:
    cluster = await Cluster0().start()
    labels = {"max": "64", "cpu": "50", "window": "5s", "cooldown": "60s"}
    id = await cluster.service("web", 1, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    await _loaded(cluster, id, 1.0, 3)
    assert _service(cluster, id).replicas == 2
    await _loaded(cluster, id, 1.0, 20)
    await cluster.manager.resign()
    cluster.manager.lead()
    await _loaded(cluster, id, 1.0, 30)
    assert _service(cluster, id).replicas == 2
    await _loaded(cluster, id, 1.0, 12)
    assert _service(cluster, id).replicas == 4
    await cluster.manager.resign()
    cluster.clock.step(-3600)
    cluster.manager.lead()
    await _loaded(cluster, id, 1.0, 55)
    assert _service(cluster, id).replicas == 4
    await _loaded(cluster, id, 1.0, 10)
    assert _service(cluster, id).replicas == 8
    await cluster.stop()


@on_loop
async def test_a_new_leader_looks_for_a_whole_window_before_it_takes_tasks_away() -> None:
    cluster, id = await _scaled(4)
    await cluster.change(id, Labels={**_service(cluster, id).labels, "scow.autoscale.window": "60s"})
    await _loaded(cluster, id, 0.0, 50)
    await cluster.manager.resign()
    cluster.manager.lead()
    await _loaded(cluster, id, 0.0, 50)
    assert _service(cluster, id).replicas == 4
    await _loaded(cluster, id, 0.0, 15)
    assert _service(cluster, id).replicas == 1
    await cluster.stop()


@on_loop
async def test_tasks_that_are_slow_to_start_are_not_asked_for_again_and_again() -> None:
    cluster = await Cluster0().start()
    labels = {"max": "50", "cpu": "50", "window": "5s", "cooldown": "0s"}
    id = await cluster.service("web", 2, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    cluster.behave = lambda task: TaskState.RUNNING if task.slot <= 2 else None
    await _loaded(cluster, id, 1.0, 60)
    assert len(cluster.running(id)) == 2
    assert _service(cluster, id).replicas == 4
    await cluster.stop()


@on_loop
async def test_what_was_measured_before_a_change_counts_no_more() -> None:
    cluster, id = await _scaled(1)
    await cluster.change(id, Labels={**_service(cluster, id).labels, "scow.autoscale.window": "10m", "scow.autoscale.max": "50"})
    await _loaded(cluster, id, 1.0, 1)
    await _loaded(cluster, id, 0.5, 100)
    assert _service(cluster, id).replicas == 2
    await cluster.stop()


@on_loop
async def test_the_largest_need_of_two_targets_counts() -> None:
    cluster = await Cluster0().start()
    labels = {"cpu": "50", "connections": "10", "window": "5s", "cooldown": "0s"}
    id = await cluster.service("web", 4, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    for _ in range(20):
        cluster.manager.autoscaler.note({task.id: {"cpu": 0.0, "connections": 10.0} for task in cluster.running(id)})
        await cluster.pass_time(1)
    assert _service(cluster, id).replicas == 4
    for _ in range(20):  # of one nothing is known any more: nobody says that it is idle
        cluster.manager.autoscaler.note({task.id: {"cpu": 0.0} for task in cluster.running(id)})
        await cluster.pass_time(1)
    assert _service(cluster, id).replicas == 4
    await cluster.stop()


def _held(cluster: Cluster0, id: str) -> str:
    return str((_service(cluster, id).scaling or {}).get("Held") or "")


@on_loop
async def test_why_nothing_is_done_is_told() -> None:
    cluster = await Cluster0(nodes=2).start()
    told: list[str] = []
    labels = {"max": "3", "cpu": "50", "window": "5s", "cooldown": "0s"}
    spec = {f"scow.autoscale.{key}": value for key, value in labels.items()}
    id = await cluster.service("web", 1, Labels=spec, TaskTemplate={"Placement": {"MaxReplicas": 1}})
    for _ in range(30):
        await _loaded(cluster, id, 1.0, 1)
        told.append(_held(cluster, id))
    assert told[-1].startswith("more replicas are needed, but there is no room for those that there are: no suitable node (max replicas")
    assert len(set(told) - {""}) == 1
    await cluster.change(id, Mode={"Replicated": {"Replicas": 0}})
    await _loaded(cluster, id, 1.0, 15)
    assert _service(cluster, id).replicas == 0
    assert "0 replicas" in _held(cluster, id)
    template = dict(_service(cluster, id).task_spec, Placement={})
    await cluster.change(id, Mode={"Replicated": {"Replicas": 3}}, TaskTemplate=template)
    await _loaded(cluster, id, 1.0, 15)
    assert _held(cluster, id) == "more replicas are needed than max 3"
    await _loaded(cluster, id, 0.5, 15)
    assert _held(cluster, id) == ""
    await cluster.store.update(lambda tx: tx.update(tx.find(Service, id).changed(update_status={"State": "paused"})))
    await _loaded(cluster, id, 1.0, 15)
    assert _held(cluster, id) == "its update is paused"
    await cluster.stop()


@on_loop
async def test_what_a_user_sets_within_the_bounds_stays_for_the_cooldown() -> None:
    cluster = await Cluster0().start()
    labels = {"max": "9", "cpu": "50", "window": "5s", "cooldown": "30s"}
    id = await cluster.service("web", 1, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    await _loaded(cluster, id, 0.5, 40)
    await cluster.change(id, Mode={"Replicated": {"Replicas": 5}})
    await _loaded(cluster, id, 0.0, 20)
    assert _service(cluster, id).replicas == 5
    await _loaded(cluster, id, 0.0, 20)
    assert _service(cluster, id).replicas == 1
    await cluster.change(id, Mode={"Replicated": {"Replicas": 20}})
    await _loaded(cluster, id, 0.5, 2)
    assert _service(cluster, id).replicas == 9
    await cluster.stop()


@on_loop
@pytest.mark.parametrize("order", ["start-first", "stop-first"])
async def test_while_an_update_runs_the_number_stays_and_the_wish_is_told(order: str) -> None:
    cluster, id = await _scaled(3)
    await cluster.change(
        id,
        TaskTemplate={"ContainerSpec": {"Image": "y"}, "RestartPolicy": {"Delay": 0}},
        UpdateConfig={"Parallelism": 1, "Delay": 10 * 10**9, "Order": order},
    )
    await _loaded(cluster, id, 1.0, 15)
    assert cluster.status(id) == "updating"
    assert _service(cluster, id).replicas == 3
    assert _held(cluster, id) == "more replicas are needed: they come when its update has ended"
    await _loaded(cluster, id, 1.0, 60)
    assert cluster.status(id) == "completed"
    assert _service(cluster, id).replicas == 5
    assert {task.spec["ContainerSpec"]["Image"] for task in cluster.running(id)} == {"y"}
    await cluster.stop()


@on_loop
async def test_a_node_that_dies_takes_no_task_of_the_others_away() -> None:
    cluster = await Cluster0(nodes=3).start()
    labels = {"cpu": "50", "window": "5s", "cooldown": "0s"}
    id = await cluster.service("web", 6, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    cluster.dead = {"n1"}
    lowest = 6
    for _ in range(60):
        told = {task.id: {"cpu": 0.5} for task in cluster.running(id) if task.node_id != "n1"}
        cluster.manager.autoscaler.note(told)
        await cluster.pass_time(1)
        lowest = min(lowest, _service(cluster, id).replicas)
    assert lowest == 6
    assert {task.node_id for task in cluster.running(id)} == {"n2", "n3"}
    await cluster.stop()


def test_events_tell_each_decision_also_for_the_reason_of_the_one_before() -> None:
    told: list[dict[str, str]] = []
    feed = EventFeed(lambda kind, action, id, attributes: told.append(dict(attributes)))

    def service(replicas: int, at: str, held: str = "") -> Service:
        scaling = {"From": 1, "To": replicas, "Reason": "cpu is 100", "At": at, **({"Held": held} if held else {})}
        return Service(id="s", spec={"Name": "web", "Mode": {"Replicated": {"Replicas": replicas}}}, scaling=scaling)

    one, two, three = service(2, "12:00"), service(4, "12:01"), service(4, "12:01", "no room")
    feed.handle(Change(one, two))
    feed.handle(Change(two, three))
    feed.handle(Change(three, two))
    assert told == [
        {"name": "web", "replicas.old": "2", "replicas.new": "4", "autoscale.new": "cpu is 100"},
        {"name": "web", "autoscaleheld.new": "no room"},
        {"name": "web", "autoscaleheld.old": "no room", "autoscaleheld.new": ""},
    ]


@on_loop
async def test_a_load_that_moves_to_other_tasks_is_not_gone() -> None:
    """Sixty connections, all with one task; it is lost with its node, and they come back a moment later."""
    cluster = await Cluster0(nodes=3).start()
    labels = {"connections": "10", "window": "30s", "cooldown": "5s"}
    id = await cluster.service("web", 6, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    seen = set()

    async def hold(seconds: int, node: str, telling: str) -> None:
        """`node`: where the task is that has them all; `telling`: nodes that report."""
        for _ in range(seconds):
            has = next((task.id for task in cluster.running(id) if task.node_id == node), "")
            told = [task.id for task in cluster.running(id) if task.node_id in telling.split()]
            cluster.manager.autoscaler.note({one: {"connections": 60.0 * (one == has)} for one in told})
            await cluster.pass_time(1)
            seen.add(_service(cluster, id).replicas)

    await hold(40, "n1", "n1 n2 n3")
    await cluster.manager.resign()
    cluster.manager.lead()
    await hold(3, "n1", "n1 n2")  # the first measurements that a new leader hears are those of some of the tasks
    await hold(40, "n1", "n1 n2 n3")
    cluster.dead = {"n1"}
    while any(task.node_id == "n1" for task in cluster.running(id)):
        await hold(1, "n1", "n2 n3")
    await hold(2, "", "n2 n3")
    await hold(60, "n2", "n2 n3")
    assert seen == {6}
    await cluster.stop()


class Full:
    """A store that can be read only."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update(self, write: Any) -> Any:
        raise Unavailable("the quota is reached")


@on_loop
async def test_a_store_that_takes_nothing_is_told_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="scow")
    cluster, id = await _scaled(1)
    scaler = cluster.manager.autoscaler
    scaler._store = cast(Any, Full(cluster.store))
    await _loaded(cluster, id, 1.0, 20)
    assert _service(cluster, id).replicas == 1
    assert caplog.text.count("the quota is reached") == 1
    scaler._store = cluster.store
    await _loaded(cluster, id, 1.0, 3)
    assert _service(cluster, id).replicas > 1
    await cluster.stop()


@on_loop
async def test_what_a_task_has_that_is_about_to_end_is_still_to_be_done() -> None:
    """A node with all of the load is drained; its task takes ten seconds to end, then the load comes back to others."""
    cluster = await Cluster0(nodes=2).start()
    labels = {"connections": "10", "window": "15s", "cooldown": "5s"}
    id = await cluster.service("web", 4, Labels={f"scow.autoscale.{key}": value for key, value in labels.items()})
    busy = next(task.id for task in cluster.running(id) if task.node_id == "n1")
    seen = set()

    async def hold(seconds: int) -> None:
        for _ in range(seconds):
            there = [task for task in cluster.store.by(Task, "service", id) if task.status.state is TaskState.RUNNING]
            cluster.manager.autoscaler.note({task.id: {"connections": 40.0 * (task.id == busy)} for task in there})
            await cluster.pass_time(1)
            seen.add(_service(cluster, id).replicas)

    await hold(20)
    node = cluster.store.find(Node, "n1")
    cluster.slow = True
    await cluster.store.update(lambda tx: tx.update(node.changed(spec={**node.spec, "Availability": "drain"})))
    await hold(10)
    cluster.slow = False
    busy = ""
    await hold(2)
    busy = cluster.running(id)[0].id
    await hold(30)
    assert seen == {4}
    await cluster.stop()
