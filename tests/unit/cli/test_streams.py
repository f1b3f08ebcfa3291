"""The joined streams of run, attach and exec: demultiplexing, the end of input, errors inside the stream."""

import socket
import threading

import pytest

from scow.cli.streams import OutputGone, relay, write_all
from scow.errors import ScowError


class Conn:
    """A connection over a socket pair."""

    def __init__(self):
        self.sock, self.peer = socket.socketpair()

    def buffered(self):
        return False

    def fileno(self):
        return self.sock.fileno()

    def recv(self, size):
        return self.sock.recv(size)

    def try_send(self, data):
        return self.sock.send(data)

    def eof_write(self):
        self.sock.shutdown(1)


def frame(channel, data):
    return bytes([channel, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@pytest.fixture
def conn():
    made = Conn()
    yield made
    made.sock.close()
    made.peer.close()


def test_the_two_outputs_are_told_apart_wherever_the_stream_is_cut(conn, capfdbinary):
    data = frame(1, b"out") + frame(2, b"err") + frame(1, b"\xff\0more")

    def trickle():
        for at in range(0, len(data), 3):
            conn.peer.sendall(data[at : at + 3])
        conn.peer.shutdown(1)

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    assert relay(conn, False, False) is False
    thread.join(10)
    assert capfdbinary.readouterr() == (b"out\xff\0more", b"err")


def test_a_terminals_stream_is_raw(conn, capfdbinary):
    conn.peer.sendall(frame(1, b"x"))
    conn.peer.shutdown(1)
    assert relay(conn, True, False) is False
    assert capfdbinary.readouterr().out == frame(1, b"x")


def test_an_error_in_the_stream_is_raised(conn):
    conn.peer.sendall(frame(3, b"it broke\n"))
    conn.peer.shutdown(1)
    with pytest.raises(ScowError, match=r"^it broke$"):
        relay(conn, False, False)


def test_a_reader_that_left():
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(OutputGone):
        write_all(ours.fileno(), b"x" * 1000)
    assert issubclass(OutputGone, BrokenPipeError)  # `scow save … | head`: main ends quietly
    ours.close()
