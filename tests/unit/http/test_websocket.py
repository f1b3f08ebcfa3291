import pytest

from scow.http.head import BadRequest, parse
from scow.http.websocket import accept_head, frame, next_frame
from tests.support.websocket import client_frame


def test_accept_key_of_the_rfc():
    head = parse(
        b"GET /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in accept_head(head)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_round(size):
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    data = client_frame(2, payload)
    assert next_frame(data + b"more") == (2, payload, len(data))
    assert next_frame(data[:-1]) is None


def test_unmasked_and_huge_frames_are_refused():
    with pytest.raises(BadRequest):
        next_frame(frame(2, b"x"))
    with pytest.raises(BadRequest):
        next_frame(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0" * 4)


def bridged(talk):
    """Run `talk(loop, client's end, program's end)` across a bridge; what it gives, once the bridge has ended by itself."""
    import asyncio

    from scow.http import hijack, websocket

    async def main():
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        server, client = hijack.pair()
        program = websocket.bridge(server, client_frame(1, b"early"), lambda coro, name: tasks.append(loop.create_task(coro)))
        with client, program:
            found = await asyncio.wait_for(talk(loop, client, program), 30)
            await asyncio.wait_for(asyncio.gather(*tasks), 30)
        return found

    return asyncio.run(main())


async def receive(loop, sock, size):
    data = b""
    while len(data) < size and (piece := await loop.sock_recv(sock, size - len(data))):
        data += piece
    return data


def test_bridge_both_ways_until_the_program_ends():
    async def talk(loop, client, program):
        assert await receive(loop, program, 5) == b"early"
        await loop.sock_sendall(client, client_frame(9, b"p") + client_frame(2, b"more"))
        assert await receive(loop, client, 3) == frame(10, b"p")
        assert await receive(loop, program, 4) == b"more"
        await loop.sock_sendall(program, b"out")
        program.close()
        return await receive(loop, client, 100)

    assert bridged(talk) == frame(2, b"out") + frame(8, b"\x03\xe8")


@pytest.mark.parametrize(
    ("last", "answer"),
    [(client_frame(8, b"\x03\xe8"), frame(8, b"\x03\xe8")), (b"\x82\x01x", frame(8, b"\x03\xea")), (b"", b"")],
    ids=["goodbye", "broken", "gone"],
)
def test_bridge_ends_with_its_client(last, answer):
    import socket

    async def talk(loop, client, program):
        if last:
            await loop.sock_sendall(client, last)
        else:
            client.shutdown(socket.SHUT_WR)
        assert await receive(loop, program, 100) == b"early"
        return await receive(loop, client, 100)

    assert bridged(talk) == answer
