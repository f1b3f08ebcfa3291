import asyncio
import contextlib
import os
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from scow.build.session import http2, messages, rpc
from tests.support.asynchronous import until
from tests.unit.build.session.fakeclient import channel, status

HEALTH = "/grpc.health.v1.Health/Check"


def run(coro: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coro

    return asyncio.run(bounded())


class Health:
    async def check(self, request: Any, call: rpc.Call) -> Any:
        if request.service == "bad":
            raise rpc.RpcError(rpc.NOT_FOUND, "kein “Dienst” 100%\n", (("errdefs.Vertex", b"\x0a\x01x"),))
        if request.service == "fault":
            raise ValueError("oops")
        if request.service == "slow":
            await asyncio.sleep(60)
        return messages.HEALTH.HealthCheckResponse(status=1)


async def serve() -> tuple[rpc.Channel, rpc.Server, asyncio.Task[None]]:
    ours, theirs = socket.socketpair()
    server = rpc.Server({"grpc.health.v1.Health": Health()}, status)
    task = asyncio.get_running_loop().create_task(server.run(theirs, b""))
    made = rpc.Channel.on(ours)
    await made.open()
    return made, server, task


async def ask(made: rpc.Channel, name: str, path: str = HEALTH, timeout: float | None = None) -> Any:
    return await made.unary(path, messages.HEALTH.HealthCheckRequest(service=name), messages.HEALTH.HealthCheckResponse, timeout)


def test_calls_answers_and_errors() -> None:
    async def main() -> None:
        made, server, task = await serve()
        assert (await ask(made, "")).status == 1
        with pytest.raises(rpc.RpcError) as bad:
            await ask(made, "bad")
        assert (
            bad.value.code == rpc.NOT_FOUND
            and bad.value.message == "kein “Dienst” 100%\n"
            and bad.value.details == (("errdefs.Vertex", b"\x0a\x01x"),)
        )
        with pytest.raises(rpc.RpcError, match="oops"):
            await ask(made, "fault")
        with pytest.raises(rpc.RpcError) as unknown:
            await ask(made, "", "/grpc.health.v1.Health/Nope")
        assert unknown.value.code == rpc.UNIMPLEMENTED
        with pytest.raises(rpc.RpcError) as late:
            await ask(made, "slow", timeout=0.2)
        assert late.value.code == rpc.DEADLINE
        assert [one.status for one in await asyncio.gather(*(ask(made, str(n)) for n in range(200)))] == [1] * 200
        made.close()
        await task
        await server.close()

    run(main())


def test_big_messages_go_through_small_windows_both_ways() -> None:
    big = os.urandom(5_000_000)

    async def echo(call: rpc.Call) -> None:
        while (data := await call.read()) is not None:
            await call.send(data)

    async def main() -> None:
        async with channel({"/x/Echo": echo}) as made:
            call = made.begin("/x/Echo")
            for _ in range(3):
                await call.send(big)
                assert await call.read() == big
            await call.finish()
            assert await call.read() is None
            call.check()

    run(main())


def test_a_reader_that_does_not_read_holds_the_writer_back() -> None:
    sent = 0

    async def flood(call: rpc.Call) -> None:
        nonlocal sent
        while True:
            await call.send(bytes(100_000))
            sent += 100_000

    async def main() -> None:
        async with channel({"/x/Flood": flood}) as made:
            call = made.begin("/x/Flood")
            await until(lambda: sent)
            last = 0
            while sent != last:
                last = sent
                await asyncio.sleep(0.3)
            assert 0 < sent <= 2 * http2.STREAM_WINDOW
            call.reset()

    run(main())


def test_a_caller_that_leaves_cancels_the_handler() -> None:
    gone = asyncio.Event()

    async def wait(call: rpc.Call) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()

    async def main() -> None:
        async with channel({"/x/Wait": wait}) as made:
            call = made.begin("/x/Wait")
            await call.send(b"x")
            await ask_ping(made)
            call.reset()
            await gone.wait()

    async def ask_ping(made: rpc.Channel) -> None:
        with pytest.raises(rpc.RpcError):
            await ask(made, "")

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 3,
        http2.PREFACE + b"\xff\xff\xff\0\0\0\0\0\0",
        http2.PREFACE + b"\0\0\x04\x09\x04\0\0\0\1abcd",
        http2.PREFACE + b"\0\0\x01\x01\x04\0\0\0\1\xff",
        http2.PREFACE + b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0",
        http2.PREFACE + b"\0\0\x01\0\x08\0\0\0\1\xff",
        http2.PREFACE + b"\0\0\x04\x01\0\0\0\0\1abcd\0\0\0\x06\0\0\0\0\0",
        http2.PREFACE + b"\0\0\x00\x05\x04\0\0\0\1",
    ],
)
def test_hostile_frames_end_the_connection(data: bytes) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        server = rpc.Server({"grpc.health.v1.Health": Health()}, status)
        task = asyncio.get_running_loop().create_task(server.run(theirs, data[:7]))
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(ours, data[7:])
        if data.endswith(b"\xff") and data[len(http2.PREFACE) + 3] == 0:
            ours.shutdown(socket.SHUT_WR)  # data for no stream is dropped, the connection goes on
        with contextlib.suppress(ConnectionResetError):
            while await loop.sock_recv(ours, 65536):
                pass
        await task
        ours.close()
        await server.close()

    run(main())


def test_deadlines_of_clients() -> None:
    assert (
        rpc.timeout_of("100m") == 0.1
        and rpc.timeout_of("2S") == 2
        and rpc.timeout_of("") is None
        and rpc.timeout_of("99999999999S") is None
    )
