"""Unpacking what a daemon sends: nothing leaves the destination."""

import io
import tarfile

import pytest

from scow.cli.commands.container.cp import _Pieces, extract, pack, split_spec
from scow.errors import ScowError


def archive(*members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, link, 0o755
            if kind == tarfile.REGTYPE:
                info.size = 1
            made.addfile(info, io.BytesIO(b"x") if kind == tarfile.REGTYPE else None)
    data.seek(0)
    return tarfile.open(fileobj=data, mode="r|")


def test_renames_the_root(tmp_path):
    extract(archive(("d", tarfile.DIRTYPE, ""), ("d/f", tarfile.REGTYPE, ""), ("d/l", tarfile.LNKTYPE, "d/f")), str(tmp_path), "new")
    assert (tmp_path / "new/f").read_text() == (tmp_path / "new/l").read_text() == "x"
    extract(archive(("./", tarfile.DIRTYPE, ""), ("./g", tarfile.REGTYPE, "")), str(tmp_path), None)
    assert (tmp_path / "g").exists()


@pytest.mark.parametrize(
    "members",
    [
        [("d/../../e", tarfile.REGTYPE, "")],
        [("d", tarfile.DIRTYPE, ""), ("d/l", tarfile.SYMTYPE, "/"), ("d/l/e", tarfile.REGTYPE, "")],
        [("d", tarfile.DIRTYPE, ""), ("d/h", tarfile.LNKTYPE, "d/../../secret")],
        [("d", tarfile.DIRTYPE, ""), ("d/l", tarfile.SYMTYPE, ".."), ("d/l", tarfile.DIRTYPE, "")],
    ],
)
def test_nothing_leaves(tmp_path, members):
    root = tmp_path / "in" / "deep"
    root.mkdir(parents=True)
    with pytest.raises(ScowError):
        extract(archive(*members), str(root), "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_pack_and_back(tmp_path):
    source = tmp_path / "s"
    (source / "sub").mkdir(parents=True)
    (source / "sub/f").write_text("hello")
    counter = _Pieces()
    data = b"".join(pack(str(source), "n", counter))
    (tmp_path / "out").mkdir()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as made:
        extract(made, str(tmp_path / "out"), "n")
    assert (tmp_path / "out/n/sub/f").read_text() == "hello" and counter.total == len(data)


def test_specs():
    assert split_spec("c:/x") == ("c", "/x") and split_spec("./c:x") == ("", "./c:x") and split_spec("/a:b") == ("", "/a:b")
    assert split_spec("-") == ("", "-") and split_spec("a/b:c") == ("", "a/b:c")
