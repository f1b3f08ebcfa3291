"""Reading logs back: tail, span, streams, rotation, following."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from scow.errors import Unsupported
from scow.keeper import jsonlog
from scow.logdrivers.plan import LogPlan
from scow.logdrivers.reader import LogQuery, read

BASE = 1_700_000_000_000_000_000


def write(path: Path, first: int, count: int, stream: str = "stdout") -> None:
    with path.open("ab") as file:
        for number in range(first, first + count):
            file.write(jsonlog.encode(f"line {number}\n".encode(), stream, BASE + number, ""))


def collect(path: Path, **options: object) -> bytes:
    async def gather() -> bytes:
        plan = LogPlan("json-file", path)
        query = LogQuery(tty=True, **options)  # type: ignore[arg-type]
        return b"".join([part async for part in read(plan, query)])

    return asyncio.run(gather())


def numbers(data: bytes) -> list[int]:
    return [int(line.split()[-1]) for line in data.splitlines()]


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    path = tmp_path / "x.log"
    write(tmp_path / "old", 0, 10)
    (tmp_path / "x.log.2.gz").write_bytes(gzip.compress((tmp_path / "old").read_bytes()))
    write(tmp_path / "x.log.1", 10, 10)
    write(path, 20, 10)
    return path


@pytest.mark.parametrize("tail", [-1, 0, 1, 5, 10, 15, 25, 30, 100])
def test_tail_across_rotated_files(rotated: Path, tail: int) -> None:
    expected = list(range(30))
    assert numbers(collect(rotated, tail=tail)) == (expected if tail < 0 else expected[30 - min(tail, 30) :])


def test_since_and_until_are_inclusive(rotated: Path) -> None:
    assert numbers(collect(rotated, since_ns=BASE + 5, until_ns=BASE + 22)) == list(range(5, 23))


def test_streams_frames_and_timestamps(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write(path, 1, 1)
    write(path, 2, 1, "stderr")

    async def gather(query: LogQuery) -> bytes:
        return b"".join([part async for part in read(LogPlan("json-file", path), query)])

    data = asyncio.run(gather(LogQuery(timestamps=True)))
    first = b"2023-11-14T22:13:20.000000001Z line 1\n"
    assert data == b"\x01\0\0\0\0\0\0" + bytes([len(first)]) + first + data[8 + len(first) :]
    assert data[8 + len(first)] == 2
    assert asyncio.run(gather(LogQuery(stderr=False))) == b"\x01\0\0\0\0\0\0\x07line 1\n"


def test_batches_with_escapes_and_attrs(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    text = 'a "q" \\ \t <é>\n\\n\nlast\n'.encode()
    path.write_bytes(jsonlog.encode(text, "stdout", BASE, '"attrs":{"k":"v"},'))
    assert [json.loads(line)["attrs"] for line in path.read_text().splitlines()] == [{"k": "v"}] * 3
    assert collect(path) == text
    assert collect(path, details=True) == b"".join(b"k=v " + line for line in text.splitlines(keepends=True))


def test_damaged_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write(path, 1, 1)
    with path.open("ab") as file:
        file.write(b'\0\0\0 garbage\n{"log":1}\n[]\n')
    write(path, 2, 1)
    with path.open("ab") as file:
        file.write(b'{"log":"unfin')
    assert numbers(collect(path)) == [1, 2]


def test_follow_through_rotation_until_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    over = False

    async def scenario() -> list[int]:
        nonlocal over
        got = b""
        write(path, 0, 5)

        async def follow() -> None:
            nonlocal got
            async for part in read(LogPlan("json-file", path), LogQuery(follow=True, tty=True), lambda: over):
                got += part

        task = asyncio.get_running_loop().create_task(follow())
        while b"line 4" not in got:
            await asyncio.sleep(0.005)
        write(path, 5, 5)
        path.rename(tmp_path / "x.log.1")
        write(path, 10, 5)
        path.rename(tmp_path / "x.log.2")  # as fast as a flood rotates
        (tmp_path / "x.log.2").rename(tmp_path / "keep")
        (tmp_path / "x.log.1").rename(tmp_path / "x.log.2")
        (tmp_path / "keep").rename(tmp_path / "x.log.1")
        write(path, 15, 5)
        while b"line 19" not in got:
            await asyncio.sleep(0.005)
        over = True
        await task
        return numbers(got)

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == list(range(20))


def test_driver_none() -> None:
    async def gather() -> None:
        async for _ in read(LogPlan("none", None), LogQuery()):
            pass

    with pytest.raises(Unsupported, match="configured logging driver does not support reading"):
        asyncio.run(gather())
