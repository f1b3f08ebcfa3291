"""What a container asks to have mounted: rules, texts, precedence."""

import asyncio

import pytest

from scow.errors import InvalidArgument
from scow.model.codec import decode, encode
from scow.model.container import BindOptions, ContainerConfig, HostConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions
from scow.volumes import mounts
from scow.volumes.mounts import MountPoint
from scow.volumes.service import Volume


class Volumes:
    def __init__(self):
        self.made = []

    async def ensure(self, name="", driver="", options=None, labels=None):
        name = name or "a" * 64
        self.made.append((name, driver, options, labels))
        return Volume(name, driver or "local", f"/vol/{name}/_data")


def resolve(host=None, config=None, others=None, volumes=None, used=None):
    found = asyncio.run(
        mounts.resolve(
            volumes or Volumes(),
            config or ContainerConfig(),
            host or HostConfig(),
            lambda name: (others or {})[name],
            (used if used is not None else []).append,
        )
    )
    return {point.destination: point for point in found}


def test_short_forms():
    used = []
    found = resolve(
        HostConfig(binds=["/src:/b:ro,z", "data:/v/", "data:/n:nocopy", "/s2:/s:rslave"]), ContainerConfig(volumes={"/anon": {}}), used=used
    )
    assert found["/b"] == MountPoint("bind", "", "/src", "/b", "", "ro,z", False, "rprivate", "", {"create": "yes"})
    assert (found["/v"].name, found["/v"].copy, found["/v"].mode, found["/v"].source) == ("data", True, "z", "/vol/data/_data")
    assert not found["/n"].copy and found["/s"].propagation == "rslave"
    assert found["/anon"].name == "a" * 64 and found["/anon"].mode == "" and "data" in used


@pytest.mark.parametrize(
    ("spec", "gist"),
    [
        ("v:/x:bogus", "invalid mode"),
        ("v:/", "destination"),
        ("v:relative", "absolute"),
        (":/v", "invalid"),
        ("a:b:c:d", "invalid"),
        ("/a:/b:ro:rw", "invalid"),
        ("/a:/b:ro,rw", "invalid mode"),
        ("v:/b:rslave", "invalid mode"),
        ("/a:/b:nocopy", "invalid mode"),
        ("", "invalid"),
    ],
)
def test_bad_short_forms(spec, gist):
    with pytest.raises(InvalidArgument, match=gist):
        resolve(HostConfig(binds=[spec]))


@pytest.mark.parametrize(
    ("mount", "gist"),
    [
        (Mount(type="bind", source="/tmp"), "Target"),
        (Mount(type="bind", target="/x"), "Source"),
        (Mount(type="nonsense", target="/x"), "nonsense"),
        (Mount(type="bind", source="/no/such/path", target="/x"), "bind source path does not exist"),
        (Mount(type="tmpfs", source="/tmp", target="/x"), "Source"),
        (Mount(type="bind", source="rel", target="/x"), "absolute"),
        (Mount(type="volume", target="rel"), "absolute"),
        (Mount(type="volume", target="/"), "destination can't be"),
        (Mount(type="bind", source="/tmp", target="/x", volume_options=VolumeOptions()), "VolumeOptions"),
        (Mount(type="volume", target="/x", bind_options=BindOptions()), "BindOptions"),
        (Mount(type="bind", source="/tmp", target="/x", bind_options=BindOptions(propagation="sideways")), "sideways"),
        (Mount(type="volume", source="v", target="/x", volume_options=VolumeOptions(subpath="../up")), "subpath"),
        (Mount(type="volume", source="v", target="/x", volume_options=VolumeOptions(subpath="/abs")), "subpath"),
        (Mount(type="volume", source="v", target="/x", volume_options=VolumeOptions(subpath="a/../../b")), "subpath"),
        (Mount(type="volume", target="/x", read_only=True), "anonymous"),
        (Mount(type="tmpfs", target="/x", tmpfs_options=TmpfsOptions(size_bytes=-1)), "size"),
    ],
)
def test_bad_long_forms(mount, gist):
    volumes = Volumes()
    with pytest.raises(InvalidArgument, match=gist):
        resolve(HostConfig(mounts=[Mount(type="volume", source="first", target="/first"), mount]), volumes=volumes)
    assert not volumes.made


