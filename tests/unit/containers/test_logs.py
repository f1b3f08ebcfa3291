"""logs: the query, the plan, following until the end."""

import asyncio
from pathlib import Path

import pytest

from scow.containers.lifecycle import State, Status
from scow.containers.logs import LogsQuery, LogsService, parse_query, parse_tail, plan_of
from scow.errors import InvalidArgument, Unsupported
from scow.model.container import ContainerConfig, HostConfig, LogConfig
from tests.unit.containers.test_view import made

LINE = '{"log":"%s\\n","stream":"stdout","time":"2024-01-01T00:00:0%d.000000001Z"}\n'


@pytest.mark.parametrize(("text", "number"), [("all", -1), ("", -1), ("-1", -1), ("0", 0), ("3", 3), ("x", -1), ("9" * 30, -1)])
def test_tail(text: str, number: int) -> None:
    assert parse_tail(text) == number


def test_bad_queries() -> None:
    with pytest.raises(InvalidArgument, match="you must choose at least one stream"):
        parse_query(LogsQuery())
    for bad in (LogsQuery(stdout=True, since="nonsense"), LogsQuery(stdout=True, until="nonsense")):
        with pytest.raises(InvalidArgument):
            parse_query(bad)


def test_driver_that_cannot_be_read() -> None:
    box = made(host=HostConfig(log_config=LogConfig(type="none")))
    with pytest.raises(Unsupported, match="does not support reading"):
        LogsService().read(box, LogsQuery(stdout=True))


def test_reading_and_following_to_the_end(tmp_path: Path) -> None:
    async def run() -> list[bytes]:
        box = made(state=State(status=Status.RUNNING, pid=1, started_ns=5), config=ContainerConfig(tty=True))
        box.dir = tmp_path
        path = plan_of(box).path
        assert path is not None
        path.write_text(LINE % ("one", 1))
        found = []
        async for frames in LogsService().read(box, LogsQuery(stdout=True, follow=True)):
            found.append(frames)
            if len(found) == 1:
                with path.open("a") as file:
                    file.write(LINE % ("two", 2))
            else:
                box.state = State(status=Status.EXITED, started_ns=5, finished_ns=6)
        return found

    async def bounded() -> list[bytes]:
        async with asyncio.timeout(30):
            return await run()

    assert asyncio.run(bounded()) == [b"one\n", b"two\n"]
