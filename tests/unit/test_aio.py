"""Tasks, locks and undo stacks."""

import asyncio
import os
import socket
import threading

import pytest

from scow.aio import KeyedLock, Supervisor, Unwind, behind, holds, hung_up, in_pool, in_thread, readable


async def _cancellation() -> list[str]:
    seen: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cleaned")

    supervisor = Supervisor("test")
    supervisor.start(forever(), "one")
    await asyncio.sleep(0)
    await supervisor.close()
    return seen


def test_closing_a_supervisor_ends_its_tasks() -> None:
    assert asyncio.run(_cancellation()) == ["cleaned"]


def test_a_keyed_lock_excludes_and_forgets() -> None:
    async def run() -> None:
        locks, order = KeyedLock(), []

        async def hold(key: str, mark: str) -> None:
            async with locks(key):
                order.append(mark)
                await asyncio.sleep(0)
                order.append(mark)

        await asyncio.gather(hold("a", "1"), hold("a", "2"), hold("b", "3"))
        assert order.index("2") > 0
        ones_and_twos = [mark for mark in order if mark != "3"]
        assert ones_and_twos == ["1", "1", "2", "2"]
        assert not locks.locked("a")

    asyncio.run(run())


def test_undo_runs_backwards_and_goes_on_after_errors() -> None:
    async def run() -> list[int]:
        done: list[int] = []

        async def later(number: int) -> None:
            done.append(number)

        unwind = Unwind()
        unwind.push(done.append, 1)
        unwind.push(lambda: 1 / 0)
        unwind.push(later, 2)
        await unwind.undo()
        kept = Unwind()
        kept.push(done.append, 3)
        kept.keep()
        await kept.undo()
        return done

    assert asyncio.run(run()) == [2, 1]


def test_the_pool_is_another_thread() -> None:
    async def run() -> bool:
        return await in_pool(threading.get_ident) != threading.get_ident()

    assert asyncio.run(run())


def test_behind_has_threads_of_its_own() -> None:
    async def main() -> tuple[str, str]:
        name = lambda: threading.current_thread().name  # noqa: E731
        return await behind(in_pool, name), await in_pool(name)

    late, usual = asyncio.run(main())
    assert late.startswith("scow-behind") and usual.startswith("scow-pool")


def test_readable_waits_for_data_and_for_the_last_writers_end() -> None:
    async def run() -> None:
        tasks = Supervisor("test")
        for act in (lambda fd: os.write(fd, b"x"), os.close):
            read, write = os.pipe()
            waiting = tasks.start(readable(read), "wait")
            await asyncio.sleep(0)
            assert not waiting.done()
            act(write)
            await asyncio.wait_for(waiting, 30)
            os.close(read)
            if act is not os.close:
                os.close(write)

    asyncio.run(run())


def test_a_thread_of_its_own_gives_results_and_errors_and_holds_up_nobody() -> None:
    async def go() -> None:
        assert await in_thread(int, "7") == 7
        with pytest.raises(ValueError, match="invalid literal"):
            await in_thread(int, "x")
        gate = threading.Event()
        waiting = asyncio.gather(*(in_thread(gate.wait, 60) for _ in range(30)))
        assert await in_pool(int, "8") == 8
        gate.set()
        assert all(await waiting)

    asyncio.run(go())


def test_a_half_close_is_no_hang_up() -> None:
    a, b = socket.socketpair()
    with b:
        a.shutdown(socket.SHUT_WR)
        assert not hung_up(b.fileno())
        a.close()
        assert hung_up(b.fileno())
    assert hung_up(b.fileno())


def test_a_condition_that_nobody_tells_of():
    seen: list[int] = []

    async def look() -> tuple[bool, bool]:
        later = await holds(lambda: bool(seen.append(1)) or len(seen) > 2, 60, 0.001)
        return later, await holds(lambda: False, 0.01, 0.001)

    assert asyncio.run(look()) == (True, False)
