"""What `service rebalance` calls uneven."""

from typing import Any

import pytest

from scow.cli.command import Cli
from scow.cli.commands.service.balance import check, uneven
from scow.errors import ScowError


class Engine:
    """Tasks of `web` by node, and what else runs there."""

    def __init__(self, tasks: dict[str, int], others: list[dict[str, Any]], spec: dict[str, Any]) -> None:
        template = spec.get("TaskTemplate") or {}
        self.tasks = [
            {"ServiceID": "web", "NodeID": node, "Spec": template, "GenericResources": _claimed(template)}
            for node, count in tasks.items()
            for _ in range(count)
        ] + others

    def get(self, path: str, params: Any = None) -> Any:
        assert path == "/tasks"
        return self.tasks


def _claimed(template: dict[str, Any]) -> Any:
    return ((template.get("Resources") or {}).get("Reservations") or {}).get("GenericResources")


def node(id: str, zone: str = "", state: str = "ready", availability: str = "active", **resources: Any) -> dict[str, Any]:
    description = {
        "Hostname": f"host-{id}",
        "Platform": {"OS": "linux", "Architecture": "x86_64"},
        "Resources": {"NanoCPUs": 4 * 10**9, "MemoryBytes": 8 << 30, **resources},
    }
    labels = {"zone": zone} if zone else {}
    return {"ID": id, "Description": description, "Spec": {"Availability": availability, "Labels": labels}, "Status": {"State": state}}


def said(tmp_path: Any, nodes: list[dict[str, Any]], tasks: dict[str, int], others: Any = (), **template: Any) -> str:
    spec = {"Name": "web", "Mode": {"Replicated": {"Replicas": sum(tasks.values())}}, "TaskTemplate": template}
    engine = Engine(tasks, list(others), spec)
    return uneven(Cli(lambda: engine, lambda name: "", str(tmp_path)), {"ID": "web", "Spec": spec}, nodes)


THREE = [node("a"), node("b"), node("c")]
ZONES = [node("a", "x"), node("b", "y"), node("c", "y"), node("d", "y")]
PREFERENCE = {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]}}


def test_two_more_tasks_than_another_node_are_uneven(tmp_path: Any) -> None:
    assert said(tmp_path, THREE, {"a": 3, "b": 2, "c": 2}) == ""
    assert said(tmp_path, THREE, {"a": 3, "b": 3}) == "3 tasks on host-a, 0 on host-c"
    assert said(tmp_path, THREE, {}) == ""
    assert said(tmp_path, THREE[:1], {"a": 5}) == ""


def test_nodes_that_get_no_tasks_do_not_count(tmp_path: Any) -> None:
    away = [node("a"), node("b", availability="drain"), node("c", state="down")]
    assert said(tmp_path, away, {"a": 6}) == ""
    assert said(tmp_path, THREE, {"a": 6}, Placement={"Constraints": ["node.id == a"]}) == ""
    assert said(tmp_path, THREE, {"a": 6}, Placement={"Platforms": [{"OS": "linux", "Architecture": "arm64"}]}) == ""
    assert said(tmp_path, THREE, {"a": 6}, Placement={"Platforms": [{"OS": "linux", "Architecture": "amd64"}]})
    paused = [node("a", availability="pause"), node("b")]
    assert said(tmp_path, paused, {"a": 1, "b": 1}) == "1 task on host-a, which takes none now"


def test_preferences_are_filled_label_by_label(tmp_path: Any) -> None:
    assert said(tmp_path, ZONES, {"a": 3, "b": 1, "c": 1, "d": 1}, **PREFERENCE) == ""
    uneven_zones = said(tmp_path, ZONES, {"a": 1, "b": 2, "c": 2, "d": 1}, **PREFERENCE)
    assert uneven_zones == "5 tasks on node.labels.zone=y, 1 on node.labels.zone=x"
    assert said(tmp_path, ZONES, {"a": 3, "b": 3}, **PREFERENCE) == "3 tasks on host-b, 0 on host-c"


def test_nodes_without_room_are_not_filled(tmp_path: Any) -> None:
    small = [node("a"), node("b", NanoCPUs=10**9), node("c", NanoCPUs=10**9)]
    reserved = {"Resources": {"Reservations": {"NanoCPUs": 10**9}}}
    assert said(tmp_path, small, {"a": 4, "b": 1, "c": 1}, **reserved) == ""
    assert said(tmp_path, small, {"a": 4, "b": 1}, **reserved) == "4 tasks on host-a, 0 on host-c"
    taken = [{"ServiceID": "other", "NodeID": "c", "Spec": reserved}]
    assert said(tmp_path, small, {"a": 4, "b": 1}, taken, **reserved) == ""
    limited = {"Placement": {**PREFERENCE["Placement"], "MaxReplicas": 1}}
    assert said(tmp_path, ZONES, {"a": 1, "b": 1, "c": 1, "d": 1}, **limited) == ""
    gpus = [{"NamedResourceSpec": {"Kind": "gpu", "Value": name}} for name in ("one", "two", "three")]
    wanted = {"Resources": {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}}}
    assert said(tmp_path, [node("a", GenericResources=gpus), node("b")], {"a": 3}, **wanted) == ""
    assert said(tmp_path, [node("a", GenericResources=gpus), node("b", GenericResources=gpus)], {"a": 3}, **wanted)


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ({"Spec": {"Name": "web", "Mode": {"Global": {}}}}, "only replicated"),
        ({"Spec": {"Name": "web", "Mode": {"ReplicatedJob": {}}}}, "only replicated"),
        ({"Spec": {"Name": "web", "Mode": {"Replicated": {}}}, "UpdateStatus": {"State": "updating"}}, "update is under way"),
        ({"Spec": {"Name": "web", "Mode": {"Replicated": {}}}, "UpdateStatus": {"State": "rollback_paused"}}, "rollback is paused"),
    ],
)
def test_what_cannot_be_rebalanced_now(service: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScowError) as caught:
        check({"ID": "web", **service}, force=False)
    assert sentence in caught.value.message
    if "UpdateStatus" in service:
        check({"ID": "web", **service}, force=True)
