"""The cgroup namespace was the host's."""

from scow.api.versions import v1_41


def test_create_and_inspect():
    assert v1_41.UP["container.create"]({}) == {"HostConfig": {"CgroupnsMode": "host"}}
    assert v1_41.UP["container.create"]({"HostConfig": {"cgroupnsmode": "private"}}) == {"HostConfig": {"cgroupnsmode": "private"}}
    assert v1_41.DOWN["container.inspect"]({"HostConfig": {"CgroupnsMode": "host"}}) == {"HostConfig": {}}
