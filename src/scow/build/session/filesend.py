"""Sending results to a client: one file (`type=tar`, `oci`, `docker`), or a tree (`type=local`): FileSend.DiffCopy, the daemon's half.

`Outputs` numbers: the client tells its outputs apart by their position in its request. Stores nothing. Called by the exporters.
"""

import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from scow import aio
from scow.build.session import filesync, rpc
from scow.build.session.bridge import go_mode
from scow.build.session.http2 import ConnectionLost
from scow.build.session.messages import FILES, FSUTIL
from scow.errors import InvalidArgument, NotFound

PATH = "/moby.filesync.v1.FileSend/DiffCopy"
_NUMBER = "buildkit-attachable-exporter-id"
_CHUNK = 1 << 20
_READ = 256 << 10
_STAT, _REQ, _DATA, _FIN, _ERR = range(5)
_TOGETHER = 500

Begin = Callable[[str, dict[str, str | list[str]] | None], rpc.Call]


def _begin(begin: Begin, number: int, metadata: Mapping[str, str]) -> rpc.Call:
    try:
        return begin(PATH, {_NUMBER: str(number), **{f"exporter-md-{key}": value for key, value in metadata.items()}})
    except NotFound:
        raise InvalidArgument("the client takes no files: it offers no output") from None


async def send_file(begin: Begin, number: int, chunks: AsyncIterator[bytes], metadata: Mapping[str, str]) -> None:
    """Stream a file to output `number` of the client. `begin` starts a call of the client's session. Raises RpcError."""
    call = _begin(begin, number, metadata)
    try:
        try:
            async for chunk in chunks:
                for at in range(0, len(chunk), _CHUNK):
                    await call.send(FILES.BytesMessage(data=chunk[at : at + _CHUNK]))
            await call.finish()
        except ConnectionLost:
            if not call.trailers:
                raise
        while await call.read() is not None:
            pass
        call.check()
    finally:
        call.reset()


async def send_tree(
    begin: Begin, number: int, root: Path, metadata: Mapping[str, str], progress: Callable[[int], None], folder: str = ""
) -> None:
    """Send all files below `root` to output `number` of the client, into `folder` there; `progress(bytes so far)`. Raises RpcError."""
    stats, paths = await aio.in_pool(_walk, str(root), folder)
    call = _begin(begin, number, metadata)
    try:
        for at in range(0, len(stats), _TOGETHER):
            await call.send_many(stats[at : at + _TOGETHER])
        await call.send(b"")  # a stat of nothing: that was all
        await _serve(call, str(root), paths, progress)
        await call.finish()
        while await call.read() is not None:
            pass
        call.check()
    finally:
        call.reset()


async def _serve(call: rpc.Call, root: str, paths: Mapping[int, str], progress: Callable[[int], None]) -> None:
    """Answer requests for files until the client has all it wants."""
    total = 0
    while (message := await call.read()) is not None:
        packet = FSUTIL.Packet.FromString(message)
        if packet.type == _REQ:
            if packet.ID not in paths:
                raise filesync.BrokenStream("the client asks for a file that it was not offered")
            fd = await aio.in_pool(os.open, f"{root}/{paths[packet.ID]}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                while data := await aio.in_pool(os.read, fd, _READ):
                    await call.send(FSUTIL.Packet(type=_DATA, ID=packet.ID, data=data))
                    total += len(data)
                    progress(total)
            finally:
                os.close(fd)
            await call.send(FSUTIL.Packet(type=_DATA, ID=packet.ID))
        elif packet.type == _FIN:
            await call.send(FSUTIL.Packet(type=_FIN))
            return
        elif packet.type == _ERR:
            raise filesync.ClientFailed(f"error from receiver: {packet.data.decode(errors='replace')[:1000]}")
    call.check()
    raise filesync.BrokenStream("the client ended the transfer of its output before the end")


def _walk(root: str, inside: str) -> tuple[list[bytes], dict[int, str]]:
    """The encoded stats of everything below a directory in the protocol's order, and the paths of regular files by number."""
    stats: list[bytes] = []
    paths: dict[int, str] = {}

    def walk(folder: str, base: str) -> None:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: os.fsencode(one.name))
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            path = f"{base}{entry.name}"
            if stat.S_ISSOCK(facts.st_mode):
                continue
            if stat.S_ISREG(facts.st_mode):
                paths[len(stats)] = os.path.relpath(entry.path, root)
            stats.append(FSUTIL.Packet(stat=_stat(path, entry.path, facts)).SerializeToString())
            if len(stats) > filesync.MAX_ENTRIES:
                raise InvalidArgument(f"the output has more than {filesync.MAX_ENTRIES} files")
            if stat.S_ISDIR(facts.st_mode):
                walk(entry.path, path + "/")

    if inside:
        stats.append(FSUTIL.Packet(stat=_stat(inside, root, os.stat(root))).SerializeToString())
    walk(root, inside + "/" if inside else "")
    return stats, paths


def _stat(path: str, where: str, facts: os.stat_result) -> Any:
    made = FSUTIL.Stat(path=path, mode=go_mode(facts.st_mode), uid=facts.st_uid, gid=facts.st_gid, modTime=facts.st_mtime_ns)
    if stat.S_ISREG(facts.st_mode):
        made.size = facts.st_size
    elif stat.S_ISLNK(facts.st_mode):
        made.linkname = os.readlink(where)
    elif stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
        made.devmajor, made.devminor = os.major(facts.st_rdev), os.minor(facts.st_rdev)
    return made
