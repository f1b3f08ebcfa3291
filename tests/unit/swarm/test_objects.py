"""Objects survive the store."""

import re

from scow.swarm.identity import base36, new_id
from scow.swarm.objects import ContainerStatus, Network, Service, Task, TaskState, TaskStatus, from_json, to_json


def test_ids() -> None:
    found = {new_id() for _ in range(100)}
    assert len(found) == 100
    assert all(re.fullmatch("[0-9a-z]{25}", one) for one in found)
    assert base36(35, 3) == "00z"


def test_a_task_survives_json() -> None:
    status = TaskStatus(TaskState.RUNNING, 5, "started", container=ContainerStatus("c", 7))
    task = Task(id="t", version=3, service_id="s", slot=2, status=status, desired_state=TaskState.SHUTDOWN, job_iteration=0, spec={"A": 1})
    assert from_json("task", to_json(task)) == task
    assert from_json("task", to_json(Task(id="t"))) == Task(id="t")


def test_fields_of_a_newer_engine_are_left_out() -> None:
    assert from_json("network", {"id": "n", "vni": 4097, "nonsense": 1}) == Network(id="n", vni=4097)


def test_modes_and_replicas() -> None:
    assert Service(id="s").mode == "replicated"
    assert Service(id="s").replicas == 1
    assert Service(id="s", spec={"Mode": {"Replicated": {"Replicas": 0}}}).replicas == 0
    assert Service(id="s", spec={"Mode": {"Global": {}}}).mode == "global"
    assert Service(id="s", spec={"Mode": {"ReplicatedJob": {}}}).mode == "replicated-job"


def test_names_of_tasks() -> None:
    assert Task(id="t", service_name="web", slot=2).name == "web.2.t"
    assert Task(id="t", service_name="web", node_id="n").name == "web.n.t"
