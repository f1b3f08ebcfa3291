"""TLS below a connection: handshakes of all kinds, large replies, half-close, hijacked streams."""

import asyncio
import socket
import ssl

import pytest

from scow.api import streams
from scow.api.call import Call
from scow.http.messages import Response
from tests.support.serving import serving, settled, within
from tests.support.tls import authority

LARGE = b"0123456789abcdef" * (1 << 16)


async def large(call: Call) -> Response:
    return Response(200, LARGE)


async def hijack(call: Call) -> None:
    await call.request.body.whole(100)
    sock, early = await streams.hijack(call, streams.RAW)
    loop = asyncio.get_running_loop()
    with sock:
        data = early
        while piece := await loop.sock_recv(sock, 65536):
            data += piece
        await loop.sock_sendall(sock, b"<" + data + b">")


def routes(router) -> None:
    router.add("GET", "/large", large)
    router.add("POST", "/hijack", hijack)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tls"))


def server_context(files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "cert.pem", files / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files / "ca.pem")
    return context


def client_context(files, name: str = "client") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))
    if name:
        context.load_cert_chain(files / f"{name}.pem", files / f"{name}-key.pem")
    return context


def run(files, body) -> None:
    async def main() -> None:
        async with serving(routes, tls=server_context(files)) as (server, sock):
            await body(server, sock.getsockname()[1])

    asyncio.run(main())


def test_requests_and_large_replies(files):
    async def body(server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(files))
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /large HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        got = await within(reader.read())
        assert got.count(b"HTTP/1.1 200 OK") == 2
        assert got.endswith(LARGE)
        writer.close()
        await settled(lambda: not server._connections)

    run(files, body)


@pytest.mark.parametrize("name", ["", "other"])
def test_strangers_get_nothing(files, name):
    async def body(server, port: int) -> None:
        got = b""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(files, name))
            writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            got = await within(reader.read())
            if not got:
                raise ConnectionError("ended")
        assert got == b""
        assert not server._connections

    run(files, body)


def test_plain_bytes_end_the_connection(files):
    async def body(server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        assert not (await within(reader.read())).startswith(b"HTTP")
        writer.close()

    run(files, body)


def test_a_hijacked_stream_with_half_close(files):
    """The client ends its side with a close-notify; the answer comes behind it. On memory buffers: Python's own sockets can't."""
    context = client_context(files)
    payload = b"input " * 20_000

    def talk(port: int) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(65536))
            head = b"POST /hijack HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}"
            tls.write(head + payload)
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()
            raw.sendall(outgoing.read())
            got = b""
            while data := raw.recv(65536):
                incoming.write(data)
                try:
                    while piece := tls.read(65536):
                        got += piece
                except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                    pass
            return got

    async def body(server, port: int) -> None:
        got = await within(asyncio.get_running_loop().run_in_executor(None, talk, port))
        assert got.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert got.endswith(b"\r\n\r\n<" + payload + b">")

    run(files, body)
