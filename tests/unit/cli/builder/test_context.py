"""The context of the classic builder as a tar: what is in it, what is left out, how it is read by tarfile."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from scow.cli.commands.builder import context
from scow.errors import ScowError
from scow.opts.ignore import Ignore


def members(pieces: object) -> dict[str, tarfile.TarInfo]:
    data = b"".join(pieces)  # type: ignore[arg-type]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def test_files_folders_and_links(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"x" * 1000)
    (tmp_path / "d" / "f").chmod(0o4751)
    os.utime(tmp_path / "d" / "f", (5, 7.9))
    (tmp_path / "l").symlink_to("d/f")
    os.mkfifo(tmp_path / "p")
    found = members(context.archive(context.entries(str(tmp_path), None)))
    assert sorted(found) == ["d", "d/e", "d/f", "l", "p"]
    file = found["d/f"]
    assert (file.size, file.mode, file.mtime, file.uid, file.gid) == (1000, 0o4751, 7, 0, 0)
    assert found["l"].issym() and found["l"].linkname == "d/f" and found["p"].isfifo() and found["d"].isdir()


def test_long_and_odd_names(tmp_path: Path) -> None:
    names = ["n" * 200, "ü" * 60, "a b", "ends\n"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "link").symlink_to("t" * 150)
    found = members(context.archive(context.entries(str(tmp_path), None)))
    assert set(names) <= set(found) and found["link"].linkname == "t" * 150
    assert all(found[name].size == len(name.encode()) for name in names)


def test_ignored_files_are_left_out(tmp_path: Path) -> None:
    for name in ("keep", "drop", "node_modules/x/y", "logs/a.log", "logs/keep.log", "sub/deep/drop"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    ignore = Ignore(["drop", "node_modules", "logs/*", "!logs/keep.log", "**/deep"])
    assert [entry.name for entry in context.entries(str(tmp_path), ignore)] == ["keep", "logs", "logs/keep.log", "sub"]


def test_added_files_replace(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"old")
    (tmp_path / "a").write_bytes(b"1")
    pieces = list(context.archive(context.entries(str(tmp_path), None), [(".dockerignore", b"new!")], frozenset({".dockerignore"})))
    found = members(pieces)
    assert found[".dockerignore"].size == 4 and sorted(found) == [".dockerignore", "a"]


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    found = list(context.entries(str(tmp_path), None))
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ScowError, match="became smaller"):
        list(context.archive(found))


@pytest.mark.parametrize(
    ("text", "git", "url"),
    [
        ("https://h/r.git", True, True),
        ("https://h/r.git#main:sub", True, True),
        ("git@h:o/r", True, False),
        ("git://h/r", True, False),
        ("github.com/o/r", True, False),
        ("https://h/ctx.tar.gz", False, True),
        ("dir.git", False, False),
        (".", False, False),
    ],
)
def test_what_an_address_is(text: str, git: bool, url: bool) -> None:
    assert (context.is_git(text), context.is_url(text)) == (git, url)


def test_the_dockerfile_is_found(tmp_path: Path) -> None:
    inside = tmp_path / "ctx"
    (inside / "sub").mkdir(parents=True)
    (inside / "dockerfile").write_text("FROM a")
    (inside / "sub" / "D").write_text("FROM a")
    (tmp_path / "out").write_text("FROM a")
    assert context.find_dockerfile(str(inside), "")[0] == "dockerfile"
    assert context.find_dockerfile(str(inside), str(inside / "sub" / "D"))[0] == "sub/D"
    assert context.find_dockerfile(str(inside), str(tmp_path / "out")) == ("", str(tmp_path / "out"))
    with pytest.raises(ScowError, match="no such file or directory"):
        context.find_dockerfile(str(inside), str(inside / "none"))


def test_archives_are_unpacked_inside_only(tmp_path: Path) -> None:
    def packed(*members: tuple[str, bytes, str]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, kind, target in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.mode, info.mtime = kind, target, 0o750, 9
                info.size = 1 if kind == tarfile.REGTYPE else 0
                archive.addfile(info, io.BytesIO(b"x"))
        return out.getvalue()

    root = tmp_path / "root"
    root.mkdir()
    good = packed(("./d", tarfile.DIRTYPE, ""), ("d/f", tarfile.REGTYPE, ""), ("l", tarfile.SYMTYPE, "/etc"), ("h", tarfile.LNKTYPE, "d/f"))
    context.unpack(good, str(root))
    assert (root / "h").read_bytes() == b"x" and (root / "d/f").stat().st_mtime == 9 and (root / "l").is_symlink()
    for bad in (("../x", tarfile.REGTYPE, ""), ("l/x", tarfile.REGTYPE, ""), ("h2", tarfile.LNKTYPE, "l/passwd")):
        with pytest.raises(ScowError, match="leaves its root"):
            context.unpack(packed(("l", tarfile.SYMTYPE, "/etc"), bad), str(root))
    with pytest.raises(ScowError):
        context.unpack(b"\x1f\x8b\x08nothing", str(root))
