"""VirtualSize was there; one network at create; read-only binds were not recursive."""

import pytest

from scow.api.versions import v1_44
from scow.errors import InvalidArgument


def test_sizes_and_names():
    assert v1_44.DOWN["image.inspect"]({"Size": 7}) == {"Size": 7, "VirtualSize": 7}
    assert v1_44.DOWN["system.df"]({"Images": [{"Size": 7}]})["Images"] == [{"Size": 7, "VirtualSize": 7}]
    assert v1_44.DOWN["system.df"]({"Images": None}) == {"Images": None}
    reply = {"NetworkSettings": {"Networks": {"n": {"DNSNames": ["x"]}, "m": None}}}
    assert v1_44.DOWN["container.inspect"](reply) == {"NetworkSettings": {"Networks": {"n": {}, "m": None}}}


def test_create():
    body = {"Healthcheck": {"StartInterval": 1, "Retries": 2}, "HostConfig": {"Mounts": [{"Type": "bind"}, {"Type": "volume"}, 5]}}
    body = v1_44.UP["container.create"](body)
    assert body["Healthcheck"] == {"Retries": 2}
    assert body["HostConfig"]["Mounts"] == [{"Type": "bind", "BindOptions": {"ReadOnlyNonRecursive": True}}, {"Type": "volume"}, 5]
    with pytest.raises(InvalidArgument, match="multiple network endpoints: a, b"):
        v1_44.UP["container.create"]({"NetworkingConfig": {"EndpointsConfig": {"b": {}, "a": {}}}})
