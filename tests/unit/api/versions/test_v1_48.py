"""No descriptors, no gateway priorities, no mounts of images."""

import pytest

from scow.api.versions import v1_48
from scow.errors import InvalidArgument


def test_replies():
    assert v1_48.DOWN["image.inspect"]({"Descriptor": {}, "Manifests": [], "Id": "x"}) == {"Id": "x"}
    row = {"ImageManifestDescriptor": {}, "NetworkSettings": {"Networks": {"n": {"GwPriority": 0}}}}
    assert v1_48.DOWN["container.list"]([row]) == [{"NetworkSettings": {"Networks": {"n": {}}}}]
    assert v1_48.DOWN["info"]({"FirewallBackend": {}}) == {}


def test_mounts_of_images():
    with pytest.raises(InvalidArgument, match="needs API"):
        v1_48.UP["container.create"]({"HostConfig": {"Mounts": [{"Type": "image"}]}})
    assert v1_48.UP["container.create"]({"HostConfig": {"Mounts": "x"}}) == {"HostConfig": {"Mounts": "x"}}
