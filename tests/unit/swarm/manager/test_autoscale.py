"""Automatic scaling."""

import pytest

from scow.errors import InvalidArgument
from scow.opts.autoscale import Policy, policy_of
from scow.swarm.manager.autoscale import decide
from scow.swarm.objects import Service
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
    ],
)
def test_labels_that_make_no_sense_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        policy_of({f"scow.autoscale.{key}": value for key, value in labels.items()})


@pytest.mark.parametrize(
    ("replicas", "used", "wanted"),
    [
        (2, {"cpu": 140.0}, 4),
        (2, {"cpu": 74.0}, None),
        (4, {"cpu": 20.0}, 2),
        (2, {"cpu": 1000.0}, 6),
        (2, {"cpu": 1.0}, 1),
        (2, {"cpu": 10.0, "connections": 300.0}, 6),
        (2, {}, None),
    ],
)
def test_decisions(replicas: int, used: dict[str, float], wanted: int | None) -> None:
    found = decide(Policy(1, 6, {"cpu": 70.0, "connections": 100.0}), replicas, used)
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
    assert service.scaling["Reason"].startswith("cpu is 100 per replica, the target is 50")
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
