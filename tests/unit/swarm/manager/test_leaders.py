"""Managers that come to lead and cease to, and a store whose answers are lost: what the services are to be, they become all the same.

Each manager has a copy of the state that is a moment behind, as with etcd (`store/etcd/store.py`); what nodes do is simulated, time is
moved, and chance has a seed (with PYTHONHASHSEED, too, a run is the same again).
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest

from scow.errors import NotFound, ScowError
from scow.swarm.manager.manager import Manager
from scow.swarm.objects import Node, Object, Service, Task, TaskState
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import NoLeader, Tx
from tests.fakes.swarm import Cluster0
from tests.support.asynchronous import on_loop

T = TypeVar("T")

Commit = dict[tuple[str, str], Object | None]


def template(image: str, **more: object) -> dict[str, object]:
    return {"ContainerSpec": {"Image": image}, "RestartPolicy": {"Delay": 0}, **more}


class Copy(MemoryStore):
    """A manager's copy: `log` is what was committed, by whomever; `fate` says what becomes of a commit of this one."""

    def __init__(self, cluster: "Cluster1") -> None:
        super().__init__(cluster.clock.now_ns)
        self._log = cluster.log
        self.fate: Callable[[], str] = lambda: "done"

    def take(self, count: int | None = None) -> None:
        """See what others have committed, up to `count` commits."""
        for written in self._log[self._version :][:count]:
            self.show(written, self._version + 1)

    async def fresh(self) -> None:
        """See Store."""
        self.take()

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """See Store."""
        while True:
            tx, begun = self.begin(), self._version
            result = fn(tx)
            await asyncio.sleep(0)
            if not tx.written:  # nobody is asked: what it was made of may be old
                return result
            if begun != len(self._log):
                self.take()
                continue
            fate = self.fate()
            if fate == "refused":
                raise NoLeader
            self._log.append(tx.commit(self._version + 1))
            if fate == "unanswered":
                raise NoLeader
            self.take()
            return result


class Cluster1(Cluster0):
    """With several managers, any of which may think that it leads."""

    def __init__(self, nodes: int, seed: int, managers: int = 2) -> None:
        super().__init__(nodes)
        self.random = random.Random(seed)
        self.log: list[Commit] = []
        self.store = Copy(self)
        self.copies = [Copy(self) for _ in range(managers)]
        self.managers = [Manager(copy, self.clock) for copy in self.copies]
        self.manager = self.managers[0]

    async def settle(self, rounds: int = 20) -> None:
        """A while: copies come to see what there is."""
        for _ in range(rounds):
            await self.store.update(self._step)
            self.store.take()
            for copy in self.copies:
                copy.take(self.random.choice((0, 1, 2, 5)))
            for _ in range(self.random.choice((1, 4, 12))):
                await asyncio.sleep(0)

    async def _beat(self) -> None:
        for manager in self.managers:
            for node in manager.store.all(Node) if manager.leading else ():
                with contextlib.suppress(ScowError):
                    if node.id not in self.dead:
                        try:
                            await manager.dispatcher.heartbeat(node.id)
                        except ScowError:
                            await manager.dispatcher.register(node.id, node.description, "")

    async def stop(self) -> None:
        for manager in self.managers:
            await manager.resign()

    def wrong(self) -> list[str]:
        """What is not as the services say."""
        found = []
        services = {one.id: one for one in self.store.all(Service)}
        for service in services.values():
            tasks = [task for task in self.store.by(Task, "service", service.id) if task.desired_state <= TaskState.RUNNING]
            told = [(task.slot, task.desired_state.name, task.status.state.name, task.spec["ContainerSpec"]["Image"]) for task in tasks]
            image = service.task_spec["ContainerSpec"]["Image"]
            good = all(
                task.desired_state is TaskState.RUNNING and task.status.state is TaskState.RUNNING
                and task.spec["ContainerSpec"]["Image"] == image
                for task in tasks
            )  # fmt: skip
            replicas = len(self.store.all(Node)) if service.mode == "global" else service.replicas
            if not good or len(tasks) != replicas or max(Counter(task.slot_key for task in tasks).values(), default=1) > 1:
                found.append(f"{service.id} wants {replicas} of {image}: {told}, update {self.status(service.id)!r}")
        for task in self.store.all(Task):
            if task.service_id not in services:
                found.append(f"{task.service_id} is gone: {task.slot} {task.desired_state.name} {task.status.state.name}")
            elif task.desired_state > TaskState.RUNNING and TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING:
                found.append(f"{task.service_id}.{task.slot} is to end: {task.desired_state.name} {task.status.state.name}")
        return found


async def storm(seed: int, rounds: int) -> list[str]:
    """Services change, managers lead and resign, answers are lost, nodes are silent; then all is well. What is wrong after that."""
    cluster = Cluster1(3, seed)
    chance = cluster.random
    await cluster.start()

    def fate() -> str:
        return chance.choices(("done", "refused", "unanswered"), (85, 5, 10))[0]

    for copy in cluster.copies:
        copy.fate = fate
    for number in range(1, rounds + 1):
        services = [one.id for one in cluster.store.all(Service)]
        match chance.randrange(9):
            case 0 | 1 if len(services) < 5:
                mode = chance.choice(({"Replicated": {"Replicas": number % 3}},) * 3 + ({"Global": {}},))
                await cluster.service(f"w{number}", None, Mode=mode, UpdateConfig={"Parallelism": 0, "Monitor": 10**6})
            case 2 if services:
                gone = chance.choice(services)
                await cluster.store.update(lambda tx, id=gone: tx.delete(Service, id))  # type: ignore[misc]
            case 3:
                manager = chance.choice(cluster.managers)
                if manager.leading:
                    await manager.resign()
                else:
                    manager.lead()
            case 4:
                cluster.dead ^= {chance.choice(("n1", "n2", "n3"))}
            case 5:
                await cluster.pass_time(chance.choice((0.5, 2, 20)))
            case _ if services:
                order = chance.choice(("stop-first", "stop-first", "start-first"))
                service = cluster.store.find(Service, chance.choice(services))
                await cluster.change(
                    service.id,
                    Mode=service.spec["Mode"] if service.mode == "global" else {"Replicated": {"Replicas": number % 3}},
                    TaskTemplate=template(f"x{number // 4}"),
                    UpdateConfig={"Parallelism": chance.choice((0, 1)), "Monitor": 10**6, "Order": order},
                )
            case _:
                pass
        await cluster.settle(chance.choice((1, 2, 5)))
    cluster.dead = set()
    for copy in cluster.copies:
        copy.fate = lambda: "done"
    if not any(manager.leading for manager in cluster.managers):
        cluster.managers[0].lead()
    for _ in range(40):
        await cluster.pass_time(2)
        if not cluster.wrong():
            break
    wrong = cluster.wrong()
    await cluster.stop()
    return wrong


@pytest.mark.parametrize("seed", range(6))
def test_services_become_what_they_are_to_be_whoever_led_meanwhile(seed: int) -> None:
    @on_loop
    async def go() -> None:
        assert await storm(seed, 60) == []

    go()


@on_loop
async def test_a_node_that_came_a_moment_ago_is_not_told_that_it_is_gone() -> None:
    cluster = Cluster1(1, seed=1)
    await cluster.store.update(lambda tx: tx.create(cluster.node("n1")))
    dispatcher = cluster.managers[0].dispatcher
    assert cluster.managers[0].store.get(Node, "n1") is None  # it has not seen that
    await dispatcher.register("n1", {}, "")
    await dispatcher.heartbeat("n1")
    with pytest.raises(NotFound):
        await dispatcher.register("n2", {}, "")
