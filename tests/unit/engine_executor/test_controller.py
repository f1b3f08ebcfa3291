"""A task's controller on an engine that is not there: what it waits for."""

import asyncio
from types import SimpleNamespace
from typing import Any

from scow.engine_executor.controller import ContainerController
from scow.events import EventBus
from scow.swarm.agent.executor import Dependencies
from scow.swarm.objects import Task
from tests.support.asynchronous import on_loop


def _engine(container: Any) -> Any:
    async def read(container: Any, query: Any) -> Any:
        if container.state.started_ns:  # a container that was never started has nothing to follow
            line = b"2026-01-01T00:00:00.000000000Z hello\n"
            yield bytes([1, 0, 0, 0]) + len(line).to_bytes(4, "big") + line

    bus = EventBus()
    held = {"c": container}
    return SimpleNamespace(bus=bus, held=held, container_of=lambda task: held.get("c"), logs=SimpleNamespace(read=read))


@on_loop
async def test_following_waits_for_the_start_of_a_container() -> None:
    container = SimpleNamespace(id="c1", state=SimpleNamespace(started_ns=0), config=SimpleNamespace(tty=False))
    engine = _engine(container)
    controller = ContainerController(engine, Task(id="t"), Dependencies())
    assert [line async for line in controller.logs({})] == []

    async def follow() -> list[bytes]:
        return [line async for _, _, line in controller.logs({"follow": True})]

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        while not engine.bus.listeners:
            await asyncio.sleep(0)
        engine.bus.publish("container", "create", "another")
        await asyncio.sleep(0)
        assert not following.done()
        container.state.started_ns = 1
        engine.bus.publish("container", "start", "c1")
    assert following.result() == [b"hello\n"]
    container.state.started_ns = 0
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        while not engine.bus.listeners:
            await asyncio.sleep(0)
        engine.held.clear()  # removed without a start
        engine.bus.publish("container", "destroy", "c1")
    assert following.result() == []
