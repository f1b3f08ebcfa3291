"""What `scow build` serves: files by DiffCopy, secrets, and results that it takes; nothing outside of what was named."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scow.build.session import filesync, messages, rpc
from scow.cli.commands.builder import outputs
from scow.cli.commands.builder.outputs import Output
from scow.cli.commands.builder.services import Given, Services, chosen, followed
from scow.errors import ScowError

Packet, Stat = messages.FSUTIL.Packet, messages.FSUTIL.Stat


def talk(given: Given, work: Callable[[rpc.Channel], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` as the engine would, on a channel to the services of `given`."""

    async def main() -> Any:
        ours, theirs = socket.socketpair()
        server = rpc.Server({}, lambda error: rpc.RpcError(rpc.UNKNOWN, str(error)), Services(None, given).methods())  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run(theirs, b""))
            channel = rpc.Channel.on(ours)
            await channel.open()
            try:
                async with asyncio.timeout(60):
                    return await work(channel)
            finally:
                channel.close()
                await serving
                await server.close()

    try:
        return asyncio.run(main())
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def test_a_context_arrives_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    (source / "d" / "f").write_bytes(os.urandom(600_000))
    (source / "l").symlink_to("d/f")
    (source / "skip").write_bytes(b"")

    async def work(channel: rpc.Channel) -> None:
        call = channel.begin("/moby.filesync.v1.FileSync/DiffCopy", {"dir-name": "context", "exclude-patterns": ["skip"]})

        async def root() -> Path:
            target.mkdir()
            return target

        await filesync.receive(call, None, root, lambda size, done: None)
        call.reset()

    talk(Given(folders={"context": str(source)}), work)
    assert (target / "d" / "f").read_bytes() == (source / "d" / "f").read_bytes()
    assert os.readlink(target / "l") == "d/f" and not (target / "skip").exists()


def test_other_folders_and_secrets_are_not_given(tmp_path: Path) -> None:
    async def work(channel: rpc.Channel) -> list[str]:
        said = []
        call = channel.begin("/moby.filesync.v1.FileSync/DiffCopy", {"dir-name": "/etc"})
        await call.finish()
        assert await call.read() is None
        with pytest.raises(rpc.RpcError) as caught:
            call.check()
        said.append(caught.value.message)
        path, request, reply = (
            "/moby.buildkit.secrets.v1.Secrets/GetSecret",
            messages.SECRETS.GetSecretRequest,
            messages.SECRETS.GetSecretResponse,
        )
        assert (await channel.unary(path, request(ID="known"), reply, 30)).data == b"value"
        with pytest.raises(rpc.RpcError) as caught:
            await channel.unary(path, request(ID="other"), reply, 30)
        return [*said, caught.value.message]

    given = Given(folders={"context": str(tmp_path)}, secrets={"known": lambda: b"value"})
    assert talk(given, work) == ["no access allowed to dir '/etc'", "secret other not found"]


def test_wanted_paths_and_where_links_lead(tmp_path: Path) -> None:
    for name in ("a/real", "a/other", "b/x", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "l").symlink_to("a")
    (tmp_path / "up").symlink_to("../../../b/x")
    assert [one.name for one in chosen(str(tmp_path), {"followpaths": ["l/real", "missing"]})] == ["a", "a/real", "l"]
    assert [one.name for one in chosen(str(tmp_path), {"followpaths": ["up"]})] == ["b", "b/x", "up"]
    assert [one.name for one in chosen(str(tmp_path), {"include-patterns": ["*"], "exclude-patterns": ["a", "b"]})] == ["c", "l", "up"]
    assert followed(str(tmp_path), ["."]) == [] and followed(str(tmp_path), ["*.md"]) == ["*.md"]


def send_tree(packets: list[tuple[Any, bytes]], dest: Path) -> None:
    """Give a result to `--output type=local`, as the engine does."""

    async def work(channel: rpc.Channel) -> None:
        call = channel.begin("/moby.filesync.v1.FileSend/DiffCopy")
        for stat, _ in packets:
            await call.send(Packet(stat=stat))
        await call.send(b"")
        while (data := await call.read()) is not None:
            packet = Packet.FromString(data)
            if packet.type == 1:
                await call.send(Packet(type=2, ID=packet.ID, data=packets[packet.ID][1]))
                await call.send(Packet(type=2, ID=packet.ID))
            elif packet.type == 3:
                await call.send(Packet(type=3))
                await call.finish()
        call.check()

    talk(Given(outputs={"0": outputs.taker(Output("local", {}, str(dest)))}), work)


def test_a_result_becomes_a_folder(tmp_path: Path) -> None:
    uid = os.geteuid()
    send_tree(
        [
            (Stat(path="d", mode=1 << 31 | 0o750, modTime=9_000_000_000), b""),
            (Stat(path="d/f", mode=0o640, size=3, modTime=5_000_000_000, uid=uid), b"abc"),
            (Stat(path="h", mode=0o640, size=3, linkname="d/f"), b""),
            (Stat(path="l", mode=1 << 27 | 0o777, linkname="d/f"), b""),
        ],
        tmp_path / "out",
    )
    found = (tmp_path / "out" / "d" / "f").stat()
    assert (tmp_path / "out" / "l").read_bytes() == b"abc" and found.st_mode & 0o777 == 0o640 and found.st_mtime == 5
    assert (tmp_path / "out" / "d").stat().st_mtime == 9 and found.st_nlink == 2


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "l/x", ""])
def test_results_do_not_leave_their_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(rpc.RpcError):
        send_tree(
            [(Stat(path="l", mode=1 << 27 | 0o777, linkname=str(tmp_path / "outside")), b""), (Stat(path=path, mode=0o644, size=1), b"x")],
            tmp_path / "out",
        )
    assert not (tmp_path / "x").exists() and not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    ("text", "kind", "dest"),
    [
        ("type=local,dest=o", "local", "o"),
        ("folder", "local", "folder"),
        ("type=image,name=x", "image", None),
        ("type=registry", "image", None),
    ],
)
def test_outputs(text: str, kind: str, dest: str | None) -> None:
    found = outputs.parse(text)
    assert (found.kind, found.dest) == (kind, dest) and ("push" in found.attrs) == (text == "type=registry")


@pytest.mark.parametrize("text", ["type=local", "dest=x", "type=image,oops"])
def test_outputs_that_are_none(text: str) -> None:
    with pytest.raises(ScowError):
        outputs.parse(text)
