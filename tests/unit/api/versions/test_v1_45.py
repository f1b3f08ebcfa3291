"""Aliases held the short id; image inspect told of a container; no subpaths."""

from scow.api.versions import v1_45


def test_aliases():
    networks = {"own": {"Aliases": ["x"]}, "bridge": {"Aliases": None}}
    reply = v1_45.DOWN["container.inspect"]({"Id": "0123456789abcdef", "NetworkSettings": {"Networks": networks}})
    assert reply["NetworkSettings"]["Networks"] == {"own": {"Aliases": ["x", "0123456789ab"]}, "bridge": {"Aliases": None}}
    assert v1_45.DOWN["container.inspect"](reply)["NetworkSettings"]["Networks"]["own"]["Aliases"] == ["x", "0123456789ab"]


def test_images_and_mounts():
    assert v1_45.DOWN["image.inspect"]({}) == {"Container": "", "ContainerConfig": {}}
    body = {"HostConfig": {"Mounts": [{"VolumeOptions": {"Subpath": "x", "NoCopy": True}}]}}
    assert v1_45.UP["container.create"](body) == {"HostConfig": {"Mounts": [{"VolumeOptions": {"NoCopy": True}}]}}
