"""The server on a real unix socket with the real application."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from scow.aio import Supervisor
from scow.api import streams
from scow.api.app import App
from scow.api.call import Call
from scow.http.messages import Response
from scow.http.server import Server

TIMEOUT = 20.0


async def echo(call: Call) -> Response:
    return Response(200, await call.request.body.whole(1 << 20))


async def stream(call: Call) -> None:
    writer = await call.stream()
    await writer.write(b"one")
    await writer.write(b"two")
    await writer.end()


async def hijack(call: Call) -> None:
    await call.request.body.whole(100)
    sock, early = await streams.hijack(call, streams.RAW)
    loop = asyncio.get_running_loop()
    with sock:
        data = early
        while piece := await loop.sock_recv(sock, 1000):
            data += piece
        await loop.sock_sendall(sock, b"<" + data + b">")


async def fail(call: Call) -> Response:
    raise RuntimeError("surprise")


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[App]:
    tasks = Supervisor("test")
    app = App(tasks)
    app.router.add("POST", "/echo", echo)
    app.router.add("GET", "/stream", stream)
    app.router.add("POST", "/hijack", hijack)
    app.router.add("GET", "/fail", fail)
    app.opened()
    server = Server(app, tasks)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    await server.listen(sock)
    try:
        yield app
    finally:
        await server.close(0.0)
        await tasks.close()


async def talk(path: Path, data: bytes, half_close: bool = False) -> bytes:
    """Send and read to the end."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    if half_close:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), TIMEOUT)
    finally:
        writer.close()


def run(path: Path, body: Callable[[Path], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(path / "s"):
            await body(path / "s")

    asyncio.run(main())


CLOSE = b"Host: d\r\nConnection: close\r\n"
KEEP = b"Host: d\r\n"


def test_ping_and_pipelining(tmp_path):
    async def body(path: Path) -> None:
        got = await talk(path, b"GET /_ping HTTP/1.1\r\n" + KEEP + b"\r\n" + b"HEAD /_ping HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert got.count(b"HTTP/1.1 200 OK") == 2
        assert b"Api-Version: 1.51\r\n" in got
        assert got.endswith(b"\r\n\r\n")

    run(tmp_path, body)


def test_bodies_by_length_and_by_chunks_then_the_next_request(tmp_path):
    async def body(path: Path) -> None:
        got = await talk(
            path,
            b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc"
            b"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
            b"GET /_ping HTTP/1.1\r\n" + CLOSE + b"\r\n",
        )
        assert got.count(b"HTTP/1.1 200 OK") == 3
        assert b"abc" in got
        assert b"xyz" in got
        assert got.endswith(b"OK")

    run(tmp_path, body)


def test_expect_continue(tmp_path):
    async def body(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"POST /echo HTTP/1.1\r\n" + CLOSE + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await asyncio.wait_for(reader.read(), TIMEOUT)).endswith(b"ok")
        writer.close()

    run(tmp_path, body)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /_ping HTTP/1.1\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\n" + CLOSE + b"\r\n",
        b"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_broken_requests_get_one_400_and_the_end(tmp_path, data):
    async def body(path: Path) -> None:
        got = await talk(path, data, half_close=True)
        assert got.startswith(b"HTTP/1.1 400")
        assert got.count(b"HTTP/1.1") == 1
        assert b'{"message":' in got

    run(tmp_path, body)


def test_body_that_ends_early_is_400(tmp_path):
    async def body(path: Path) -> None:
        got = await talk(path, b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc", half_close=True)
        assert got.startswith(b"HTTP/1.1 400")

    run(tmp_path, body)


def test_stream_is_chunked_on_1_1_and_plain_on_1_0(tmp_path):
    async def body(path: Path) -> None:
        got = await talk(path, b"GET /stream HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert got.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        got = await talk(path, b"GET /stream HTTP/1.0\r\n\r\n")
        assert got.endswith(b"\r\n\r\nonetwo")

    run(tmp_path, body)


def test_hijack_with_early_bytes_and_half_close(tmp_path):
    async def body(path: Path) -> None:
        head = b"POST /hijack HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n"
        got = await talk(path, head + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}early", half_close=True)
        assert got.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert got.endswith(b"\r\n\r\n<early>")
        got = await talk(path, head + b"\r\n{}early", half_close=True)
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got.endswith(b"\r\n\r\n<early>")

    run(tmp_path, body)


def test_errors_are_json(tmp_path, caplog):
    async def body(path: Path) -> None:
        assert (await talk(path, b"GET /nonsense HTTP/1.1\r\n" + CLOSE + b"\r\n")).endswith(b'{"message":"page not found"}\n')
        assert b"too new. Maximum supported API version is 1.51" in await talk(path, b"GET /v1.99/stream HTTP/1.1\r\n" + CLOSE + b"\r\n")
        got = await talk(path, b"GET /fail HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert b"Traceback" not in got
        assert b"surprise" in got

    run(tmp_path, body)
