"""Volumes of plugins: what good ones do, and what bad ones may not."""

import asyncio
import json

import pytest

from scow.errors import Conflict, NotFound, ScowError, Unavailable
from scow.events import EventBus
from scow.metadata import Database, References
from scow.plugins import remote
from scow.plugins.registry import Plugins
from scow.volumes.driver import MountFailed
from scow.volumes.service import VolumeService
from tests.fakes.volume_plugin import FakePlugin


@pytest.fixture
def play(tmp_path):
    """play(scenario): runs scenario(service, fake plugin, references); the service of a second daemon is `again()`."""
    fake = FakePlugin(tmp_path / "plugins" / "fake.sock", tmp_path / "files", "global")
    db = Database(tmp_path / "meta.db")

    def run(scenario):
        async def go():
            refs = References(db)
            plugins = Plugins(tmp_path / "plugins", ())
            service = VolumeService(tmp_path / "volumes", db, refs, EventBus(), plugins)
            try:
                await scenario(service, fake, refs)
            finally:
                await service.close()
                await plugins.close()

        asyncio.run(go())

    yield run
    fake.close()
    db.close()


def test_create_inspect_mount_and_remove(play):
    async def scenario(service, fake, refs):
        made = service.view(await service.ensure("data", "fake", {"a": "b"}, {"l": ""}))
        assert made["Scope"] == "global" and made["Mountpoint"] == "" and fake.volumes == {"data": {"a": "b"}}
        shown = await service.inspect("data")
        assert shown["Status"] == {"where": "fake"} and shown["CreatedAt"] == "2020-01-02T03:04:05Z" and shown["Options"] == {"a": "b"}
        place = await service.mount("data", "user", "/v")
        assert await service.mount("data", "user", "/w") == place and fake.mounts == {"data": {"user"}}
        assert (await service.inspect("data"))["Mountpoint"] == service.get("data").mountpoint == str(place)
        with pytest.raises(Conflict, match="in use"):
            await service.remove("data")
        await service.unmount("data", "user")
        assert fake.mounts == {"data": {"user"}}
        await service.unmount("data", "user")
        assert fake.mounts == {"data": set()} and service.get("data").mountpoint == ""
        await service.remove("data")
        assert not fake.volumes

    play(scenario)


def test_volumes_that_only_the_plugin_knows(play):
    async def scenario(service, fake, refs):
        fake.volumes["theirs"] = {}
        rows = (await service.list())["Volumes"]
        assert [(row["Name"], row["Driver"]) for row in rows] == [("theirs", "fake")]
        assert (await service.inspect("theirs"))["Driver"] == "fake"
        # without a driver named, the one that has the name is meant
        assert (await service.ensure("theirs")).driver == "fake"
        with pytest.raises(Conflict):
            await service.ensure("theirs", "local")
        await service.remove("theirs")
        assert not fake.volumes

    play(scenario)


def test_prune_and_usage_leave_them_alone(play):
    async def scenario(service, fake, refs):
        await service.ensure("data", "fake")
        assert not (await service.prune('{"all":["1"]}'))["VolumesDeleted"] and fake.volumes
        assert not await service.disk_usage()

    play(scenario)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'"x"', b'{"Err":"\\ud800"}', b"[" * 100_000, b'{"Err":' + b"9" * 5000 + b"}"])
def test_answers_that_make_no_sense(play, body):
    async def scenario(service, fake, refs):
        await service.ensure("good", "fake")
        for method in ("Create", "Mount", "Remove", "List", "Unmount"):
            fake.replies[f"VolumeDriver.{method}"] = body
        with pytest.raises(ScowError, match="create data: "):
            await service.ensure("data", "fake")
        with pytest.raises(MountFailed, match="error while mounting volume 'good'"):
            await service.mount("good", "user")
        with pytest.raises(ScowError, match="remove good: "):
            await service.remove("good")
        shown = await service.list()
        assert [row["Name"] for row in shown["Volumes"]] == ["good"] and shown["Warnings"][0].startswith("list fake: ")
        json.dumps(shown).encode()

    play(scenario)


@pytest.mark.parametrize("place", ["", "relative", "/", "/a/..", "/a\0b", 7, None, ["/x"]])
def test_places_that_are_none(play, place):
    async def scenario(service, fake, refs):
        await service.ensure("data", "fake")
        fake.replies["VolumeDriver.Mount"] = fake.replies["VolumeDriver.Path"] = json.dumps({"Mountpoint": place}).encode()
        with pytest.raises(MountFailed, match="which is no path"):
            await service.mount("data", "user")
        await service.remove("data")

    play(scenario)


def test_a_refusal_is_told_in_the_plugins_words(play):
    async def scenario(service, fake, refs):
        fake.replies["VolumeDriver.Create"] = b'{"Err":"no room\\u0007 left"}'
        with pytest.raises(ScowError, match=r"^create data: no room  left$"):
            await service.ensure("data", "fake")
        fake.replies["VolumeDriver.Create"] = (500, b"boom")
        with pytest.raises(ScowError, match=r"^create data: VolumeDriver\.Create: boom$"):
            await service.ensure("data", "fake")
        with pytest.raises(NotFound):
            service.get("data")

    play(scenario)


def test_a_reply_without_end_is_cut(play):
    async def scenario(service, fake, refs):
        fake.replies["VolumeDriver.List"] = b'{"Volumes":[' + b" " * (5 << 20)
        assert "more than 4 MB" in (await service.list())["Warnings"][0]

    play(scenario)


def test_a_plugin_that_hangs_is_named(play, monkeypatch):
    monkeypatch.setattr(remote, "SHORT_SECONDS", 0.2)

    async def scenario(service, fake, refs):
        plugin = await service._plugins.get("fake", "VolumeDriver")
        fake.replies["VolumeDriver.List"] = 60.0
        with pytest.raises(Unavailable, match=r'plugin "fake" did not answer VolumeDriver.List within 0.2 seconds: is it alive\?'):
            await plugin.call("VolumeDriver.List", {}, 0.2)

    play(scenario)


def test_a_dead_plugin_is_named_and_holds_up_nothing_else(play):
    async def scenario(service, fake, refs):
        await service.ensure("data", "fake")
        fake.die()
        with pytest.raises(Unavailable, match=r'plugin "fake" cannot be reached at unix://.*: connection refused: is it running\?'):
            await service.inspect("data")
        assert (await service.ensure("mine")).driver == "local"
        shown = await service.list()
        assert [row["Name"] for row in shown["Volumes"]] == ["data", "mine"] and "cannot be reached" in shown["Warnings"][0]

    play(scenario)


def test_mounts_of_containers_that_ended_meanwhile_are_given_back(play, tmp_path):
    async def scenario(service, fake, refs):
        await service.ensure("data", "fake")
        for user in ("gone", "lives"):
            refs.add("volume", "data", user)
            await service.mount("data", user, "/v")
        again = VolumeService(tmp_path / "volumes", service._table._db, refs, EventBus(), service._plugins)
        await again.recover({"lives"})
        await again._tasks.drain(30)
        assert fake.mounts == {"data": {"lives"}}
        await again.unmount("data", "lives")
        assert fake.mounts == {"data": set()}
        await again.close()

    play(scenario)
