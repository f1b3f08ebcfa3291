"""Connections that are slow, impatient, greedy or gone."""

import asyncio
from pathlib import Path

import pytest

from scow.api.call import Call
from scow.http import server as servers
from scow.http.messages import Response
from tests.support.serving import serving, settled, within

HEAD = b"Host: d\r\n\r\n"


class Handlers:
    """Routes that tell what became of them."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go = asyncio.Event()

    def register(self, router) -> None:
        router.add("GET", "/follow", self.follow, follow=True)
        router.add("GET", "/keep", self.keep)
        router.add("POST", "/ignore", self.ignore)
        router.add("GET", "/flood", self.flood, cancel=True)

    async def follow(self, call: Call) -> None:
        writer = await call.stream()
        await writer.write(b"first")
        try:
            await asyncio.Event().wait()
        finally:
            self.told.append("follow ended")

    async def keep(self, call: Call) -> Response:
        self.told.append("keep began")
        await self.go.wait()
        self.told.append("keep ended")
        return Response(204)

    async def ignore(self, call: Call) -> Response:
        return Response(200, b"not read")

    async def flood(self, call: Call) -> None:
        writer = await call.stream()
        try:
            while True:
                await writer.write(b"x" * 65536)
                self.told.append("piece")
        finally:
            self.told.append("flood ended")


def run(tmp_path: Path, body) -> None:
    async def main() -> None:
        handlers = Handlers()
        async with serving(handlers.register, tmp_path / "s") as (server, _):
            await body(handlers, server, str(tmp_path / "s"))

    asyncio.run(main())


@pytest.mark.parametrize("half", [True, False])
def test_a_stream_ends_with_its_client(tmp_path, half):
    async def body(handlers: Handlers, server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /follow HTTP/1.1\r\n" + HEAD)
        await within(reader.readuntil(b"first"))
        writer.write_eof() if half else writer.close()
        await settled(lambda: handlers.told == ["follow ended"])
        writer.close()
        await settled(lambda: not server._connections)

    run(tmp_path, body)


def test_work_goes_on_without_its_client(tmp_path):
    async def body(handlers: Handlers, server, path: str) -> None:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /keep HTTP/1.1\r\n" + HEAD)
        await settled(lambda: handlers.told == ["keep began"])
        writer.close()
        await settled(lambda: next(iter(server._connections))._eof)
        handlers.go.set()
        await settled(lambda: handlers.told[-1] == "keep ended")
        await settled(lambda: not server._connections)

    run(tmp_path, body)


class Wire:
    """A transport that only remembers whether it was ended."""

    ended = False

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = pause_reading = close


def test_a_stream_whose_client_ends_in_the_same_turn_of_the_loop(tmp_path):
    """uvloop tells of bytes and of the hang-up behind them without letting a task run in between."""

    async def body(handlers: Handlers, server, path: str) -> None:
        connection, wire = server.connection(), Wire()
        connection.connection_made(wire)
        connection.data_received(b"GET /follow HTTP/1.1\r\n" + HEAD)
        assert connection.eof_received()
        await settled(lambda: wire.ended)
        assert handlers.told in ([], ["follow ended"])
        connection.connection_lost(None)

    run(tmp_path, body)


@pytest.mark.parametrize("more", [b"", b"x" * 100_000])
def test_a_client_that_ends_its_side_or_sends_too_much_and_then_leaves(tmp_path, monkeypatch, more):
    monkeypatch.setattr(servers, "_SWEEP_SECONDS", 0.001)

    async def body(handlers: Handlers, server, path: str) -> None:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /keep HTTP/1.1\r\n" + HEAD)
        await settled(lambda: handlers.told == ["keep began"])
        (connection,) = server._connections
        if more:
            writer.write(more)
            await settled(lambda: not connection._reading)
        else:
            writer.write_eof()
            await settled(lambda: connection._eof)
        writer.transport.abort()
        await settled(lambda: not server._connections)
        handlers.go.set()
        await settled(lambda: handlers.told[-1] == "keep ended")

    run(tmp_path, body)


def test_a_reader_that_takes_nothing_stops_the_writer_until_it_leaves(tmp_path):
    async def body(handlers: Handlers, server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=1024)
        writer.write(b"GET /flood HTTP/1.1\r\n" + HEAD)
        count = -1
        while count != len(handlers.told):
            count = len(handlers.told)
            for _ in range(50):
                await asyncio.sleep(0)
        assert count * 65536 < 8 << 20
        writer.transport.abort()
        await settled(lambda: handlers.told[-1] == "flood ended")
        await settled(lambda: not server._connections)
        del reader

    run(tmp_path, body)


def test_a_body_that_nobody_reads_ends_the_connection_behind_the_reply(tmp_path):
    async def body(handlers: Handlers, server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"POST /ignore HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nabc")
        got = await within(reader.read())
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in got
        assert got.endswith(b"not read")
        writer.close()

    run(tmp_path, body)


def test_pipelined_requests_are_answered_in_order_and_not_hoarded(tmp_path):
    async def body(handlers: Handlers, server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /keep HTTP/1.1\r\n" + HEAD)
        await settled(lambda: handlers.told == ["keep began"])
        one = b"GET /_ping HTTP/1.1\r\n" + HEAD
        many = 200_000 // len(one)
        writer.write(one * many)
        (connection,) = server._connections
        await settled(lambda: not connection._reading)
        assert len(connection._buffer) < 600_000
        handlers.go.set()
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < many:
            piece = await within(reader.read(65536))
            assert piece
            got += piece
        assert got.startswith(b"HTTP/1.1 204 No Content")
        writer.close()

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (300 << 10), b"431"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % at for at in range(300)) + b"\r\n", b"4"),
        (b"GET / HTTP/1.1\nHost: d\n\n", b"400"),
    ],
)
def test_heads_beyond_bounds(tmp_path, data, status):
    async def body(handlers: Handlers, server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(data)
        assert (await within(reader.read())).startswith(b"HTTP/1.1 " + status)
        writer.close()
        await settled(lambda: not server._connections)

    run(tmp_path, body)


def test_half_a_head_is_not_waited_for_for_ever_but_silence_is(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "_SWEEP_SECONDS", 0.001)

    async def body(handlers: Handlers, server, path: str) -> None:
        server._limits = servers.Limits(head_seconds=1e-6)
        _, idle = await asyncio.open_unix_connection(path)
        slow, sent = await asyncio.open_unix_connection(path)
        await settled(lambda: len(server._connections) == 2)
        sent.write(b"GET /_pi")
        assert await within(slow.read()) == b""
        assert len(server._connections) == 1
        idle.close()
        sent.close()

    run(tmp_path, body)


def test_stopping_lets_a_request_end_and_closes_the_idle(tmp_path):
    async def body(handlers: Handlers, server, path: str) -> None:
        idle, one = await asyncio.open_unix_connection(path)
        busy, two = await asyncio.open_unix_connection(path)
        two.write(b"GET /keep HTTP/1.1\r\n" + HEAD)
        await settled(lambda: handlers.told == ["keep began"])
        closing = asyncio.get_running_loop().create_task(server.close(20.0))
        assert await within(idle.read()) == b""
        handlers.go.set()
        assert (await within(busy.read())).startswith(b"HTTP/1.1 204")
        await within(closing)
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await asyncio.open_unix_connection(path)
        one.close()
        two.close()

    run(tmp_path, body)
