"""Names of members, and removing trees."""

import os

import pytest

from scow.archive.tar import Malformed
from scow.archive.unpack import clean, remove_tree


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "a/b"),
        ("./a", "a"),
        ("/a//b/", "a/b"),
        ("..a/.b", "..a/.b"),
        (".", ""),
        ("/", ""),
        ("a/../b", "b"),
        ("a/./b", "a/b"),
    ],
)
def test_names(name, path):
    assert clean(name.encode()) == path.encode()


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/..", "./.."])
def test_names_that_lead_out(name):
    with pytest.raises(Malformed):
        clean(name.encode())


def test_remove_tree_takes_links_not_what_they_lead_to(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "t" / "d").mkdir(parents=True)
    (tmp_path / "t" / "l").symlink_to(tmp_path / "kept")
    (tmp_path / "t" / "d" / "f").write_text("x")
    remove_tree(os.fsencode(tmp_path / "t"))
    remove_tree(os.fsencode(tmp_path / "t"))
    assert os.listdir(tmp_path) == ["kept"]
