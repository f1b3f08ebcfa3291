import asyncio
import struct
from typing import Any

import pytest

from scow.network.dns import forward, message
from tests.support.asynchronous import on_loop

DATA = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + message.encode_name("www.example") + struct.pack(">HH", message.A, 1)


class Upstream(asyncio.DatagramProtocol):
    """Answers each query twice: a forged answer first, then the right one."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        right = message.reply(message.parse(data), [message.address("203.0.113.5")])
        self.transport.sendto(message.with_ident(right, (right[0] << 8 | right[1]) ^ 1), addr)
        self.transport.sendto(right, addr)


@on_loop
async def test_a_forged_answer_is_ignored_and_the_asker_gets_its_own_id_back(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Upstream, local_addr=("127.0.83.53", 0))
    monkeypatch.setattr(forward, "_PORT", transport.get_extra_info("sockname")[1])
    answer = await forward.ask(message.parse(DATA), DATA, ["127.0.83.53"], "", False, False)
    assert answer[:2] == DATA[:2] and answer.endswith(bytes([203, 0, 113, 5]))
    transport.close()


@on_loop
async def test_nobody_there_is_an_empty_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_PORT", 9)
    assert await forward.ask(message.parse(DATA), DATA, ["127.0.83.54"], "", False, False) == b""
