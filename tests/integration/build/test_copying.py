"""The copy engine on real trees: places, wildcards, owners, modes, archives, and trees that lie."""

import asyncio
import bz2
import gzip
import lzma
import os
import stat

import pytest
import zstandard

from scow.archive.workers import Workers
from scow.build import copying
from scow.build.copying import CopyError, Step
from scow.build.llb.ops import Copy, Mkdir, Mkfile, Owner, Rm, Symlink
from tests.support.images import needs_root
from tests.support.tars import entry, folder, symlink, tarball

pytestmark = needs_root


@pytest.fixture(scope="module")
def copy_():
    """copy_(dest, steps, *sources): do it."""
    loop = asyncio.new_event_loop()
    made = []

    async def workers():
        if not made:
            made.append(Workers())
        return made[0]

    async def go(dest, steps, sources):
        return await copying.run(await workers(), dest, steps, sources)

    yield lambda dest, steps, *sources: loop.run_until_complete(go(dest, steps, sources))
    for one in made:
        one.close()
    loop.close()


@pytest.fixture
def trees(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "dst").mkdir()
    return tmp_path / "src", tmp_path / "dst"


def fill(root, files):
    for name, content in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())


def found(root):
    return sorted(os.path.join(at, name)[len(str(root)) + 1 :] for at, dirs, files in os.walk(root) for name in [*dirs, *files])


def dockerfile(src, dest, **more):
    """A copy as COPY means it."""
    return Step(
        Copy(
            src,
            dest,
            **{
                "follow_symlink": True,
                "dir_copy_contents": True,
                "create_dest_path": True,
                "allow_wildcard": True,
                "allow_empty_wildcard": True,
                **more,
            },
        )
    )


@pytest.mark.parametrize(
    ("src", "dest", "expected"),
    [
        ("f", "/a", ["a"]),
        ("f", "/b/", ["b", "b/f"]),
        ("f", "/c/d/", ["c", "c/d", "c/d/f"]),
        ("f", "/c/d", ["c", "c/d"]),
        ("f", "/", ["f"]),
        ("sub", "/to", ["to", "to/deep", "to/deep/y", "to/x"]),
        ("sub/", "/to/", ["to", "to/deep", "to/deep/y", "to/x"]),
        ("*/x", "/to/", ["to", "to/x"]),
        ("su?/[wx]", "/to/", ["to", "to/x"]),
        ("*.nope", "/to/", []),
        ("../../f", "/a", ["a"]),
    ],
)
def test_places(copy_, trees, src, dest, expected):
    source, target = trees
    fill(source, {"f": "1", "sub/x": "2", "sub/deep/y": "3"})
    copy_(target, [dockerfile(src, dest)], source)
    assert found(target) == expected


def test_missing_source_is_named(copy_, trees):
    with pytest.raises(CopyError, match='"/nothere": not found'):
        copy_(trees[1], [dockerfile("nothere", "/")], trees[0])
    with pytest.raises(CopyError, match="syntax error in pattern"):
        copy_(trees[1], [dockerfile("[", "/")], trees[0])


def test_kinds_that_collide(copy_, trees):
    source, target = trees
    fill(source, {"f": "1", "d/f/x": "1", "g/d": "1"})
    fill(target, {"to/f": "old", "to/d/x": "", "to/g": None})
    with pytest.raises(CopyError, match="cannot copy to non-directory: /to/f"):
        copy_(target, [dockerfile("d", "/to")], source)
    with pytest.raises(CopyError, match="cannot replace to directory /to/d with file"):
        copy_(target, [dockerfile("g", "/to")], source)
    copy_(target, [dockerfile("d", "/to", always_replace=True)], source)
    assert (target / "to/f/x").exists()


def test_metadata_is_kept_or_set(copy_, trees):
    source, target = trees
    fill(source, {"d/f": "1", "d/e": None})
    os.chmod(source / "d/f", 0o4751)
    os.utime(source / "d/f", ns=(5_000_000_007, 5_000_000_007))
    os.chown(source / "d/f", 3, 4)
    os.chmod(source / "d/f", 0o4751)
    os.setxattr(source / "d/f", "user.x", b"1")
    copy_(target, [dockerfile("d", "/kept"), dockerfile("d", "/set", owner=Owner(7, 8), mode=0o640, timestamp=9)], source)
    kept, given = (target / "kept/f").stat(), (target / "set/f").stat()
    assert (stat.S_IMODE(kept.st_mode), kept.st_uid, kept.st_gid, kept.st_mtime_ns) == (0o4751, 3, 4, 5_000_000_007)
    assert os.getxattr(target / "kept/f", "user.x") == b"1"
    assert (stat.S_IMODE(given.st_mode), given.st_uid, given.st_gid, given.st_mtime_ns) == (0o640, 7, 8, 9)
    assert stat.S_IMODE((target / "set/e").stat().st_mode) == 0o640
    copy_(target, [dockerfile("d", "/sym", mode_str="u=rwX,go=rX")], source)
    assert stat.S_IMODE((target / "sym/e").stat().st_mode) == 0o755


