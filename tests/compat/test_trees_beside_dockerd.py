"""Layers on the disk, Scow's beside those of a real dockerd (under /opt/trixie): the same image, every path the same in all it has."""

import gzip
import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.test_beside_dockerd import side_by_side
from tests.support.cli import Cli
from tests.support.tars import Member, config, docker_archive, entry, folder, hardlink, packed, symlink, tarball

pytestmark = pytest.mark.slow

CAPABILITY = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # cap_net_raw+ep


def timed(member: Member, mtime: float, exact: str = "") -> Member:
    """The member with another time; `exact` as PAX has it."""
    member[0].mtime = mtime  # type: ignore[assignment]
    if exact:
        member[0].pax_headers["mtime"] = exact
    return member


def _base() -> bytes:
    capability = {"security.capability": CAPABILITY.decode("latin-1"), "user.note": "seen"}
    return tarball(
        timed(folder("plain"), 1_000_000_000),
        folder("sticky", 0o1777, uid=7, gid=8),
        folder("setgid", 0o2775, uid=0, gid=50),
        entry("setgid/inside", b"x", gid=0),
        entry("setgid/grouped", b"x", gid=50),
        *(entry(f"plain/m{mode:o}", b"x", mode=mode) for mode in (0, 0o400, 0o644, 0o755, 0o1755, 0o2755, 0o4755, 0o6711, 0o7777)),
        timed(entry("plain/owned", b"x", uid=3_000_000, gid=2_999_999), 1.5),
        timed(entry("plain/old", b"x"), -86_400),
        timed(entry("plain/late", b"x"), 8_000_000_000),
        timed(entry("plain/fraction", b"x"), 1234567890, "1234567890.123456789"),
        entry("plain/empty"),
        entry("plain/capable", b"#!", mode=0o755, xattrs=capability),
        folder("noted", xattrs={"user.note": "folder"}),
        entry("plain/holes", bytes(3 << 20) + b"end"),
        hardlink("plain/again", "plain/owned"),  # its owner, mode and time are others than the file's, and win
        entry("sticky/elsewhere", type=tarfile.LNKTYPE, link="plain/capable", mode=0o755, xattrs=capability),
        symlink("plain/link", "../nowhere"),
        symlink("plain/absolute", "/etc/passwd"),
        hardlink("plain/linklink", "plain/link"),
        entry("dev/null", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        entry("dev/sda", type=tarfile.BLKTYPE, device=(8, 1), mode=0o660, gid=6),
        entry("dev/fifo", type=tarfile.FIFOTYPE, mode=0o622),
        entry("implicit/a/b/c", b"no parent is listed"),
        entry("n\udcff\udcfe", b"no UTF-8"),
        entry("deep/" + "/".join(["d" * 60] * 6) + "/f", b"long"),
        folder("gone"), entry("gone/a", b"x"), entry("gone/b/c", b"x"),
        folder("hidden"), entry("hidden/a", b"x"),
        entry("swap-file", b"x"), folder("swap-folder"), entry("swap-folder/x", b"x"),
    )  # fmt: skip


def _top() -> bytes:
    return tarball(
        entry("plain/.wh.m755"),
        entry(".wh.gone"),
        folder("hidden", 0o700, uid=1), entry("hidden/.wh..wh..opq"), entry("hidden/new", b"x"),
        folder("swap-file"), entry("swap-file/in", b"x"),
        entry("swap-folder", b"a file now"),
        entry("plain/owned", b"changed"),
        entry("setgid/later", b"x", gid=0),
        entry("sticky/unlisted/parent/f", b"x"),
        entry("plain/.wh.nothing-there"),
    )  # fmt: skip


def _facts(top: Path, unlisted: frozenset[bytes]) -> dict[bytes, Any]:
    """Everything about every path of a layer's directory; the directory itself is the engine's.

    `unlisted`: directories that the layer does not list though the one below has them. dockerd makes them 0755 root:root, so that /tmp of
    an image may lose its mode by a layer that only adds a file to it; Scow, as containerd and podman, keeps what they are below.
    """
    found: dict[bytes, Any] = {}
    inodes: dict[int, bytes] = {}
    root = os.fsencode(top)
    for base, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = os.path.join(base, name)
            info = os.lstat(path)
            kind = stat.S_IFMT(info.st_mode)
            rel = path[len(root) + 1 :]
            content: Any = None
            if kind == stat.S_IFREG:
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            xattrs = {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)}
            same = inodes.setdefault(info.st_ino, rel) if kind != stat.S_IFDIR else b""
            time = info.st_mtime_ns if rel in LISTED or kind != stat.S_IFDIR else 0
            device = info.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
            if (kind, device) == (stat.S_IFCHR, 0):
                time = 0  # a whiteout is made by the engine
            if rel in unlisted:
                continue
            found[rel] = (oct(info.st_mode), info.st_uid, info.st_gid, time, content, device, same, xattrs)
    return found


LISTED = {b"plain", b"sticky", b"setgid", b"noted", b"hidden", b"gone", b"swap-folder", b"swap-file"}


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cli, Cli]]:
    """The docker CLI on dockerd and on scowd."""
    with side_by_side() as clis:
        yield clis


@pytest.mark.parametrize("compressed", [False, True])
def test_unpacked_layers_are_the_same_to_the_byte(pair: tuple[Cli, Cli], compressed: bool) -> None:
    layers = [_base(), _top()]
    files = docker_archive((config(*layers), [gzip.compress(one, mtime=0) if compressed else one for one in layers], ["trees:1"]))
    archive = packed(files)
    trees = []
    for cli in pair:
        cli("load", "-q", stdin=archive)
        data = json.loads(cli("image", "inspect", "trees:1").out)[0]["GraphDriver"]["Data"]
        trees.append([Path(data["UpperDir"]), *(Path(one) for one in data["LowerDir"].split(":"))])
    assert len(trees[0]) == len(trees[1]) == 2
    unlisted = [frozenset((b"plain", b"sticky", b"setgid")), frozenset[bytes]()]
    for theirs, ours, apart in zip(*trees, unlisted, strict=True):
        expected, found = _facts(theirs, apart), _facts(ours, apart)
        assert found.keys() == expected.keys()
        assert {path: one for path, one in found.items() if one != expected[path]} == {
            path: one for path, one in expected.items() if one != found[path]
        }
    for cli in pair:
        cli("rmi", "-f", "trees:1")
