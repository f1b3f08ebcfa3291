import pytest

from scow.aio import Supervisor
from scow.errors import NotFound
from scow.images.progress import Board, bar, run
from tests.support.asynchronous import on_loop


@on_loop
async def test_states_are_all_told_and_progress_only_now_and_then() -> None:
    async def work(board: Board) -> None:
        for number in range(1000):
            board.moved("a", "Downloading", number, 1000)
        board.state("a", "Pull complete")
        board.moved("b", "Downloading", 1, 2)

    lines = [line async for line in run(Supervisor("t"), work, "t")]
    assert lines[0]["progressDetail"] == {"current": 0, "total": 1000}
    assert {"status": "Pull complete", "progressDetail": {}, "id": "a"} in lines
    assert lines[-1]["id"] == "b"
    assert len(lines) < 10


@on_loop
async def test_errors_come_behind_the_lines_and_closing_ends_the_work() -> None:
    ended: list[str] = []

    async def fails(board: Board) -> None:
        board.put({"status": "one"})
        raise NotFound("gone")

    lines = run(Supervisor("t"), fails, "t")
    assert await anext(lines) == {"status": "one"}
    with pytest.raises(NotFound):
        await anext(lines)

    async def hangs(board: Board) -> None:
        board.put({"status": "one"})
        try:
            await Supervisor("x").start(_ever(), "x")
        finally:
            ended.append("yes")

    lines = run(Supervisor("t"), hangs, "t")
    await anext(lines)
    await lines.aclose()  # type: ignore[attr-defined]
    assert ended == ["yes"]


async def _ever() -> None:
    import asyncio

    await asyncio.Event().wait()


def test_bar() -> None:
    assert bar(5, 10).startswith("[=========================>")
    assert bar(10, 10).count("=") == 50
    assert bar(10, 0) == "10B"
