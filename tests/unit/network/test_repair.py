import asyncio
import socket

import pytest

from scow.kernel.monitor import Happened
from scow.network import repair
from scow.network.repair import Watch
from tests.support.asynchronous import on_loop


class FakeMonitor:
    """Readable while the test has written; tells what it is given."""

    def __init__(self, table: str) -> None:
        self.route, self.far = socket.socketpair()
        self.nft, self.far_nft = socket.socketpair()
        self.told = Happened(links={"br-x"})

    def drain(self, links: set[str]) -> Happened:
        self.route.recv(100)
        return Happened(self.told.links & links, self.told.table, self.told.lost)

    def close(self) -> None:
        for one in (self.route, self.far, self.nft, self.far_nft):
            one.close()


@on_loop
async def test_a_loss_is_repaired_and_the_rest_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeMonitor] = []

    def make(table: str) -> FakeMonitor:
        made.append(FakeMonitor(table))
        return made[-1]

    monkeypatch.setattr(repair, "Monitor", make)
    monkeypatch.setattr(repair, "_GATHER_SECONDS", 0.01)
    repaired: asyncio.Queue[Happened] = asyncio.Queue()
    watch = Watch("scow", lambda: {"br-x"}, repaired.put)
    watch.start()
    made[0].far.send(b"x")
    assert (await asyncio.wait_for(repaired.get(), 30)).links == {"br-x"}
    made[0].told = Happened(lost=True)
    made[0].far.send(b"x")
    assert (await asyncio.wait_for(repaired.get(), 30)).lost
    made[0].told = Happened(links={"other"}, lost=True)
    made[0].far.send(b"x")
    made[0].far.send(b"x")
    await watch.close()
    assert repaired.empty()


@on_loop
async def test_a_kernel_that_tells_nothing_is_only_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(table: str) -> FakeMonitor:
        raise OSError(1, "no")

    monkeypatch.setattr(repair, "Monitor", refuse)
    watch = Watch("scow", set, lambda _: asyncio.sleep(0))
    watch.start()
    await watch.close()
    assert "tells no changes" in caplog.text
