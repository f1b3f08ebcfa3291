"""Archives made to do harm: nothing leaves the root, nothing hangs, nothing is left behind."""

import asyncio
import os
import stat
import tarfile
from pathlib import Path

import pytest

from scow.aio import Supervisor
from scow.archive.workers import ArchiveError, NotADirectory, PathNotFound, ReadOnly, Root, Workers
from scow.errors import ScowError
from tests.support.images import needs_root
from tests.support.tars import chunks, entry, folder, hardlink, symlink, tarball

pytestmark = needs_root


@pytest.fixture
def root(tmp_path):
    """A root to unpack into, beside a file that must never change."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "root").mkdir()
    yield tmp_path / "root"
    assert (tmp_path / "victim").read_text() == "untouched"
    assert os.stat(tmp_path / "victim").st_nlink == 1
    assert sorted(os.listdir(tmp_path)) == ["root", "victim"]


def run(job):
    """Run `job(workers)` with helpers of its own."""

    async def main():
        workers = Workers()
        try:
            return await job(workers)
        finally:
            workers.close()

    return asyncio.run(main())


def unpack(root, *members, **more):
    return run(lambda workers: workers.unpack(Root(root), chunks(tarball(*members)), **more))


def up(path):
    return "../" * 14 + str(path).lstrip("/")


def test_names_with_dotdot_are_refused(root):
    for name in (up(root.parent / "pwned"), up(root.parent / "victim"), "a/../../pwned", "..", "a/b/../../../x"):
        with pytest.raises(ArchiveError, match="leads out"):
            unpack(root, entry(name, b"x"))


def test_dotdot_within_the_root_is_fine(root):
    unpack(root, folder("a"), entry("a/../b", b"x"))
    assert (root / "b").read_text() == "x"


def test_absolute_names_land_inside(root):
    unpack(root, entry(str(root.parent / "pwned"), b"x"))
    assert (root / str(root.parent / "pwned").lstrip("/")).read_text() == "x"


@pytest.mark.parametrize("style", ["absolute", "dotdot"])
def test_files_through_links_stay_inside(root, style):
    target = str(root.parent) if style == "absolute" else up(root.parent)
    with pytest.raises(ArchiveError):
        unpack(root, symlink("link", target), entry("link/pwned", b"x"))
    unpack(root, symlink("top", "/"), entry("top/inside", b"x"))
    assert (root / "inside").read_text() == "x"


def test_a_link_is_replaced_not_written_through(root):
    unpack(root, symlink("link", str(root.parent / "victim")), entry("link", b"mine"))
    assert not (root / "link").is_symlink()
    assert (root / "link").read_text() == "mine"


@pytest.mark.parametrize("how", ["absolute", "dotdot", "through a link", "missing", "itself"])
def test_hard_links_to_the_outside_are_not_made(root, how):
    victim = root.parent / "victim"
    members = {
        "absolute": [hardlink("h", str(victim))],
        "dotdot": [hardlink("h", up(victim))],
        "through a link": [symlink("l", str(root.parent)), hardlink("h", "l/victim")],
        "missing": [hardlink("h", "no/such")],
        "itself": [entry("h", b"x"), hardlink("h", "h")],
    }[how]
    with pytest.raises(ArchiveError):
        unpack(root, *members)


def test_fifos_and_devices_in_the_place_of_files_do_not_hang(root):
    unpack(
        root,
        entry("p", type=tarfile.FIFOTYPE),
        entry("p", b"file now"),
        entry("n", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        entry("n", b"too"),
        entry("q", b"x"),
        entry("q", type=tarfile.FIFOTYPE),
    )
    assert (root / "p").read_text() == "file now"
    assert (root / "n").read_text() == "too"
    assert stat.S_ISFIFO(os.lstat(root / "q").st_mode)
    os.mkfifo(root / "r")
    unpack(root, entry("r", b"over a fifo"))
    assert (root / "r").read_text() == "over a fifo"


def test_fifos_devices_and_sockets_are_packed_without_being_opened(root):
    os.mkfifo(root / "p")
    os.mknod(root / "n", 0o600 | stat.S_IFCHR, os.makedev(1, 3))

    async def pack(workers):
        return b"".join([data async for data in workers.pack(Root(root), "/", "")])

    assert len(run(pack)) == 2 * 512 + 1024


def test_an_archive_cannot_steer_the_overlay(root):
    unpack(root, folder("d", xattrs={"trusted.overlay.opaque": "y", "trusted.overlay.redirect": "/etc", "user.kept": "1"}))
    assert os.listxattr(root / "d") in (["user.kept"], [])


def test_strict_kinds(root):
    unpack(root, folder("d"), entry("f", b"x"))
    for member in (entry("d", b"x"), folder("f")):
        with pytest.raises(ArchiveError, match="cannot overwrite"):
            unpack(root, member, strict_kind=True)
    unpack(root, entry("d", b"x"), folder("f"))
    assert (root / "d").is_file()
    assert (root / "f").is_dir()


def test_the_place_to_unpack_is_resolved_inside(root):
    (root / "out").symlink_to(root.parent)
    (root / "file").write_text("")
    with pytest.raises(PathNotFound):
        unpack(root, entry("x"), path="/out")
    with pytest.raises(NotADirectory):
        unpack(root, entry("x"), path="/file")


@pytest.mark.parametrize("path", ["/esc/victim", "/escfile", "/../victim"])
def test_reading_through_links_stays_inside(root, path):
    (root / "esc").symlink_to(root.parent)
    (root / "escfile").symlink_to(root.parent / "victim")

    async def pack(workers):
        return b"".join([data async for data in workers.pack(Root(root), path, follow=True)])

    with pytest.raises(PathNotFound):
        run(pack)


def test_damaged_headers_are_refused(root):
    whole = bytearray(tarball(entry("f", b"x" * 3000)))
    for at in (0, 100, 124, 148, 156):
        data = bytearray(whole)
        data[at] ^= 0x55
        with pytest.raises(ArchiveError):
            run(lambda workers, data=bytes(data): workers.unpack(Root(root), chunks(data)))
    with pytest.raises(ArchiveError, match="EOF"):
        run(lambda workers: workers.unpack(Root(root), chunks(bytes(whole[:1500]))))


def test_a_deep_tree_is_refused_or_made_and_always_removed(root):
    deep = "/".join(["d" * 100] * 60)
    with pytest.raises(ScowError):
        unpack(root, entry(deep, b"x"))
    back = os.getcwd()
    try:
        os.chdir(root)
        for _ in range(400):
            os.mkdir("e" * 50)
            os.chdir("e" * 50)
    finally:
        os.chdir(back)
    (root / "kept").mkdir()
    run(lambda workers: workers.run({"job": "remove", "paths": [str(root / ("e" * 50)), str(root / "gone")]}))
    assert "e" * 50 not in os.listdir(root)


def test_read_only_and_binds_of_a_stopped_container(root, tmp_path_factory):
    volume, data = tmp_path_factory.mktemp("volume"), tmp_path_factory.mktemp("data")
    for name in ("v", "ro"):
        (root / name).mkdir()
    (root / "link").symlink_to("/v")
    where = Root(root, binds=((str(volume), "/link", False), (str(data), "/ro", True)), read_only=True)

    async def job(workers):
        await workers.unpack(where, chunks(tarball(entry("f", b"x"))), "/v")
        for path in ("/", "/ro"):
            with pytest.raises(ReadOnly):
                await workers.unpack(where, chunks(tarball(entry("f", b"x"))), path)
        return b"".join([data async for data in workers.pack(where, "/v/f")])

    assert b"x" in run(job)
    assert os.listdir(volume) == ["f"]
    assert os.listdir(data) == []
    assert os.listdir(root / "v") == []


def helpers():
    """Archive helpers that this process has as children (it may have others, of other tests)."""
    children = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children if Path(f"/proc/{pid}").exists()]
    return [line for line in lines if b"archive" in line]


def test_a_broken_off_job_ends_its_helper(root):
    (root / "big").write_bytes(bytes(30 << 20))

    async def job(workers):
        stream = workers.pack(Root(root), "/big")
        await anext(stream)
        await stream.aclose()
        given = asyncio.Event()
        task = Supervisor("test").start(workers.unpack(Root(root), forever(given)), "unpack")
        await asyncio.wait_for(given.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await workers.stat(Root(root), "/big"))["size"]

    async def forever(given):
        yield tarball(entry("f", b"x" * 100))[:600]
        given.set()
        await asyncio.Event().wait()

    assert run(job) == 30 << 20
    assert helpers() == []
