import asyncio
import socket

from scow.network.ports.relay import TcpRelay, UdpRelay
from tests.support.asynchronous import on_loop


@on_loop
async def test_bytes_pass_both_ways_with_half_close() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        await writer.drain()
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    relay = TcpRelay(held, "127.0.0.1", far.sockets[0].getsockname()[1])
    await relay.start()
    reader, writer = await asyncio.open_connection(*held.getsockname())
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"got hello"
    writer.close()
    relay.close()
    far.close()
    held.close()


@on_loop
async def test_datagrams_find_their_way_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        far.bind(("127.0.0.1", 0))
        held.bind(("127.0.0.1", 0))
        relay = UdpRelay(held, *far.getsockname())
        await relay.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            far.setblocking(False)
            asker.connect(held.getsockname())
            asker.send(b"ping")
            loop = asyncio.get_running_loop()
            data, peer = await loop.sock_recvfrom(far, 100)
            far.sendto(data + b"!", peer)
            assert await loop.sock_recv(asker, 100) == b"ping!"
        relay.close()
