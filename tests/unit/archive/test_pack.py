"""What does not need root of packing and describing."""

import io
import os
import stat
import subprocess
import tarfile

from scow.archive.pack import Packer, blocks, changes, go_mode, stat_path, usage


def test_go_modes():
    assert go_mode(stat.S_IFDIR | 0o1777) == 1 << 31 | 1 << 20 | 0o777
    assert go_mode(stat.S_IFLNK | 0o777) == 1 << 27 | 0o777
    assert go_mode(stat.S_IFREG | 0o4755) == 1 << 23 | 0o755
    assert go_mode(stat.S_IFCHR | 0o600) == 1 << 26 | 1 << 21 | 0o600


def test_pack(tmp_path):
    (tmp_path / "t" / "sub").mkdir(parents=True)
    (tmp_path / "t" / "sub" / "f").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "t" / "sub" / "f", tmp_path / "t" / "z")
    (tmp_path / "t" / "l").symlink_to("sub/f")
    parts = []
    packer = Packer(parts.append)
    packer.add(os.fsencode(tmp_path / "t"), b"new")
    packer.end()
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        found = {member.name: member for member in tar}
        assert set(found) == {"new", "new/l", "new/sub", "new/sub/f", "new/z"}
        assert tar.extractfile("new/sub/f").read() == b"x" * 100_000
        assert (found["new/l"].linkname, found["new/z"].islnk(), found["new/z"].linkname) == ("sub/f", True, "new/sub/f")


def test_stat_path(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d")
    link = stat_path(str(tmp_path / "l"))
    assert (link["name"], link["linkTarget"], link["mode"]) == ("l", str(tmp_path / "d"), go_mode(os.lstat(tmp_path / "l").st_mode))
    for path in ("l/", "l/."):
        assert stat_path(f"{tmp_path}/{path}")["mode"] == go_mode(os.stat(tmp_path / "d").st_mode)


def test_usage_and_changes(tmp_path):
    for name in ("lower/d", "upper/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lower" / "d" / "f").write_text("1")
    (tmp_path / "upper" / "d" / "f").write_text("12")
    (tmp_path / "upper" / "new").write_text("123")
    os.link(tmp_path / "upper" / "new", tmp_path / "upper" / "again")
    assert usage(os.fsencode(tmp_path / "upper")) == 5
    found = changes(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")])
    assert found == [("A", "/again"), ("C", "/d"), ("C", "/d/f"), ("A", "/new")]


def test_blocks_are_what_du_says(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(bytes(100_000))
    os.link(tmp_path / "a/b/file", tmp_path / "a/again")
    (tmp_path / "c").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")
    found = blocks(os.fsencode(tmp_path), 2)

    def du(name: str) -> int:
        out = subprocess.run(["du", "-s", "-x", "-B1", str(tmp_path / name)], capture_output=True, text=True, check=True)
        return int(out.stdout.split()[0])

    assert found[""] == du(".")
    assert found["a"] + found["c"] + found["link"] + os.lstat(tmp_path).st_blocks * 512 == found[""]
    assert "a/b" in found
    assert "a/b/file" not in found
