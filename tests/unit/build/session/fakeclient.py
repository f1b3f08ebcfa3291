"""A client's side of a session for tests: a gRPC server on one end of a socketpair, and a sender of files as fsutil has it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from scow.build.session import messages, rpc

Stat, Packet = messages.FSUTIL.Stat, messages.FSUTIL.Packet
DIR, SYMLINK = 1 << 31, 1 << 27


def status(error: BaseException) -> rpc.RpcError:
    return rpc.RpcError(rpc.UNKNOWN, str(error))


class Raw:
    """Serves one method (both ways a stream) by a function."""

    def __init__(self, handlers: dict[str, Any]) -> None:
        self.server = rpc.Server({}, status)
        for path, handler in handlers.items():
            self.server._methods[path] = (handler, None, True, True)


@asynccontextmanager
async def channel(handlers: dict[str, Any]) -> AsyncIterator[rpc.Channel]:
    """A channel to a server with `handlers` (path → async function of a call)."""
    ours, theirs = socket.socketpair()
    server = Raw(handlers).server
    task = asyncio.get_running_loop().create_task(server.run(theirs, b""))
    made = rpc.Channel.on(ours)
    await made.open()
    try:
        yield made
    finally:
        made.close()
        await task
        await server.close()


class Sender:
    """Sends `files`: (Stat, content) in order. What was asked for is in `asked`."""

    def __init__(self, files: list[tuple[Any, bytes]]) -> None:
        self.files = files
        self.asked: list[str] = []

    async def __call__(self, call: rpc.Call) -> None:
        await call.send_many([Packet(stat=stat).SerializeToString() for stat, _ in self.files] + [b""])
        while (data := await call.read()) is not None:
            packet = Packet.FromString(data)
            if packet.type == 1:
                stat, content = self.files[packet.ID]
                self.asked.append(stat.path)
                for at in range(0, len(content), 32 << 10):
                    await call.send(Packet(type=2, ID=packet.ID, data=content[at : at + (32 << 10)]))
                await call.send(Packet(type=2, ID=packet.ID))
            elif packet.type == 3:
                await call.send(Packet(type=3))
                return


def file(path: str, content: bytes = b"", mode: int = 0o644, mtime: int = 1_000, **more: Any) -> tuple[Any, bytes]:
    return Stat(path=path, mode=mode, size=len(content), modTime=mtime, **more), content


def folder(path: str, mode: int = 0o755) -> tuple[Any, bytes]:
    return Stat(path=path, mode=mode | DIR, modTime=5), b""


def link(path: str, to: str) -> tuple[Any, bytes]:
    return Stat(path=path, mode=0o777 | SYMLINK, linkname=to, modTime=6), b""
