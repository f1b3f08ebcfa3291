"""What one stream may take of a turn of the keeper's loop."""

import os
from types import SimpleNamespace
from typing import Any

from scow.keeper import process
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
