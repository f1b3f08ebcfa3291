import asyncio
import os
import socket

from scow.http import hijack


def test_a_duplicate_outlives_the_transport():
    class Transport:
        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def get_extra_info(self, name: str) -> socket.socket:
            assert name == "socket"
            return self.sock

    ours, theirs = socket.socketpair()
    with theirs:
        copy = hijack.duplicate(Transport(ours))
        ours.close()
        with copy:
            assert copy.gettimeout() == 0.0
            assert not os.get_inheritable(copy.fileno())
            copy.send(b"x")
            assert theirs.recv(1) == b"x"


def test_copy_moves_all_and_ends_the_target():
    async def main() -> bytes:
        (source, feed), (target, sink) = hijack.pair(), hijack.pair()
        loop = asyncio.get_running_loop()
        with source, feed, target, sink:
            await loop.sock_sendall(feed, b"abc")
            feed.shutdown(socket.SHUT_WR)
            await hijack.copy(source, target)
            out = b""
            while piece := await loop.sock_recv(sink, 10):
                out += piece
            return out

    assert asyncio.run(main()) == b"abc"