def test_owner_by_name_is_the_images(copy_, trees):
    source, target = trees
    fill(source, {"f": "1"})
    fill(target, {"etc/passwd": "root:x:0:0::/:\nuser:x:1000:1000::/:\n", "etc/group": "extra:x:1001:\n"})
    steps = [dockerfile("f", f"/{number}", owner=copying.owner(text)) for number, text in enumerate(["user", "user:extra", "5", "5:6"])]
    copy_(target, steps, source)
    ids = [((target / str(number)).stat().st_uid, (target / str(number)).stat().st_gid) for number in range(4)]
    assert ids == [(1000, 1000), (1000, 1001), (5, 5), (5, 6)]
    with pytest.raises(CopyError, match="stranger"):
        copy_(target, [dockerfile("f", "/x", owner=copying.owner("stranger"))], source)


def test_a_passwd_that_leads_out_is_not_read(copy_, trees):
    source, target = trees
    fill(source, {"f": "1"})
    fill(source.parent, {"outside": "user:x:1000:1000::/:\n"})
    (target / "etc").mkdir()
    (target / "etc/passwd").symlink_to(source.parent / "outside")
    with pytest.raises(CopyError, match="user"):
        copy_(target, [dockerfile("f", "/x", owner=Owner("user"))], source)


def test_links_never_lead_out(copy_, trees, tmp_path):
    source, target = trees
    fill(tmp_path, {"secret/f": "top secret"})
    fill(source, {"real": "inside", "d/x": "1"})
    (source / "out").symlink_to(tmp_path / "secret")
    (source / "up").symlink_to("../secret")
    (source / "abs").symlink_to("/real")
    (source / "d/link").symlink_to(tmp_path / "secret/f")
    (target / "away").symlink_to(tmp_path / "secret")
    (target / "dirlink").symlink_to("/place")
    for name in ("out/f", "up/f", "out", "up"):
        with pytest.raises(CopyError, match="not found"):
            copy_(target, [dockerfile(name, "/x")], source)
    copy_(
        target, [dockerfile("abs", "/followed"), dockerfile("d", "/d"), dockerfile("real", "/away/"), dockerfile("d", "/dirlink")], source
    )
    assert (target / "followed").read_text() == "inside"
    assert os.readlink(target / "d/link") == str(tmp_path / "secret/f")
    assert (target / "place/x").exists()
    assert found(tmp_path / "secret") == ["f"]
    assert (target / str(tmp_path).lstrip("/") / "secret/real").read_text() == "inside"


def test_hard_links_stay_together(copy_, trees):
    source, target = trees
    fill(source, {"d/a": "1"})
    os.link(source / "d/a", source / "d/b")
    copy_(target, [dockerfile("d", "/to")], source)
    assert (target / "to/a").stat().st_ino == (target / "to/b").stat().st_ino


def test_patterns_include_and_exclude(copy_, trees):
    source, target = trees
    fill(source, {"a/b/c.txt": "1", "a/b/c.md": "2", "a/d/e.txt": "3", "top.txt": "4", "a/empty": None})
    copy_(target, [dockerfile("/", "/to/", include_patterns=("a/**/*.txt",), exclude_patterns=("a/d",))], source)
    assert found(target) == ["to", "to/a", "to/a/b", "to/a/b/c.txt"]
    copy_(target, [dockerfile("*.txt", "/none/", exclude_patterns=("*.txt",))], source)
    assert not (target / "none").exists()


ARCHIVE = tarball(folder("in"), entry("in/f", b"packed", mode=0o640, uid=4, gid=5), symlink("l", "/etc"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_archives_are_unpacked_by_content(copy_, trees, pack):
    source, target = trees
    fill(source, {"a.misnamed": pack(ARCHIVE), "plain.tar": "no archive"})
    copy_(target, [dockerfile(name, "/to/", attempt_unpack=True) for name in ("a.misnamed", "plain.tar")], source)
    assert (target / "to/in/f").read_bytes() == b"packed"
    assert (target / "to/in/f").stat().st_uid == 4
    assert (target / "to/plain.tar").read_text() == "no archive"
    copy_(target, [dockerfile("a.misnamed", "/kept")], source)
    assert (target / "kept").read_bytes() == pack(ARCHIVE)


def test_an_archive_that_climbs_is_refused(copy_, trees):
    source, target = trees
    fill(source, {"a": tarball(entry("../../x", b"1"))})
    with pytest.raises(CopyError, match="leads out"):
        copy_(target, [dockerfile("a", "/to", attempt_unpack=True)], source)


def test_the_smaller_actions(copy_, trees):
    _, target = trees
    steps = [
        Mkdir("/a/b", 0o700, make_parents=True),
        Mkfile("/a/b/f", b"data", 0o4755, Owner(1, 2), 3),
        Symlink("f", "/a/b/l"),
        Mkfile("/a/gone", b""),
        Rm("/a/go*", allow_wildcard=True),
        Rm("/nothing", allow_not_found=True),
    ]
    copy_(target, [Step(action) for action in steps])
    assert found(target) == ["a", "a/b", "a/b/f", "a/b/l"]
    info = (target / "a/b/f").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns) == (0o4755, 1, 2, 3)
    for bad in (Rm("/nothing"), Mkfile("/no/dir", b""), Mkdir("/no/dir"), Rm("/")):
        with pytest.raises(CopyError):
            copy_(target, [Step(bad)])


def test_special_files(copy_, trees):
    source, target = trees
    (source / "d").mkdir()
    os.mkfifo(source / "d/fifo")
    (source / "d/l").symlink_to("nowhere")
    copy_(target, [dockerfile("d", "/to")], source)
    assert stat.S_ISFIFO((target / "to/fifo").lstat().st_mode)
    assert os.readlink(target / "to/l") == "nowhere"
