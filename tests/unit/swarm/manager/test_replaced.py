"""What is counted after each change is what would be found by looking through all tasks."""

import random

from scow.swarm.manager.scheduler.nodes import holds
from scow.swarm.manager.scheduler.replaced import Replaced
from scow.swarm.manager.tasks import is_dirty
from scow.swarm.objects import Service, Task, TaskState, TaskStatus

_SPECS = [{"ContainerSpec": {"Image": name}} for name in "abc"]


def _counted(service: Service, version: int, tasks: dict[str, Task]) -> dict[str, int]:
    found: dict[str, int] = {}
    for task in tasks.values():
        if task.spec_version < version and task.wanted and holds(task) and is_dirty(service, task):
            found[task.node_id] = found.get(task.node_id, 0) + 1
    return found


def _some(choose: random.Random, number: int) -> Task:
    version = number % 4  # what a task is made of never changes
    return Task(
        id=f"t{number}",
        service_id="s",
        slot=number,
        node_id=choose.choice(["", "n1", "n2", "n3"]),
        spec=_SPECS[version % 3],
        spec_version=version,
        status=TaskStatus(choose.choice(list(TaskState))),
        desired_state=choose.choice([TaskState.READY, TaskState.RUNNING, TaskState.RUNNING, TaskState.SHUTDOWN]),
    )


def test_counts_follow_changes_of_tasks() -> None:
    choose = random.Random(9)
    for _ in range(30):
        service = Service(id="s", spec={"Name": "s", "TaskTemplate": choose.choice(_SPECS)}, spec_version=3)
        version = choose.choice([2, 3])
        tasks = {task.id: task for task in (_some(choose, number) for number in range(20))}
        replaced = Replaced(service, version, tasks.values())
        for _ in range(60):
            number = choose.randrange(25)
            if choose.random() < 0.2:
                tasks.pop(f"t{number}", None)
                replaced.gone(f"t{number}")
            else:
                tasks[f"t{number}"] = task = _some(choose, number)
                replaced.note(task)
            assert {node: count for node, count in replaced.counts.items() if count} == _counted(service, version, tasks)


def test_counts_are_of_one_spec() -> None:
    service = Service(id="s", spec={"Name": "s", "TaskTemplate": _SPECS[0]}, spec_version=2)
    replaced = Replaced(service, 2, [])
    assert replaced.of(service.changed(version=7, update_status={"State": "updating"}))
    assert not replaced.of(service.changed(spec_version=3))
    assert not replaced.of(service.changed(spec={**service.spec, "TaskTemplate": _SPECS[1]}))
