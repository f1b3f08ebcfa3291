import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from scow.build.session import filesync, rpc
from tests.unit.build.session.fakeclient import Packet, Sender, Stat, channel, file, folder, link

PATH = "/moby.filesync.v1.FileSync/DiffCopy"


def receive(root: Path, handler: Any, previous: filesync.Tree | None = None) -> tuple[filesync.Tree, bool]:
    async def run() -> tuple[filesync.Tree, bool]:
        async def where() -> Path:
            return root

        async with channel({PATH: handler}) as made:
            call = made.begin(PATH)
            try:
                async with asyncio.timeout(60):
                    return await filesync.receive(call, previous, where, lambda size, done: None)
            finally:
                call.reset()

    return asyncio.run(run())


def test_a_tree_arrives_with_everything_about_it(tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    sender = Sender(
        [
            folder("d", 0o700),
            file("d/big", big, 0o755 | 1 << 23, 1_500_000_000_000_000_123),
            link("d/l", "/etc/passwd"),
            file("e", b""),
            file("f", b"x"),
        ]
    )
    tree, changed = receive(tmp_path, sender)
    assert changed and (tmp_path / "d/big").read_bytes() == big and (tmp_path / "e").read_bytes() == b""
    facts = (tmp_path / "d/big").lstat()
    assert facts.st_mode & 0o7777 == 0o4755 and facts.st_mtime_ns == 1_500_000_000_000_000_123
    assert os.readlink(tmp_path / "d/l") == "/etc/passwd" and (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert filesync.Tree.load(tree.dump()) == tree


def test_only_what_changed_is_asked_for(tmp_path: Path) -> None:
    first = [folder("d"), file("d/a", b"a"), file("d/b", b"b"), folder("gone"), file("gone/x", b"x"), file("turns", b"1"), link("y", "a")]
    tree, _ = receive(tmp_path, Sender(first))
    again = Sender(first)
    _, changed = receive(tmp_path, again, filesync.Tree.load(tree.dump()))
    assert not changed and again.asked == []
    later = Sender(
        [folder("d"), file("d/a", b"a"), file("d/b", b"B", mtime=2_000), folder("turns"), file("turns/in", b"2"), link("y", "b")]
    )
    tree, changed = receive(tmp_path, later, tree)
    assert changed and later.asked == ["d/b", "turns/in"]
    assert (tmp_path / "d/b").read_bytes() == b"B" and not (tmp_path / "gone").exists() and (tmp_path / "turns/in").read_bytes() == b"2"
    assert os.readlink(tmp_path / "y") == "b" and (tmp_path / "d/a").read_bytes() == b"a"


def test_files_are_replaced_and_never_changed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    tree, _ = receive(root, Sender([file("a", b"a"), file("b", b"b")]))
    for name in ("a", "b"):
        os.link(root / name, tmp_path / name)
    _, changed = receive(root, Sender([file("a", b"a", 0o755), file("b", b"B", mtime=2_000)]), tree)
    assert changed and (root / "a").stat().st_mode & 0o777 == 0o755 and (root / "b").read_bytes() == b"B"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644 and (tmp_path / "b").read_bytes() == b"b"


def test_hard_links_stay_hard_links(tmp_path: Path) -> None:
    receive(tmp_path, Sender([file("a", b"a"), file("b", linkname="a")]))
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino


@pytest.mark.parametrize(
    "files",
    [
        [file("../x")],
        [file("/x")],
        [file("a/../../x")],
        [file("a\0b")],
        [file("")],
        [file(".")],
        [link("l", "/"), file("l/x")],
        [file("f"), file("f/x")],
        [file("nodir/x")],
        [file("a"), file("a")],
        [link("l", "/etc/shadow"), file("h", linkname="l")],
        [file("h", linkname="/etc/shadow")],
        [(Stat(path="dev", mode=0o600 | 1 << 26), b"")],
        [(Stat(path="x", size=-1), b"")],
        [file("a//b")],
    ],
)
def test_hostile_names_and_links_are_refused(tmp_path: Path, files: list[tuple[Any, bytes]]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(filesync.BrokenStream):
        receive(root, Sender(files))
    assert [one.name for one in tmp_path.iterdir()] == ["root"]


def test_data_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    async def hostile(call: rpc.Call) -> None:
        await call.send_many([Packet(stat=file("a", b"a")[0]).SerializeToString(), b""])
        await call.read()
        await call.send(Packet(type=2, ID=7, data=b"x"))
        await call.read()

    with pytest.raises(filesync.BrokenStream, match="nobody asked"):
        receive(tmp_path, hostile)


def test_an_error_of_the_client_is_told(tmp_path: Path) -> None:
    async def failing(call: rpc.Call) -> None:
        await call.send(Packet(type=4, data=b"permission denied: secret.key"))
        await call.read()

    with pytest.raises(filesync.ClientFailed, match="permission denied"):
        receive(tmp_path, failing)


def test_a_client_that_leaves_half_way_is_an_error(tmp_path: Path) -> None:
    async def leaving(call: rpc.Call) -> None:
        await call.send(Packet(stat=file("a", b"a")[0]))

    with pytest.raises(filesync.BrokenStream, match="before the end"):
        receive(tmp_path, leaving)


def test_a_damaged_record_is_noticed() -> None:
    with pytest.raises(ValueError, match="damaged"):
        filesync.Tree.load(b"\0\0\0\5\0\0")
