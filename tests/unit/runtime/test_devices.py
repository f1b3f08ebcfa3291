"""Devices of a container."""

import os

import pytest

from scow.errors import InvalidArgument
from scow.model.container import DeviceMapping
from scow.runtime import devices


def test_a_directory_brings_what_is_below(tmp_path):
    os.symlink("/dev", tmp_path / "dev")
    with pytest.raises(InvalidArgument, match="not a device node"):
        devices.build([DeviceMapping(str(tmp_path), "/dev/x", "rwm")], [], False)
    found = devices.build([DeviceMapping("/dev", "/dev/host", "r")], [], False)
    assert any(node["path"] == "/dev/host/null" for node in found.nodes) and found.rules[-1]["access"] == "r"


def test_privileged_has_all_and_may_rename():
    found = devices.build([DeviceMapping("/dev/null", "/dev/other")], ["c 1:1 r"], True)
    paths = {node["path"] for node in found.nodes}
    assert {"/dev/null", "/dev/other"} <= paths and not any("/pts/" in path or path == "/dev/console" for path in paths)
    assert found.rules == [{"allow": True, "access": "rwm"}]
