"""The real manager with simulated agents: how long it takes to place many tasks on many nodes, and what it needs in memory.

    .venv/bin/python -m tests.bench.swarm_simulation [nodes tasks]…        default: 100 5000  1000 50000

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
_BATCH = 200


def _create(one: Service, tx: Tx) -> None:
    tx.create(one)


async def simulate(nodes: int, tasks: int) -> tuple[float, float]:
    """(seconds until every task runs, resident megabytes)."""
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

    def run(tx: Tx, ids: list[str]) -> None:
        for id in ids:
            task = tx.get(Task, id)
            if task is not None:
                tx.update(task.changed(status=TaskStatus(TaskState.RUNNING, time.time_ns(), "started")))

    async def done() -> None:
        while sum(task.status.state is TaskState.RUNNING for task in store.all(Task)) < tasks:
            await asyncio.sleep(0.2)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(agents())
        for number in range(-(-tasks // _PER_SERVICE)):
            count = min(_PER_SERVICE, tasks - number * _PER_SERVICE)
            spec = {"Name": f"s{number}", "Mode": {"Replicated": {"Replicas": count}}, "TaskTemplate": {"ContainerSpec": {"Image": "x"}}}
            one = Service(id=f"s{number}", spec=spec)
            await store.update(functools.partial(_create, one))
        await done()
        took = time.perf_counter() - begun
        worker.cancel()
    await manager.resign()
    return took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the sizes given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=number, metavar="NODES TASKS", help="pairs; 100 5000 and 1000 50000 without any")
    numbers = parser.parse_args().numbers or [100, 5000, 1000, 50000]
    if len(numbers) % 2:
        parser.error(f"NODES and TASKS come in pairs: {numbers[-1]} nodes have no number of tasks")
    for nodes, tasks in zip(numbers[::2], numbers[1::2], strict=True):
        begun = time.process_time()
        took, memory = asyncio.run(simulate(nodes, tasks))
        cpu = time.process_time() - begun
        each = f"{took / tasks * 1e6:.0f} us a task ({cpu / tasks * 1e6:.0f} of processor time)"
        print(f"{nodes} nodes, {tasks} tasks: {took:.1f} s, {each}, {memory:.0f} MB")


def number(text: str) -> int:
    found = int(text)
    if found < 1:
        raise ValueError(text)
    return found


if __name__ == "__main__":
    main()
