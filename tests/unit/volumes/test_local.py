"""The local driver's own parts."""

import os

import pytest

from scow.errors import InvalidArgument
from scow.kernel import mounts
from scow.volumes.local import LocalDriver, check_options, parse_options


def test_options_become_flags_and_data():
    assert parse_options("size=1m,uid=1000,nosuid,ro,rw") == (mounts.MS_NOSUID, "size=1m,uid=1000")
    assert parse_options("bind") == (mounts.MS_BIND, "") and parse_options("") == (0, "")


def test_quota_is_refused():
    with pytest.raises(InvalidArgument, match="quota"):
        check_options({"size": "1m"})


def test_create_remove_size(tmp_path):
    driver = LocalDriver(tmp_path / "volumes")
    driver.create("v")
    driver.create("v")
    (driver.path("v") / "d").mkdir()
    (driver.path("v") / "d/f").write_bytes(b"x" * 10)
    os.link(driver.path("v") / "d/f", driver.path("v") / "again")
    assert driver.size("v") == 10 and not driver.mounted("v")
    driver.remove("v")
    driver.remove("v")
    assert os.listdir(tmp_path / "volumes") == []
