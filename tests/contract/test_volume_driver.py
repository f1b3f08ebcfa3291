"""What every volume driver does: the engine's own, and a plugin's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scow.errors import ScowError
from scow.plugins.registry import Plugins
from scow.volumes.driver import VolumeDriver
from scow.volumes.local import LocalDriver
from scow.volumes.remote import CAPABILITY, PluginDriver
from tests.fakes.volume_plugin import FakePlugin

Scenario = Callable[[VolumeDriver], Awaitable[None]]


async def _local(tmp_path: Path, scenario: Scenario) -> None:
    await scenario(LocalDriver(tmp_path / "volumes"))


async def _plugin(tmp_path: Path, scenario: Scenario) -> None:
    fake = FakePlugin(tmp_path / "plugins" / "fake.sock", tmp_path / "files")
    plugins = Plugins(tmp_path / "plugins", ())
    try:
        await scenario(PluginDriver(await plugins.get("fake", CAPABILITY)))
    finally:
        await plugins.close()
        fake.close()


@pytest.fixture(params=[_local, _plugin], ids=["local", "plugin"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    return lambda scenario: asyncio.run(request.param(tmp_path, scenario))


def test_a_volume_comes_is_used_and_goes(play: Callable[[Scenario], None]) -> None:
    async def scenario(driver: VolumeDriver) -> None:
        driver.check("data", {})
        for _ in range(2):
            await driver.create("data", {})
        assert await driver.scope() == "local"
        place = await driver.mount("data", {}, "one")
        (place / "f").write_text("x")
        assert await driver.mount("data", {}, "two") == place
        found = await driver.get("data")
        assert found is not None and found.name == "data" and found.mountpoint == str(place)
        for user, last in (("one", False), ("two", True), ("two", True)):
            await driver.unmount("data", {}, user, last)
        await driver.remove("data")
        assert await driver.get("data") is None

    play(scenario)


def test_names_that_lead_elsewhere_are_refused(play: Callable[[Scenario], None]) -> None:
    async def scenario(driver: VolumeDriver) -> None:
        for name in ("../up", "a/b", "..", "a\0b", "n" * 300, "a\nb"):
            with pytest.raises(ScowError):
                driver.check(name, {})

    play(scenario)
