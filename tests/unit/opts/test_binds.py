"""Short forms of mounts (what they mean to a container is tested with volumes/mounts)."""

import pytest

from scow.errors import InvalidArgument
from scow.opts import binds


def test_parse():
    assert binds.parse("/a//b/:/c/:ro") == binds.Bind("/a/b", "/c", "ro", binds.Mode(rw=False))
    assert binds.parse("/anon").source == "" and binds.parse("v:/x:nocopy").mode.nocopy
    assert binds.parse_mode("Z,cached,rslave", False, "") == binds.Mode(propagation="rslave")


def test_volumes_from():
    assert binds.parse_volumes_from("c") == ("c", "rw") and binds.parse_volumes_from("c:ro,z") == ("c", "ro,z")
    for bad in ("", ":ro", "c:odd", "c:rslave"):
        with pytest.raises(InvalidArgument):
            binds.parse_volumes_from(bad)


def test_destinations():
    assert binds.check_destination("//a/../b/") == "/b"
    for bad in ("a", "/", "/..", "/a\0"):
        with pytest.raises(InvalidArgument):
            binds.check_destination(bad)
