import pytest

from scow.api import versions
from scow.errors import InvalidArgument


def test_every_module_loads_and_the_newest_is_untouched():
    value = {"Id": "x"}
    for minor in range(24, 51):
        for kind in ("container.inspect", "container.list", "image.inspect", "info", "system.df", "version"):
            versions.downgrade(kind, {"Id": "x", "HostConfig": {}}, minor)
    assert versions.downgrade("version", value, 24) is value


def test_images_before_1_43_and_1_44():
    image = {"Size": 5, "RepoTags": [], "RepoDigests": []}
    assert versions.downgrade("image.list", [image], 44) == [image]
    old = versions.downgrade("image.list", [image], 42)[0]
    assert old["VirtualSize"] == 5
    assert old["RepoTags"] == ["<none>:<none>"]
    assert image == {"Size": 5, "RepoTags": [], "RepoDigests": []}


def test_aliases_hold_the_short_id_before_1_45():
    reply = {"Id": "a" * 64, "NetworkSettings": {"Networks": {"n": {"Aliases": None, "DNSNames": ["x"]}}}}
    assert versions.downgrade("container.inspect", reply, 44)["NetworkSettings"]["Networks"]["n"]["Aliases"] == ["a" * 12]
    assert "DNSNames" not in versions.downgrade("container.inspect", reply, 43)["NetworkSettings"]["Networks"]["n"]


def test_requests_of_old_clients():
    assert versions.upgrade("container.create", {"Image": "x", "HostConfig": {"AutoRemove": True}}, 24)["HostConfig"] == {
        "CgroupnsMode": "host",
        "IpcMode": "shareable",
    }
    two = {"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}
    with pytest.raises(InvalidArgument):
        versions.upgrade("container.create", two, 43)
    assert versions.upgrade("container.create", two, 44) == two
