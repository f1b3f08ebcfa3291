import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scow.build.ops import ocilayout
from scow.build.session import rpc
from scow.build.session.contentstore import ClientStore
from scow.build.session.messages import CONTENT
from scow.errors import DataLoss, InvalidArgument, NotFound
from tests.unit.build.session.fakeclient import channel

PATH = "/containerd.services.content.v1.Content/"
BIG = os.urandom(2_500_000)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def run(coro: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coro

    return asyncio.run(bounded())


class Store:
    """A client's store, as containerd's service behaves."""

    def __init__(self, *blobs: bytes) -> None:
        self.blobs = {digest(blob): blob for blob in blobs}

    def handlers(self) -> dict[str, Any]:
        return {PATH + "Info": self.info, PATH + "Read": self.read, PATH + "Write": self.write}

    def get(self, call: rpc.Call, name: str) -> bytes:
        assert call.value("buildkit-attachable-store-id") == "local:/x"
        if name not in self.blobs:
            raise rpc.RpcError(rpc.NOT_FOUND, f"{name}: not found")
        return self.blobs[name]

    async def info(self, call: rpc.Call) -> None:
        name = CONTENT.InfoRequest.FromString(await call.read()).digest
        await call.send(CONTENT.InfoResponse(info=CONTENT.Info(digest=name, size=len(self.get(call, name)))))

    async def read(self, call: rpc.Call) -> None:
        data = self.get(call, CONTENT.ReadContentRequest.FromString(await call.read()).digest)
        for at in range(0, len(data), 1 << 20):
            await call.send(CONTENT.ReadContentResponse(offset=at, data=data[at : at + (1 << 20)]))

    async def write(self, call: rpc.Call) -> None:
        data = b""
        while (message := await call.read()) is not None:
            asked = CONTENT.WriteContentRequest.FromString(message)
            data += asked.data
            if asked.action == 2:
                if digest(data) != asked.expected:
                    raise rpc.RpcError(rpc.PRECONDITION, "unexpected commit digest")
                self.blobs[asked.expected] = data
            await call.send(CONTENT.WriteContentResponse(action=asked.action, offset=len(data)))


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:100]
    yield data[100:]


def test_blobs_go_both_ways() -> None:
    async def main() -> None:
        there = Store(b"old")
        async with channel(there.handlers()) as made:
            store = ClientStore(made.begin, "local:/x")
            assert await store.size(digest(b"old")) == 3 and await store.size(digest(BIG)) is None
            await store.write(digest(BIG), len(BIG), pieces(BIG))
            assert b"".join([piece async for piece in store.read(digest(BIG))]) == BIG
            with pytest.raises(NotFound):
                _ = [piece async for piece in store.read(digest(b"nope"))]
            with pytest.raises(rpc.RpcError, match="digest"):
                await store.write(digest(b"lie"), 5, pieces(b"other"))
            await store.write(digest(b"old"), 3, pieces(b"is not read"))

    run(main())


@pytest.mark.parametrize("name", ["store", "@sha256:" + "0" * 64, "store:tag", "store@md5:1"])
def test_an_oci_layout_needs_a_store_and_a_digest(name: str) -> None:
    with pytest.raises(InvalidArgument):
        ocilayout.split(name)


def test_a_layout_that_lies_is_noticed(tmp_path: Path) -> None:
    class Kit:
        def client(self) -> "Kit":
            return self

        async def blob(self, session: str, store: str, name: str, limit: int) -> AsyncIterator[bytes]:
            yield b"{}"

    with pytest.raises(DataLoss, match="another content"):
        run(ocilayout.look(Kit(), "s", "store@" + digest(b"wanted"), None))  # type: ignore[arg-type]
