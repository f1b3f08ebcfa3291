"""What one stream may take of a turn of the keeper's loop, and how its log is bounded."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scow.keeper import hold, process
from scow.keeper.logfile import LogFile
from scow.keeper.process import Stream


class _Loop:
    def watch(self, fd: int, mask: int, handler: Any) -> None: ...
    def forget(self, fd: int) -> None: ...
    def after(self, seconds: float, fn: Any) -> None: ...


def test_a_flood_gives_the_others_their_turn() -> None:
    taken: list[int] = []
    owner: Any = SimpleNamespace(
        loop=_Loop(), log=None, clients=[], congested=False, feed=lambda data, _number: taken.append(len(data)), stream_ended=lambda: None
    )
    stream = Stream(owner, os.open("/dev/zero", os.O_RDONLY), 1, None)
    try:
        stream._ready(0)
        assert 0 < sum(taken) < process._BUDGET + process._READ
    finally:
        stream.close()


def test_a_congested_client_stops_the_reading() -> None:
    taken: list[int] = []
    owner: Any = SimpleNamespace(
        loop=_Loop(), log=None, clients=[], congested=True, feed=lambda data, _number: taken.append(len(data)), stream_ended=lambda: None
    )
    stream = Stream(owner, os.open("/dev/zero", os.O_RDONLY), 1, None)
    try:
        stream._ready(0)
        assert not taken
    finally:
        stream.close()


def test_a_flood_into_small_files_is_rotated_by_size(tmp_path: Path) -> None:
    memory = hold.create()
    log = LogFile({"path": str(tmp_path / "l"), "max_size": 5000, "max_file": 3})
    owner: Any = SimpleNamespace(loop=_Loop(), log=log, clients=[], congested=False, feed=None, stream_ended=lambda: None)
    source, sink = os.pipe()
    os.write(sink, b"".join(b"%d\n" % number for number in range(10_000)))
    os.close(sink)
    stream = Stream(owner, source, 1, hold.regions(memory)[0])
    stream.drain()
    stream.close()
    log.close()
    os.close(memory)
    files = [tmp_path / name for name in ("l.2", "l.1", "l")]
    numbers = [int(json.loads(line)["log"]) for file in files for line in file.read_bytes().splitlines()]
    assert numbers == list(range(10_000 - len(numbers), 10_000))
    assert all(file.stat().st_size < 6000 for file in files)
    assert len(numbers) > 70
