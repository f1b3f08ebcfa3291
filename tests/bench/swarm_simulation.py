"""The real manager with simulated agents: how long it takes to place many tasks on many nodes, and what it needs in memory.

    .venv/bin/python -m tests.bench.swarm_simulation [--update] [nodes tasks]…        default: 100 5000  1000 50000

No hosts, no containers: the store is in memory, agents answer at once. Prints seconds, microseconds a task and megabytes. Compare
processor times only of runs in turns.
"""

import argparse
import asyncio
import functools
import resource
import time

from scow.swarm.clock import SystemClock
from scow.swarm.manager.manager import Manager
from scow.swarm.objects import Cluster, Node, Service, Task, TaskState, TaskStatus
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Tx

_PER_SERVICE = 500
_WIDTH = 20
_BATCH = 200


def _create(one: Service, tx: Tx) -> None:
    tx.create(one)


def _update(id: str, tx: Tx) -> None:
    service = tx.get(Service, id)
    assert service is not None
    spec = {
        **service.spec,
        "TaskTemplate": {"ContainerSpec": {"Image": "y"}},
        "UpdateConfig": {"Order": "start-first", "Parallelism": _WIDTH, "FailureAction": "continue"},
    }
    tx.update(service.changed(spec=spec, spec_version=service.spec_version + 1))


async def simulate(nodes: int, tasks: int, per_service: int, update: bool) -> tuple[float, float, float]:
    """(seconds until every task runs, processor seconds that a start-first update of all of them takes, resident megabytes)."""
    store = MemoryStore()
    manager = Manager(store, SystemClock())
    description = {"Hostname": "h", "Resources": {"NanoCPUs": 64 * 10**9, "MemoryBytes": 256 << 30}}

    def prepare(tx: Tx) -> None:
        tx.create(Cluster(id="cluster"))
        for number in range(nodes):
            spec = {"Role": "worker", "Availability": "active", "Labels": {"zone": str(number % 3)}}
            tx.create(Node(id=f"n{number}", spec=spec, description=description, status_state="ready"))

    await store.update(prepare)
    manager.lead()
    ready: list[str] = []
    watch = store.watch(Task)

    async def agents() -> None:
        async for changes in watch:
            ready.extend(
                change.object.id for change in changes if isinstance(change.new, Task) and change.new.status.state is TaskState.ASSIGNED
            )
            for start in range(0, len(ready), _BATCH):
                await store.update(lambda tx, ids=ready[start : start + _BATCH]: run(tx, ids))  # type: ignore[misc]
            ready.clear()
            ended = [
                change.object.id
                for change in changes
                if isinstance(change.new, Task) and change.new.status.state is TaskState.RUNNING < change.new.desired_state
            ]
            for start in range(0, len(ended), _BATCH):
                await store.update(lambda tx, ids=ended[start : start + _BATCH]: stop(tx, ids))  # type: ignore[misc]

    def run(tx: Tx, ids: list[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            if task is not None:
                tx.update(task.changed(status=TaskStatus(TaskState.RUNNING, time.time_ns(), "started")))

    def stop(tx: Tx, ids: list[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            if task is not None:
                tx.update(task.changed(status=TaskStatus(TaskState.SHUTDOWN, time.time_ns(), "shutdown")))

    async def done() -> None:
        while sum(task.status.state is TaskState.RUNNING for task in store.all(Task)) < tasks:
            await asyncio.sleep(0.2)

    async def updated() -> None:
        while any((one.update_status or {}).get("State") != "completed" for one in store.all(Service)):
            await asyncio.sleep(0.2)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(agents())
        for number in range(-(-tasks // per_service)):
            count = min(per_service, tasks - number * per_service)
            spec = {"Name": f"s{number}", "Mode": {"Replicated": {"Replicas": count}}, "TaskTemplate": {"ContainerSpec": {"Image": "x"}}}
            one = Service(id=f"s{number}", spec=spec)
            await store.update(functools.partial(_create, one))
        await done()
        took = time.perf_counter() - begun
        begun = time.process_time()
        if update:
            for one in store.all(Service):
                await store.update(functools.partial(_update, one.id))
            await updated()
        again = time.process_time() - begun
        worker.cancel()
    await manager.resign()
    return took, again, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the sizes given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=number, metavar="NODES TASKS", help="pairs; 100 5000 and 1000 50000 without any")
    parser.add_argument("--update", action="store_true", help="then update all services, new tasks first")
    parser.add_argument("--per-service", type=number, default=_PER_SERVICE, metavar="TASKS", help=f"{_PER_SERVICE} without it")
    given = parser.parse_args()
    numbers = given.numbers or [100, 5000, 1000, 50000]
    if len(numbers) % 2:
        parser.error(f"NODES and TASKS come in pairs: {numbers[-1]} nodes have no number of tasks")
    for nodes, tasks in zip(numbers[::2], numbers[1::2], strict=True):
        begun = time.process_time()
        took, again, memory = asyncio.run(simulate(nodes, tasks, given.per_service, given.update))
        cpu = time.process_time() - begun - again
        each = f"{took / tasks * 1e6:.0f} us a task ({cpu / tasks * 1e6:.0f} of processor time)"
        print(f"{nodes} nodes, {tasks} tasks: {took:.1f} s, {each}, {memory:.0f} MB")
        if given.update:
            print(f"  start-first update: {again / tasks * 1e6:.0f} us of processor time a task")


def number(text: str) -> int:
    found = int(text)
    if found < 1:
        raise ValueError(text)
    return found


if __name__ == "__main__":
    main()
