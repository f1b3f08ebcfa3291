"""Large bodies past the loop: whole, in odd pieces, broken off, stalled; files out to quick and slow readers."""

import asyncio
import os
import socket
import threading

import pytest

from scow.http import bulk
from scow.http.body import BodyBroken, ChunkFramer, LengthFramer
from scow.http.messages import ClientGone
from tests.support.asynchronous import on_loop

DATA = os.urandom(2_000_003)


def pair() -> tuple[socket.socket, socket.socket]:
    """(server's end, non-blocking; client's end, blocking) of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    server.setblocking(False)
    client.settimeout(60)
    return server, client


def chunked(data: bytes, size: int) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(data[at : at + size]), data[at : at + size]) for at in range(0, len(data), size)) + b"0\r\n\r\n"


async def receive(framer, pieces, seconds: float = 30.0) -> tuple[bytes, bytes]:
    """(body, what lies behind it), of a client that sends these pieces with pauses between them."""
    server, client = pair()
    out = bytearray()
    intake = bulk.Intake(server, framer, lambda view: out.extend(view))

    def send() -> None:
        for piece in pieces:
            client.sendall(piece)
            threading.Event().wait(0.03)  # longer than the thread's patience

    thread = threading.Thread(target=send)
    thread.start()
    try:
        await intake.run(seconds)
    finally:
        thread.join()
        client.close()
    return bytes(out), intake.rest


@on_loop
async def test_a_body_of_known_length_with_pauses_anywhere():
    cuts = [DATA[:10], DATA[10:300_000], DATA[300_000:1_999_900], DATA[1_999_900:1_999_999], DATA[1_999_999:]]
    # each pause leaves less to come than the kernel was asked to gather: nobody may wait for bytes that never come
    body, _ = await asyncio.wait_for(receive(LengthFramer(len(DATA)), cuts), 20)
    assert body == DATA


@on_loop
async def test_a_chunked_body_and_what_lies_behind_it():
    wire = chunked(DATA, 32768)
    body, rest = await receive(ChunkFramer(), [wire[:70_001], wire[70_001:] + b"GET"])
    assert body == DATA
    assert rest == b"GET"


@on_loop
async def test_a_client_that_leaves_or_stalls():
    server, client = pair()
    client.sendall(b"abc")
    client.close()
    with pytest.raises(BodyBroken, match="closed"):
        await bulk.Intake(server, LengthFramer(10), lambda view: None).run(30)
    server, client = pair()
    client.sendall(b"abc")
    with client, pytest.raises(BodyBroken, match="no byte"):
        await bulk.Intake(server, LengthFramer(10), lambda view: None).run(0.2)
    assert server.fileno() == -1


@on_loop
async def test_an_error_of_the_taker_ends_it():
    def full(view: memoryview) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        server, client = pair()
        with client:
            client.sendall(b"abc")
            await bulk.Intake(server, LengthFramer(3), full).run(30)


@pytest.mark.parametrize(("offset", "count"), [(0, len(DATA)), (5, 1_000_000), (len(DATA) - 1, 1)])
def test_a_file_goes_out(tmp_path, offset, count):
    (tmp_path / "f").write_bytes(DATA)

    @on_loop
    async def main() -> None:
        server, client = pair()
        out = bytearray()

        def read() -> None:
            while piece := client.recv(65536):
                out.extend(piece)

        thread = threading.Thread(target=read)
        thread.start()
        await bulk.send(server, os.open(tmp_path / "f", os.O_RDONLY), offset, count, 30)
        thread.join()
        client.close()
        assert out == DATA[offset : offset + count]

    main()


def test_a_reader_that_takes_nothing_is_gone_and_so_are_the_descriptors(tmp_path):
    (tmp_path / "f").write_bytes(DATA * 20)

    @on_loop
    async def main() -> None:
        server, client = pair()
        fd = os.open(tmp_path / "f", os.O_RDONLY)
        with pytest.raises(ClientGone):
            await bulk.send(server, fd, 0, len(DATA) * 20, 0.2)
        client.close()
        assert server.fileno() == -1
        with pytest.raises(OSError):
            os.fstat(fd)

    main()


def test_a_file_that_is_shorter_than_promised_ends_the_connection(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")

    @on_loop
    async def main() -> None:
        server, client = pair()
        with client, pytest.raises(ClientGone):
            await bulk.send(server, os.open(tmp_path / "f", os.O_RDONLY), 0, 10, 30)

    main()


def test_held_descriptors_are_closed_behind_the_work():
    closed = []
    begun, go = threading.Event(), threading.Event()
    held = bulk.Held(lambda: closed.append(1))

    def work() -> None:
        begun.set()
        go.wait(30)
        assert closed == []

    thread = threading.Thread(target=held.job, args=(work,))
    thread.start()
    begun.wait(30)
    held.finish()
    assert closed == []
    go.set()
    thread.join()
    held.finish()
    assert closed == [1]
    with pytest.raises(ClientGone):
        held.job(work)
