"""The copy that a manager has of etcd's state, with an etcd that answers when a test says so."""

import asyncio
from collections.abc import AsyncIterator

import orjson

from scow.aio import Supervisor
from scow.swarm.objects import Service
from scow.swarm.store.etcd.client import Client, Row
from scow.swarm.store.etcd.store import EtcdStore
from scow.swarm.store.sealed import Sealer
from tests.support.asynchronous import on_loop, until

SEALER = Sealer(b"k" * 32)


class SlowEtcd(Client):
    """`rows` at `revision`; `answer` holds back what is read; `changes` go to the watch."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.revision = 1
        self.answer = asyncio.Event()
        self.answer.set()
        self.asked = 0
        self.changes: asyncio.Queue[list[Row]] = asyncio.Queue()

    async def range(self, prefix: bytes, seconds: float = 6.0) -> tuple[list[Row], int]:
        found = list(self.rows), self.revision
        self.asked += 1
        await self.answer.wait()
        return found

    async def watch(self, prefix: bytes, revision: int) -> AsyncIterator[list[Row]]:
        while True:
            yield await self.changes.get()

    def put(self, id: str) -> None:
        """Another manager creates a service."""
        self.revision += 1
        made = Service(id=id, version=self.revision, spec={"Name": id})
        value = orjson.dumps({"version": made.version, "row": SEALER.encode(made)})
        change = [Row(f"/scow/o/service/{id}".encode(), value, self.revision)]
        change.append(Row(b"/scow/commit", str(self.revision).encode(), self.revision))
        self.rows = [row for row in self.rows if row.key != b"/scow/commit"] + change
        self.changes.put_nowait(change)


@on_loop
async def test_what_the_watch_brings_while_all_is_read_again_stays() -> None:
    etcd = SlowEtcd()
    store = EtcdStore(etcd, SEALER)
    await store.open()
    etcd.put("before")
    await until(lambda: store.get(Service, "before"))
    etcd.answer.clear()
    reading = Supervisor("test").start(store.catch_up(), "read")  # as when it comes to lead
    await until(lambda: etcd.asked == 2)
    etcd.put("meanwhile")
    await until(lambda: store.get(Service, "meanwhile"))
    etcd.answer.set()
    await reading
    assert {one.id for one in store.all(Service)} == {"before", "meanwhile"}
    etcd.put("after")
    await until(lambda: store.get(Service, "after"))
    assert store.version == etcd.revision
    await store.close()
