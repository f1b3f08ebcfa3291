import asyncio
from types import SimpleNamespace
from typing import Any

from scow.swarm.front import Front


class Made:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.swarm: Any = SimpleNamespace(word="active/manager", info=lambda: {"LocalNodeState": "active"})

    async def recover(self) -> None:
        self.calls.append("recover")

    async def close(self) -> None:
        self.calls.append("close")

    async def take_down(self) -> None:
        self.calls.append("take_down")


def test_nothing_is_made_before_it_is_asked_for():
    async def run() -> None:
        made: list[Made] = []

        async def make() -> Made:
            await asyncio.sleep(0)
            made.append(Made())
            return made[-1]

        front = Front(make)
        await front.recover()
        assert (front.word, front.info()["LocalNodeState"], made) == ("inactive", "inactive", [])
        first, second = await asyncio.gather(front.service(), front.service())
        assert first is second is made[0].swarm
        assert (front.word, front.info(), len(made)) == ("active/manager", {"LocalNodeState": "active"}, 1)
        await front.recover()
        await front.close()
        await front.take_down()
        assert made[0].calls == ["recover", "close", "take_down"]

    asyncio.run(run())


def test_closing_what_was_never_made():
    async def run() -> None:
        async def make() -> Made:
            raise AssertionError

        await Front(make).close()
        await Front(make).take_down()

    asyncio.run(run())
