"""Mounts made ready at a start, on the real kernel, without an engine."""

import asyncio
import os

import pytest

from scow.events import EventBus
from scow.kernel import mounts as kernel
from scow.metadata import Database, References
from scow.model.container import HostConfig
from scow.plugins.registry import Plugins
from scow.volumes import mounts
from scow.volumes.driver import MountFailed
from scow.volumes.mounts import MountPoint
from scow.volumes.service import VolumeService
from tests.support.images import needs_root

pytestmark = needs_root


@pytest.fixture
def service(tmp_path):
    db = Database(tmp_path / "meta.db")
    yield VolumeService(tmp_path / "volumes", db, References(db), EventBus(), Plugins(tmp_path / "plugins", ()))
    db.close()
    for target in kernel.below(tmp_path):
        kernel.unmount_any(target)


def point(volume, destination="/v", **more):
    return MountPoint("volume", volume.name, volume.mountpoint, destination, "local", **more)


def test_a_tmpfs_volume_is_mounted_from_first_to_last_use(service, tmp_path):
    async def go():
        volume = await service.ensure("fast", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=0700,uid=1000"})
        for user in ("a", "b"):
            await mounts.activate(service, user, [point(volume)], HostConfig(), tmp_path / user)
        assert kernel.below(volume.mountpoint) == [volume.mountpoint]
        assert os.stat(volume.mountpoint).st_uid == 1000 and os.stat(volume.mountpoint).st_mode & 0o777 == 0o700
        await mounts.deactivate(service, "a", [point(volume)], tmp_path / "a")
        assert kernel.below(volume.mountpoint)
        await mounts.deactivate(service, "b", [point(volume)], tmp_path / "b")
        assert not kernel.below(volume.mountpoint)
        await service.remove("fast")

    asyncio.run(go())


def test_removing_a_bind_volume_leaves_the_folder_of_the_host(service, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f").write_text("mine")

    async def go():
        volume = await service.ensure("bound", options={"type": "none", "device": str(folder), "o": "bind"})
        path = await service.mount("bound", "c")
        assert (path / "f").read_text() == "mine"
        # A restarted engine that knows of no user: the mount is still there when the volume goes.
        service._uses.clear()
        await service.remove("bound")
        assert not os.path.exists(volume.mountpoint)

    asyncio.run(go())
    assert (folder / "f").read_text() == "mine"


def test_what_cannot_be_mounted_says_why_and_leaves_nothing(service, tmp_path):
    async def go():
        good = await service.ensure("good")
        bad = await service.ensure("bad", options={"type": "nosuchfs", "device": "thing"})
        with pytest.raises(MountFailed, match=r"bad.*no such device"):
            await mounts.activate(service, "c", [point(good), point(bad, "/w")], HostConfig(), tmp_path / "scratch")
        await service.remove("good")
        await service.remove("bad")

    asyncio.run(go())


def test_a_sub_path_stays_what_it_was_and_never_leads_out(service, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    scratch = tmp_path / "scratch"

    async def go():
        volume = await service.ensure("data")
        inside = os.path.join(volume.mountpoint, "sub")
        os.mkdir(inside)
        open(inside + "/right", "w").close()
        wanted = [point(volume, subpath="sub")]
        source = (await mounts.activate(service, "c", wanted, HostConfig(), scratch))[0].source
        # A container swaps the folder for a link to the host after the check.
        os.rename(inside, inside + ".old")
        os.symlink(outside, inside)
        assert os.listdir(source) == ["right"]
        await mounts.deactivate(service, "c", wanted, scratch)
        assert os.listdir(scratch) == []
        with pytest.raises(MountFailed, match="sub"):
            await mounts.activate(service, "c", wanted, HostConfig(), scratch)
        await service.remove("data")

    asyncio.run(go())
    assert os.listdir(outside) == []


def test_propagation_needs_a_mount_of_the_host_that_has_it(service, tmp_path):
    folder = tmp_path / "tree"
    folder.mkdir()
    kernel.mount("t", folder, "tmpfs")
    kernel.set_propagation(folder, "private")
    bind = MountPoint("bind", source=str(folder), destination="/d", propagation="rshared")

    async def go():
        with pytest.raises(MountFailed, match=rf"path {folder} is mounted on {folder} but it is not a shared mount"):
            await mounts.activate(service, "c", [bind], HostConfig(), tmp_path / "scratch")
        kernel.set_propagation(folder, "shared")
        assert (await mounts.activate(service, "c", [bind], HostConfig(), tmp_path / "scratch"))[0].options == ("rbind", "rshared")

    asyncio.run(go())