def test_a_relative_volume_of_an_image_is_below_the_root():
    assert list(resolve(HostConfig(), ContainerConfig(volumes={"data": {}}))) == ["/data"]
    for path in ("a:/", "", "/"):
        with pytest.raises(InvalidArgument):
            resolve(HostConfig(), ContainerConfig(volumes={path: {}}))


def test_duplicates_are_refused_before_anything_is_made():
    volumes = Volumes()
    for host in (
        HostConfig(binds=["v:/x", "/tmp:/x/"]),
        HostConfig(binds=["v:/x"], mounts=[Mount(type="tmpfs", target="/x")]),
        HostConfig(binds=["v:/x"], tmpfs={"/x": ""}),
    ):
        with pytest.raises(InvalidArgument, match="Duplicate mount point: /x"):
            resolve(host, volumes=volumes)
    assert not volumes.made


def test_volumes_from_gives_way_and_keeps_names():
    other = {"src": [MountPoint("volume", "named", "/p", "/one", "local", copy=True), MountPoint("bind", source="/s", destination="/two")]}
    found = resolve(HostConfig(volumes_from=["src:ro"], binds=["mine:/two"]), ContainerConfig(volumes={"/one": {}}), others=other)
    assert (found["/one"].name, found["/one"].rw, found["/one"].copy) == ("named", False, False) and found["/two"].name == "mine"
    with pytest.raises(InvalidArgument, match="invalid mode"):
        resolve(HostConfig(volumes_from=["src:odd"]), others=other)


def test_tmpfs_in_both_forms():
    found = resolve(HostConfig(mounts=[Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o1770))]))
    assert found["/t"].options["tmpfs"].split(",") == ["noexec", "nosuid", "nodev", "mode=1770", "size=1048576"]
    assert mounts.tmpfs_mounts(HostConfig(tmpfs={"/t/": "exec,size=1m"}))[0].options == ("nosuid", "nodev", "exec", "size=1m")
    with pytest.raises(InvalidArgument, match="nonsense"):
        resolve(HostConfig(tmpfs={"/t": "nonsense=1"}))


def test_mount_points_survive_storing_and_show_as_in_inspect():
    point = MountPoint("volume", "data", "/p", "/d", "local", "z", False, "", "sub", {"a": "b"}, True)
    assert decode(MountPoint, encode(point)) == point
    assert mounts.view(point) == {
        "Type": "volume",
        "Name": "data",
        "Source": "/p",
        "Destination": "/d",
        "Driver": "local",
        "Mode": "z",
        "RW": False,
        "Propagation": "",
    }
    assert "Name" not in mounts.view(MountPoint("bind", source="/s", destination="/d"))


def test_image_mount_is_read_only():
    found = resolve(HostConfig(mounts=[Mount(type="image", source="busybox", target="/i", image_options=ImageOptions())]))
    assert found["/i"].rw is False and found["/i"].source == "busybox"


def test_activate_makes_missing_sources_of_short_binds(tmp_path):
    points = [MountPoint("bind", source=str(tmp_path / "new/deep"), destination="/b", propagation="rprivate", options={"create": "yes"})]
    made = asyncio.run(mounts.activate(None, "c", points, HostConfig(tmpfs={"/t": ""}), tmp_path / "scratch"))
    assert (tmp_path / "new/deep").is_dir() and made[0].options == ("rbind", "rprivate") and made[1].type == "tmpfs"
    gone = [MountPoint("bind", source=str(tmp_path / "none"), destination="/b")]
    with pytest.raises(InvalidArgument, match="does not exist"):
        asyncio.run(mounts.activate(None, "c", gone, HostConfig(), tmp_path / "scratch"))


def test_read_only_binds_are_so_all_the_way_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(mounts.kernel, "mountinfo", list)  # whatever the host shares

    def options(source=tmp_path, **kw):
        propagation = kw.pop("propagation", "rprivate")
        point = MountPoint("bind", source=str(source), destination="/b", rw=False, propagation=propagation, options=kw)
        return asyncio.run(mounts.activate(None, "c", [point], HostConfig(), tmp_path / "s"))[0].options

    assert options() in (("rbind", "rro", "rprivate"), ("rbind", "ro", "rprivate"))
    assert options(readonly="top") == ("rbind", "ro", "rprivate") and options(recursive="no")[:2] == ("bind", "ro")
    assert options(propagation="rslave") == ("rbind", "ro", "rslave")
    (tmp_path / "file").touch()
    assert options(tmp_path / "file") == ("rbind", "ro", "rprivate")  # crun 1.8 opens what is rro as a directory
