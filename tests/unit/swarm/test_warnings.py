"""What a user is told of a service that is taken all the same."""

from typing import Any

from scow.swarm import warnings


def _service(labels: dict[str, str], replicas: int | None = 1, inside: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "Labels": labels,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {"ContainerSpec": {"Labels": inside or {}}},
    }


def test_a_number_outside_of_the_bounds_is_told() -> None:
    labels = {"scow.autoscale.cpu": "50", "scow.autoscale.max": "4"}
    assert "20 replicas are outside of 1 to 4" in warnings.of_service(_service(labels, 20))[0]
    for replicas in (None, 0, 1, 4):
        assert not warnings.of_service(_service(labels, replicas))


def test_labels_at_the_wrong_place_are_told() -> None:
    for label in ("scow.autoscale.cpu", "scow.cron"):
        assert label in warnings.of_service(_service({}, inside={label: "5"}))[0]
    assert not warnings.of_service(_service({}, inside={"other": "5"}))


def test_a_constraint_on_what_nodes_do_not_have_is_told() -> None:
    spec = {"TaskTemplate": {"Placement": {"Constraints": ["node.rol == worker", "node.role != manager", "node.labels.zone == a"]}}}
    (said,) = warnings.of_service(spec)
    assert said.startswith("Constraint node.rol is nothing that nodes have") and "node.role" in said
