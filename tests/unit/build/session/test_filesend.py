import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from scow.build.session import filesend, filesync, messages, rpc
from tests.unit.build.session.fakeclient import channel


def test_a_tree_sent_is_the_tree_received(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "d/big").write_bytes(os.urandom(2_000_000))
    (source / "d.x").write_text("between")
    (source / "l").symlink_to("d/big")
    (source / "d/big").chmod(0o4755)

    async def root() -> Path:
        return target

    async def receiver(call: rpc.Call) -> None:
        assert call.value("buildkit-attachable-exporter-id") == "2" and call.value("exporter-md-x") == "y"
        await filesync.receive(call, None, root, lambda size, done: None)

    async def main() -> None:
        async with channel({filesend.PATH: receiver}) as made, asyncio.timeout(60):
            await filesend.send_tree(made.begin, 2, source, {"x": "y"}, lambda size: None)

    asyncio.run(main())
    assert (target / "d/big").read_bytes() == (source / "d/big").read_bytes() and (target / "d/big").stat().st_mode & 0o7777 == 0o4755
    assert os.readlink(target / "l") == "d/big" and (target / "d.x").read_text() == "between"


def test_a_file_is_streamed_and_a_refusal_told() -> None:
    got: list[bytes] = []

    async def taker(call: rpc.Call) -> None:
        if call.value("buildkit-attachable-exporter-id") == "1":
            raise rpc.RpcError(rpc.EXISTS, "target already exists")
        while (message := await call.read()) is not None:
            got.append(messages.FILES.BytesMessage.FromString(message).data)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(1_500_000)

    async def main() -> None:
        async with channel({filesend.PATH: taker}) as made, asyncio.timeout(60):
            await filesend.send_file(made.begin, 0, chunks(), {})
            with pytest.raises(rpc.RpcError, match="exists"):
                await filesend.send_file(made.begin, 1, chunks(), {})

    asyncio.run(main())
    assert sum(map(len, got)) == 7_500_000


def test_a_file_that_was_not_offered_is_not_read(tmp_path: Path) -> None:
    async def hostile(call: rpc.Call) -> None:
        while await call.read() != b"":
            pass
        await call.send(messages.FSUTIL.Packet(type=1, ID=77))
        await call.read()

    async def main() -> Any:
        async with channel({filesend.PATH: hostile}) as made, asyncio.timeout(60):
            await filesend.send_tree(made.begin, 0, tmp_path, {}, lambda size: None)

    with pytest.raises(filesync.BrokenStream, match="not offered"):
        asyncio.run(main())
