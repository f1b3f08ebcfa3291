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
