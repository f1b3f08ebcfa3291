"""The promises of `swarm.store.store.Store`, on each that there is: in memory, on the node's database, in etcd (where it is installed)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from scow.errors import Conflict, InvalidArgument
from scow.metadata import Database
from scow.swarm import ca
from scow.swarm.ca.peers import Trust
from scow.swarm.objects import Secret, Service, Task
from scow.swarm.store.etcd.member import Etcd, Place
from scow.swarm.store.etcd.store import EtcdStore, fill
from scow.swarm.store.local import LocalStore
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Change, NameTaken, NoObject, OutOfSequence, Store, Tx
from tests.support.asynchronous import on_loop, until
from tests.support.ports import free_port

SEALER = Sealer(b"k" * 32)
Open = Callable[[Path], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Store]:
    db = Database(folder / "meta.db")
    yield LocalStore(db, SEALER)
    db.close()


@asynccontextmanager
async def member(folder: Path, **more: int) -> AsyncIterator[Etcd]:
    address = f"127.0.0.1:{free_port()}"
    made = Etcd(Place("one", address, address, folder / "data", folder / "run"), Trust(root := ca.new_root(), root.certificate), **more)
    await made.start(fresh=True)
    try:
        await made.ready(60)
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def etcd(folder: Path) -> AsyncIterator[Store]:
    async with member(folder) as one:
        store = EtcdStore(one.client, SEALER)
        await store.open()
        yield store
        await store.close()


needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
each_store = pytest.mark.parametrize("opened", [memory, local, pytest.param(etcd, marks=needs_etcd)])


def service(id: str, name: str) -> Service:
    return Service(id=id, spec={"Name": name})


@each_store
@on_loop
async def test_commits(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        before = store.version

        def write(tx: Tx) -> int:
            tx.create(service("a", "one"))
            tx.create(Task(id="t", service_id="a", slot=1))
            tx.create(Secret(id="x", spec={"Name": "s"}, data="aHVzaA=="))
            assert [task.id for task in tx.by(Task, "service", "a")] == ["t"]
            assert store.get(Service, "a") is None
            return 7

        assert await store.update(write) == 7
        found = store.find(Service, "one")
        assert found.version == store.version == before + 1
        assert store.find(Secret, "s").data == "aHVzaA=="
        assert [task.id for task in store.by(Task, "slot", "a/1")] == ["t"]
        await store.update(lambda tx: tx.delete(Task, "t"))
        assert store.all(Task) == []
        assert store.version == before + 2


@each_store
@on_loop
async def test_refusals(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.update(lambda tx: tx.create(service("a", "one")))
        stale = store.find(Service, "one")
        await store.update(lambda tx: tx.update(stale.changed(spec={"Name": "two"})))
        version = store.version

        def fails(tx: Tx) -> None:
            tx.create(service("b", "three"))
            raise InvalidArgument("no")

        for error, work in (
            (OutOfSequence, lambda tx: tx.update(stale)),
            (NameTaken, lambda tx: tx.create(service("c", "two"))),
            (Conflict, lambda tx: tx.create(service("a", "four"))),
            (NoObject, lambda tx: tx.delete(Service, "nothing")),
            (InvalidArgument, fails),
        ):
            with pytest.raises(error):
                await store.update(work)
        assert store.version == version
        assert [one.id for one in store.all(Service)] == ["a"]


@each_store
@on_loop
async def test_who_read_an_object_before_its_wishes_changed_has_not_seen_them(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.update(lambda tx: tx.create(service("a", "one")))
        read = store.find(Service, "a").version
        assert [store.find(Service, "a").unseen(read + step) for step in (-1, 0, 1)] == [True, False, True]
        for count in range(2):
            await store.update(lambda tx, count=count: tx.update(tx.find(Service, "a").changed(update_status={"State": str(count)})))
        moved = store.find(Service, "a")
        assert moved.version == read + 2
        assert [moved.unseen(version) for version in range(read - 1, read + 4)] == [True, False, False, False, True]
        # what commits together with others counts from the first of them that changed it
        await asyncio.gather(
            store.update(lambda tx: tx.update(tx.find(Service, "a").changed(spec={"Name": "two"}))),
            store.update(lambda tx: tx.update(tx.find(Service, "a").changed(job_iteration=1))),
        )
        last = store.find(Service, "a")
        assert last.version == read + 4
        assert [last.unseen(version) for version in range(read + 1, read + 6)] == [True, True, False, False, True]


@each_store
@on_loop
async def test_writers_at_the_same_time_see_each_other(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.update(lambda tx: tx.create(service("a", "one")))
        read = store.find(Service, "one")
        watch = store.watch(Service, Task)
        before = store.version

        def half(tx: Tx) -> None:
            tx.update(read.changed(job_iteration=9))
            tx.create(Task(id="t"))
            raise InvalidArgument("no")

        def gone(tx: Tx) -> None:
            tx.create(Task(id="u"))
            tx.delete(Task, "u")

        works = [
            lambda tx: tx.create(Task(id="first")),
            half,
            lambda tx: tx.update(read.changed(job_iteration=1)),
            lambda tx: tx.update(read.changed(job_iteration=2)),
            lambda tx: tx.create(service("b", "two")),
            lambda tx: tx.create(service("c", "two")),
            lambda tx: len(tx.all(Task)),
            lambda tx: tx.delete(Task, "first"),
            gone,
        ]
        results = await asyncio.gather(*(store.update(work) for work in works), return_exceptions=True)
        assert [type(one) for one in results if isinstance(one, Exception)] == [InvalidArgument, OutOfSequence, NameTaken]
        assert results[6] == 1
        assert (store.find(Service, "one").job_iteration, store.find(Service, "two").id) == (1, "b")
        assert store.all(Task) == []
        seen: list[Change] = []
        async for changes in watch:
            seen += changes
            if any(change.object.id == "b" for change in seen):
                break
        watch.close()
        found = [(change.object.id, change.new.version - before) for change in seen if change.new is not None]
        # where etcd's watch is faster than its answer, the commit is shown whole: what came and went within it is not
        assert found in ([("first", 1), ("a", 2), ("b", 3)], [("a", 2), ("b", 3)])


@each_store
@on_loop
async def test_watchers_see_every_change_in_order(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        watch = store.watch(Service)
        for number in range(20):
            await store.update(lambda tx, n=number: tx.create(service(f"s{n}", f"n{n}")))  # type: ignore[misc]
        await store.update(lambda tx: tx.delete(Service, "s3"))
        seen: list[Change] = []
        async for changes in watch:
            seen += changes
            if len(seen) == 21:
                break
        assert [change.object.id for change in seen] == [*(f"s{n}" for n in range(20)), "s3"]
        assert seen[-1].new is None
        watch.close()


@each_store
@on_loop
async def test_writers_at_the_same_time_lose_nothing(opened: Open, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.update(lambda tx: tx.create(Service(id="a", spec={"Name": "one"})))

        def count(tx: Tx) -> None:
            found = tx.get(Service, "a")
            assert found is not None
            tx.update(found.changed(spec_version=found.spec_version + 1))

        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(store.update(count))
        assert store.find(Service, "a").spec_version == 30


@needs_etcd
@on_loop
async def test_two_stores_on_etcd_agree(tmp_path: Path) -> None:
    async with member(tmp_path) as one:
        stores = [EtcdStore(one.client, SEALER) for _ in range(2)]
        for store in stores:
            await store.open()
        await stores[0].update(lambda tx: tx.create(service("a", "one")))

        def count(tx: Tx) -> None:
            found = tx.get(Service, "a")
            if found is not None:
                tx.update(found.changed(spec_version=found.spec_version + 1))

        await until(lambda: stores[1].get(Service, "a") is not None)
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(stores[number % 2].update(count))
        for store in stores:
            await store.catch_up()
        assert [store.find(Service, "a").spec_version for store in stores] == [40, 40]
        assert stores[0].version == stores[1].version
        again = EtcdStore(one.client, SEALER)
        await again.open()
        assert again.all(Service) == stores[0].all(Service)
        for store in (*stores, again):
            await store.close()


@needs_etcd
@on_loop
async def test_a_node_s_own_store_moves_to_etcd_under_its_users(tmp_path: Path) -> None:
    db = Database(tmp_path / "meta.db")
    before = LocalStore(db, SEALER)
    await before.update(lambda tx: tx.create(service("a", "one")))
    watch = before.watch(Service)
    async with member(tmp_path) as one:
        before.hold()
        waiting = asyncio.get_running_loop().create_task(before.update(lambda tx: tx.create(service("b", "two"))))
        revision = await fill(one.client, before, SEALER)
        after = EtcdStore(one.client, SEALER)
        after.adopt(before, revision)
        before.release(after)
        await waiting
        assert {found.id for found in before.all(Service)} == {found.id for found in after.all(Service)} == {"a", "b"}
        assert before.version == after.version == 2
        async for changes in watch:
            assert [change.object.id for change in changes] == ["b"]
            break
        fresh = EtcdStore(one.client, SEALER)
        await fresh.open()
        assert fresh.all(Service) == after.all(Service)
        await fresh.close()
        await after.close()
    db.close()


@needs_etcd
@on_loop
async def test_a_member_that_dies_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with member(tmp_path) as one:
        store = EtcdStore(one.client, SEALER)
        await store.open()
        await store.update(lambda tx: tx.create(service("a", "one")))
        one.kill()
        await one.ready(60)
        await store.update(lambda tx: tx.create(service("b", "two")))
        other = EtcdStore(one.client, SEALER)
        await other.open()
        assert {found.id for found in other.all(Service)} == {"a", "b"}
        watch = store.watch(Service)
        await other.update(lambda tx: tx.create(service("c", "three")))
        async for changes in watch:
            assert [change.object.id for change in changes] == ["c"]
            break
        await other.close()
        await store.close()


@needs_etcd
@pytest.mark.slow  # 50 MB to a disk that others use, within etcd's seconds
@on_loop
async def test_what_is_large_is_committed_so_that_etcd_can_start_again(tmp_path: Path) -> None:
    """etcd writes entries of any length to its log and reads none of more than 10 MiB: a member with one never comes up again."""

    def large(id: str, mebibytes: int) -> Service:
        return Service(id=id, spec={"Name": id, "Labels": {"x": "x" * (mebibytes << 20)}})

    def many(tx: Tx) -> None:
        for number in range(4):
            tx.create(large(f"many-{number}", 3))

    db = Database(tmp_path / "meta.db")
    before = LocalStore(db, SEALER)
    for number in range(4):
        await before.update(lambda tx, number=number: tx.create(large(f"moved-{number}", 3)))  # type: ignore[misc]
    async with member(tmp_path) as one:
        revision = await fill(one.client, before, SEALER)
        store = EtcdStore(one.client, SEALER)
        store.adopt(before, revision)
        results = await asyncio.gather(
            store.update(lambda tx: tx.create(service("a", "small"))),
            store.update(many),
            store.update(lambda tx: tx.create(large("too-large", 8))),
            *(store.update(lambda tx, id=id: tx.create(large(id, 3))) for id in ("b", "c", "d")),  # type: ignore[misc]
            return_exceptions=True,
        )
        assert [type(one).__name__ for one in results] == ["NoneType", "NoneType", "TooLarge", "NoneType", "NoneType", "NoneType"]
        one.kill()
        await one.ready(60)
        again = EtcdStore(one.client, SEALER)
        await again.open()
        wanted = {"a", "b", "c", "d", *(f"{word}-{number}" for word in ("many", "moved") for number in range(4))}
        assert {found.id for found in again.all(Service)} == wanted == {found.id for found in store.all(Service)}
        await again.close()
        await store.close()
    db.close()
