"""Volumes: names, options, uses, filters, prune, events."""

import asyncio
import os

import pytest

from scow.errors import Conflict, InvalidArgument, NotFound
from scow.events import EventBus
from scow.metadata import Database, References
from scow.model.volume import VolumeCreate
from scow.plugins.registry import Plugins
from scow.volumes.service import ANONYMOUS, VolumeService


def run(coroutine):
    return asyncio.run(coroutine)


@pytest.fixture
def parts(tmp_path):
    db = Database(tmp_path / "meta.db")
    refs, bus = References(db), EventBus()
    yield VolumeService(tmp_path / "volumes", db, refs, bus, Plugins(tmp_path / "plugins", ())), refs, bus, db
    db.close()


def test_create_is_idempotent_and_keeps_the_first_labels(parts):
    service, _, bus, _ = parts
    first = run(service.create(VolumeCreate(name="data", labels={"a": "b"})))
    assert run(service.create(VolumeCreate(name="data", labels={"c": "d"}))) == first
    assert first["Driver"] == "local" and first["Scope"] == "local" and first["Labels"] == {"a": "b"} and first["Options"] is None
    assert os.path.isdir(first["Mountpoint"])
    assert [e.action for e in bus.past()] == ["create"]


def test_empty_labels_stay_empty_and_missing_ones_null(parts):
    assert run(parts[0].create(VolumeCreate(name="one", labels={}, driver_opts={})))["Labels"] == {}
    assert run(parts[0].create(VolumeCreate(name="two")))["Labels"] is None


def test_a_farewell_tells_of_an_unmount_once(parts):
    service, _, bus, _ = parts

    async def use():
        await service.ensure("data")
        await service.mount("data", "c1", "/data")
        service.farewell("c1", ["data", "nosuch"])
        service.farewell("c1", ["data"])
        await service.unmount("data", "c1")

    asyncio.run(use())
    assert [e.action for e in bus.past()] == ["create", "mount", "unmount"]


def test_without_a_name_it_is_anonymous(parts):
    made = run(parts[0].create(VolumeCreate(labels={"x": "y"})))
    assert len(made["Name"]) == 64 and made["Labels"] == {"x": "y", ANONYMOUS: ""}


@pytest.mark.parametrize("name", ["a/b", "-x1", ".xy", "x", "a b", "é1", "a:b", "_xy", "../up", "n" * 256, "a\0b"])
def test_bad_names(parts, name):
    with pytest.raises(InvalidArgument):
        run(parts[0].ensure(name))


@pytest.mark.parametrize(
    ("options", "gist"), [({"bogus": "1"}, "invalid option"), ({"device": "/tmp"}, "type"), ({"type": "tmpfs"}, "device")]
)
def test_bad_options(parts, options, gist):
    with pytest.raises(InvalidArgument, match=gist):
        run(parts[0].ensure("data", options=options))
    with pytest.raises(NotFound, match="no such volume"):
        parts[0].get("data")


def test_unknown_and_conflicting_driver(parts):
    with pytest.raises(NotFound, match="nosuch"):
        run(parts[0].ensure("data", "nosuch"))
    run(parts[0].ensure("data"))
    with pytest.raises(Conflict):
        run(parts[0].ensure("data", "nosuch"))


def test_removal_is_refused_while_used_or_mounted(parts):
    service, refs, bus, _ = parts

    async def go():
        volume = await service.ensure("data")
        refs.add("volume", "data", "c1")
        with pytest.raises(Conflict, match=r"volume is in use - \[c1\]"):
            await service.remove("data", force=True)
        refs.drop("volume", "data", "c1")
        await service.mount("data", "c2", "/d")
        with pytest.raises(Conflict, match="c2"):
            await service.remove("data")
        await service.unmount("data", "c2")
        await service.unmount("data", "c2")
        await service.remove("data")
        assert not os.path.exists(volume.mountpoint)
        with pytest.raises(NotFound):
            await service.remove("data")
        await service.remove("data", force=True)

    asyncio.run(go())
    assert [e.action for e in bus.past()] == ["create", "mount", "unmount", "destroy"]
    mount = bus.past()[1]
    assert mount.actor_id == "data" and mount.attributes["read/write"] == "true" and mount.attributes["destination"] == "/d"


def test_filling_is_not_told(parts):
    service, _, bus, _ = parts

    async def go():
        await service.ensure("data")
        await service.mount("data", "c1")
        await service.unmount("data", "c1")

    asyncio.run(go())
    assert [e.action for e in bus.past()] == ["create"]


def test_list_filters(parts):
    service, refs, _, _ = parts
    run(service.ensure("one", labels={"a": "b"}))
    run(service.ensure("two"))
    refs.add("volume", "two", "c")

    def names(filters):
        return [v["Name"] for v in run(service.list(filters))["Volumes"]]

    assert names(None) == ["one", "two"]
    assert names('{"dangling":["true"]}') == ["one"] and names('{"dangling":["0"]}') == ["two"]
    assert names('{"label":["a=b"]}') == ["one"] and names('{"name":["tw"]}') == ["two"] and names('{"driver":["x"]}') == []
    for bad in ('{"bogus":["x"]}', '{"dangling":["maybe"]}', "not json"):
        with pytest.raises(InvalidArgument, match="filter"):
            run(service.list(bad))


def test_prune_takes_anonymous_ones_or_all(parts):
    service, refs, _, _ = parts
    run(service.ensure("named"))
    anon = run(service.ensure(labels={"l": "1"})).name
    kept = run(service.ensure(labels={"keep": ""})).name
    used = run(service.ensure()).name
    refs.add("volume", used, "c")
    with open(os.path.join(service.get("named").mountpoint, "f"), "wb") as file:
        file.write(b"x" * 1000)

    async def go():
        first = await service.prune('{"label!":["keep"]}')
        assert first["VolumesDeleted"] == [anon]
        second = await service.prune('{"all":["true"]}')
        assert sorted(second["VolumesDeleted"]) == sorted([kept, "named"]) and second["SpaceReclaimed"] >= 1000

    asyncio.run(go())
    assert [v.name for v in service.all()] == [used]


def test_usage_and_recovery(parts, tmp_path):
    service, refs, bus, db = parts
    run(service.ensure("data"))
    refs.add("volume", "data", "c1")
    (tmp_path / "volumes" / ".removed-x" / "d").mkdir(parents=True)

    async def go():
        again = VolumeService(tmp_path / "volumes", db, refs, bus, Plugins(tmp_path / "plugins", ()))
        await again.recover({"c1"})
        refs.drop("volume", "data", "c1")
        with pytest.raises(Conflict):
            await again.remove("data")
        await again.unmount("data", "c1")
        assert (await again.disk_usage())[0]["UsageData"] == {"RefCount": 0, "Size": 0}
        await again.remove("data")

    asyncio.run(go())
    assert os.listdir(tmp_path / "volumes") == []
