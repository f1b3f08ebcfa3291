"""Filling a volume from the image."""

import os

import pytest

from scow.errors import InvalidArgument
from scow.volumes.copyup import copy_up


@pytest.fixture
def trees(tmp_path):
    root, volume = tmp_path / "root", tmp_path / "volume"
    (root / "data/sub/empty").mkdir(parents=True)
    volume.mkdir()
    (root / "data/f").write_text("seed")
    os.link(root / "data/f", root / "data/sub/hard")
    os.symlink("f", root / "data/link")
    os.mkfifo(root / "data/fifo")
    os.chmod(root / "data/f", 0o640)
    os.chmod(root / "data", 0o2750)
    for path in (root / "data/f", root / "data"):
        os.utime(path, (1, 981173106))
    return root, volume


def test_everything_comes_along(trees):
    root, volume = trees
    assert copy_up(str(volume), str(root), "/data")
    assert (volume / "f").read_text() == "seed" and os.readlink(volume / "link") == "f"
    assert os.stat(volume / "f").st_mode & 0o7777 == 0o640 and os.stat(volume).st_mode & 0o7777 == 0o2750
    assert os.stat(volume / "f").st_mtime == os.stat(volume).st_mtime == 981173106
    assert os.stat(volume / "f").st_ino == os.stat(volume / "sub/hard").st_ino
    assert sorted(os.listdir(volume)) == ["f", "fifo", "link", "sub"] and os.path.isdir(volume / "sub/empty")


def test_a_volume_with_content_stays_as_it_is(trees):
    root, volume = trees
    (volume / "mine").touch()
    assert not copy_up(str(volume), str(root), "/data") and os.listdir(volume) == ["mine"]


def test_nothing_there_is_fine_and_a_file_is_refused(trees):
    root, volume = trees
    assert not copy_up(str(volume), str(root), "/none")
    with pytest.raises(InvalidArgument, match="file exists"):
        copy_up(str(volume), str(root), "/data/f")


def test_links_of_the_image_do_not_lead_out(trees, tmp_path):
    root, volume = trees
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("x")
    os.symlink(tmp_path / "outside", root / "trap")
    os.symlink("../../../../data", root / "up")
    assert not copy_up(str(volume), str(root), "/trap") and os.listdir(volume) == []
    assert copy_up(str(volume), str(root), "/up") and "f" in os.listdir(volume)
