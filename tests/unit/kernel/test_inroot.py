"""Files and directories below an untrusted root."""

import os

import pytest

from scow.kernel import inroot


def test_directories_are_made_inside_whatever_links_say(tmp_path):
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    os.symlink("/real", root / "link")
    os.symlink("../../../..", root / "up")
    (root / "file").touch()
    with inroot.root_fd(root) as fd:
        for path in ("/link/a/b", "up/c", "/real/a/b"):
            os.close(inroot.make_dirs(fd, path))
        with pytest.raises(NotADirectoryError):
            inroot.make_dirs(fd, "/file/x")
    assert (root / "real/a/b").is_dir() and (root / "c").is_dir() and sorted(os.listdir(tmp_path)) == ["root"]


def test_reading_is_bounded_and_only_of_files(tmp_path):
    (tmp_path / "f").write_text("abcdef")
    os.mkfifo(tmp_path / "fifo")
    assert (
        inroot.read_text(tmp_path, "/f", 3) == "abc"
        and inroot.read_text(tmp_path, "/fifo", 3) is None
        and inroot.read_text(tmp_path, "/x", 3) is None
    )


def test_landing_follows_links_that_lead_nowhere_yet(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for name, target in {
        "data": "/mnt/data",
        "etc/resolv.conf": "../run/stub.conf",
        "up": "../../../..",
        "hop": "data/more",
        "loop": "loop",
    }.items():
        os.symlink(target, root / name)
    wanted = {
        "/data": "/mnt/data",
        "/data/x": "/mnt/data/x",
        "/etc/resolv.conf": "/run/stub.conf",
        "/up/etc": "/etc",
        "/hop/y": "/mnt/data/more/y",
        "/plain/": "/plain",
        "/etc/../../../x": "/x",
    }
    assert {path: inroot.landing(root, path) for path in wanted} == wanted
    with pytest.raises(OSError, match="symbolic links"):
        inroot.landing(root, "/loop/x")
