"""The local driver's own parts."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from scow.errors import InvalidArgument
from scow.kernel import mounts
from scow.volumes.local import LocalDriver, LookupFailed, check_options, failure, network_address, parse_options, tree_size


def test_options_become_flags_and_data():
    assert parse_options("size=1m,uid=1000,nosuid,ro,rw") == (mounts.MS_NOSUID, "size=1m,uid=1000", 0)
    assert parse_options("bind") == (mounts.MS_BIND, "", 0) and parse_options("") == (0, "", 0)
    assert parse_options("bind,rshared") == (mounts.MS_BIND, "", mounts.MS_SHARED | mounts.MS_REC)


def test_quota_is_refused():
    with pytest.raises(InvalidArgument, match="quota"):
        check_options({"size": "1m"})


def test_create_remove_size(tmp_path):
    driver = LocalDriver(tmp_path / "volumes")
    for _ in range(2):
        asyncio.run(driver.create("v", {}))
    (driver.path("v") / "d").mkdir()
    (driver.path("v") / "d/f").write_bytes(b"x" * 10)
    os.link(driver.path("v") / "d/f", driver.path("v") / "again")
    assert tree_size(driver.path("v")) == 10 and not driver.mounted("v")
    for _ in range(2):
        asyncio.run(driver.remove("v"))
    assert os.listdir(tmp_path / "volumes") == []


@pytest.mark.parametrize(
    ("kind", "device", "data", "wanted"),
    [
        ("nfs", ":/exports", "addr=localhost,vers=4,soft", "addr=127.0.0.1,vers=4,soft"),
        ("nfs4", "localhost:/exports/a:b", "soft", "soft,addr=127.0.0.1"),
        ("nfs", "[::1]:/exports", "", "addr=::1"),
        ("nfs", ":/exports", "soft", "soft"),
        ("cifs", "//localhost/share/sub", "username=u,password=p", "username=u,password=p,addr=127.0.0.1"),
        ("cifs", "\\\\10.0.0.9\\share", "ip=10.0.0.8", "ip=10.0.0.8"),
        ("tmpfs", "host:/x", "addr=localhost", "addr=localhost"),
    ],
)
def test_the_kernel_gets_addresses_of_servers(kind, device, data, wanted):
    assert network_address(kind, device, data) == wanted


def test_a_server_nobody_knows_is_named():
    with pytest.raises(LookupFailed) as caught:
        network_address("nfs", ":/x", "addr=no such host.invalid")
    text = failure(caught.value, "nfs", ":/x", Path("/v"), 0, "")
    assert text.startswith("error resolving passed in network volume address: lookup no such host.invalid: ")


def test_failures_name_the_cause_without_passwords():
    missing = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    text = failure(missing, "cifs", "//a/b", Path("/v"), mounts.MS_RDONLY, "username=u,password=hush,pass=hush2")
    assert text.startswith(
        "failed to mount local volume: mount //a/b:/v, flags: 0x1, data: username=u,password=********,pass=********: no such device"
    )
    assert "no file system cifs" in text
