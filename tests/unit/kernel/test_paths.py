"""Paths stay inside their root."""

import os

import pytest

from scow.kernel.paths import open_in_root, resolve_in_root


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "f").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    for name, target in (("abs", "/d/f"), ("out", "../../secret"), ("host", str(tmp_path / "secret"))):
        (tmp_path / "root" / name).symlink_to(target)
    return tmp_path / "root"


@pytest.mark.parametrize("path", ["/d/f", "d/f", "abs", "../../d/f", "/d/../d/f"])
def test_inside(root, path):
    fd = open_in_root(root, path, os.O_RDONLY)
    assert os.read(fd, 10) == b"inside"
    os.close(fd)
    assert resolve_in_root(root, path) == "/d/f"


@pytest.mark.parametrize("path", ["out", "host", "../secret", "no"])
def test_never_outside(root, path):
    with pytest.raises(FileNotFoundError):
        open_in_root(root, path, os.O_RDONLY)
