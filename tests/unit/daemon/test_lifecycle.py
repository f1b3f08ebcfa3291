import asyncio

import pytest

from scow.daemon.lifecycle import Lifecycle, Step


def test_stops_in_reverse_whatever_fails(caplog):
    told: list[str] = []

    def step(name: str, fails: bool = False, hangs: bool = False) -> Step:
        async def start() -> None:
            told.append(f"+{name}")

        async def stop() -> None:
            told.append(f"-{name}")
            if fails:
                raise RuntimeError("no")
            if hangs:
                await asyncio.Event().wait()

        return Step(name, start, stop, stop_seconds=0.01)

    async def main() -> None:
        lifecycle = Lifecycle()
        for each in (step("a"), step("b", hangs=True), step("c", fails=True), Step("d")):
            await lifecycle.start(each)
        await lifecycle.stop()
        await lifecycle.stop()

    asyncio.run(main())
    assert told == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert "stopping c failed" in caplog.text
    assert "stopping b took longer" in caplog.text


def test_a_failed_start_is_stopped_too():
    told: list[str] = []

    async def bad() -> None:
        raise RuntimeError("half-way")

    async def stop() -> None:
        told.append("stopped")

    async def main() -> None:
        lifecycle = Lifecycle()
        with pytest.raises(RuntimeError):
            await lifecycle.start(Step("x", bad, stop))
        await lifecycle.stop()

    asyncio.run(main())
    assert told == ["stopped"]
