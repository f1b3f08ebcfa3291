"""The gRPC server that refuses: what a client of HTTP/2 gets."""

import asyncio
import socket
import struct

import pytest

from scow.api import grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CALL = grpc.frame(1, 4, 1, b"\x83\x86whatever") + grpc.frame(0, 1, 1, b"\0\0\0\0\0")


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((*struct.unpack(">BBI", data[3:9]), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def test_every_call_gets_the_sentence() -> None:
    refuser = grpc.Refuser("no é 100%: " + "x" * 300)
    got = frames(refuser.feed(PREFACE + grpc.frame(4) + CALL + grpc.frame(6, 0, 0, b"12345678") + grpc.frame(1, 4, 3)))
    assert [(kind, flags, stream) for kind, flags, stream, _ in got] == [(4, 0, 0), (4, 1, 0), (1, 5, 1), (6, 1, 0), (1, 5, 3)]
    block = got[2][3]
    assert block.startswith(b"\x88\0\x0ccontent-type\x10application/grpc\0\x0bgrpc-status\x0212\0\x0cgrpc-message")
    text = block.partition(b"grpc-message")[2]
    size = 127 + (text[1] & 127) + (text[2] << 7)
    assert text[0] == 127 and len(text) == 3 + size and text[3:].startswith(b"no %C3%A9 100%25: xxx")


def test_bytes_may_come_one_at_a_time_and_headers_in_pieces() -> None:
    refuser = grpc.Refuser("no")
    sent = PREFACE + grpc.frame(4) + grpc.frame(1, 0, 1, b"a") + grpc.frame(9, 4, 1, b"b") + grpc.frame(7, 0, 0, b"\0" * 8)
    out = b"".join(refuser.feed(sent[at : at + 1]) for at in range(len(sent)))
    assert [kind for kind, *_ in frames(out)] == [4, 4, 1]
    assert refuser.ended


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff\xff\xff" + b"\0" * 6, b"PRI x"])
def test_what_is_no_http2_ends_the_connection(sent: bytes) -> None:
    refuser = grpc.Refuser("no")
    refuser.feed(sent)
    assert refuser.ended


def test_serve_ends_with_its_client() -> None:
    async def use() -> bytes:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, grpc.frame(4) + CALL)
        theirs.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(grpc.serve(ours, PREFACE, "no"), 30)
        data = b""
        while piece := await loop.sock_recv(theirs, 4096):
            data += piece
        theirs.close()
        return data

    assert b"grpc-message\x02no" in asyncio.run(use())
