"""The store's promises, on the one in memory."""

import asyncio

import pytest

from scow.errors import InvalidArgument
from scow.swarm.objects import Secret, Service, Task
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Change, NameTaken, NoObject, OutOfSequence, Tx
from tests.support.asynchronous import on_loop


def service(id: str, name: str) -> Service:
    return Service(id=id, spec={"Name": name})


@on_loop
async def test_a_transaction_sees_its_own_writes_and_others_see_them_at_once() -> None:
    store = MemoryStore()

    def write(tx: Tx) -> int:
        tx.create(service("a", "one"))
        tx.create(Task(id="t", service_id="a", slot=1))
        assert [task.id for task in tx.by(Task, "service", "a")] == ["t"]
        assert store.get(Service, "a") is None
        return 7

    assert await store.update(write) == 7
    found = store.get(Service, "a")
    assert found is not None
    assert found.version == store.version == 1
    assert found.created_ns == found.updated_ns > 0
    assert [task.id for task in store.by(Task, "slot", "a/1")] == ["t"]


@on_loop
async def test_nothing_is_written_when_the_function_fails() -> None:
    store = MemoryStore()

    def write(tx: Tx) -> None:
        tx.create(service("a", "one"))
        raise InvalidArgument("no")

    with pytest.raises(InvalidArgument):
        await store.update(write)
    assert store.all(Service) == []
    assert store.version == 0


@on_loop
async def test_a_stale_writer_is_refused() -> None:
    store = MemoryStore()
    await store.update(lambda tx: tx.create(service("a", "one")))
    stale = store.find(Service, "one")
    await store.update(lambda tx: tx.update(stale.changed(spec={"Name": "two"})))
    with pytest.raises(OutOfSequence):
        await store.update(lambda tx: tx.update(stale))
    assert store.by(Service, "name", "one") == []
    assert [found.id for found in store.by(Service, "name", "two")] == ["a"]


@on_loop
async def test_objects_of_before_have_their_wishes_since_the_version_they_were_read_with() -> None:
    store = MemoryStore()
    store.show({("service", "a"): service("a", "one").changed(version=7), ("service", "b"): service("b", "two").changed(version=7)}, 9)
    await store.update(lambda tx: tx.update(tx.find(Service, "a").changed(update_status={"State": "completed"})))
    assert store.find(Service, "a").spec_index == 7
    assert [store.find(Service, "a").unseen(version) for version in (6, 7, 10, 11)] == [True, False, False, True]
    assert [store.find(Service, "b").unseen(version) for version in (6, 7, 8)] == [True, False, True]


@on_loop
async def test_names_are_taken_once() -> None:
    store = MemoryStore()
    await store.update(lambda tx: tx.create(Secret(id="a", spec={"Name": "one"})))
    with pytest.raises(NameTaken, match="already exists"):
        await store.update(lambda tx: tx.create(Secret(id="b", spec={"Name": "one"})))


@on_loop
async def test_finding() -> None:
    store = MemoryStore()
    await store.update(lambda tx: [tx.create(service("abc1", "one")), tx.create(service("abc2", "two"))])
    assert store.find(Service, "two").id == "abc2"
    assert store.find(Service, "abc1").id == "abc1"
    with pytest.raises(InvalidArgument, match="ambiguous"):
        store.find(Service, "abc")
    with pytest.raises(NoObject, match="service none not found"):
        store.find(Service, "none")


@on_loop
async def test_watchers_see_commits_in_order_and_only_their_kinds() -> None:
    store = MemoryStore()
    watch = store.watch(Service)
    await store.update(lambda tx: [tx.create(service("a", "one")), tx.create(Task(id="t"))])
    await store.update(lambda tx: tx.delete(Service, "a"))
    seen: list[Change] = []
    async with asyncio.timeout(5):
        async for changes in watch:
            seen += changes
            if len(seen) == 2:
                break
    assert [(change.old is None, change.new is None) for change in seen] == [(True, False), (False, True)]
    watch.close()
