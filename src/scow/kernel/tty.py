"""Terminals: window size, and receiving a master from a runtime's console socket. Nothing is stored."""

import array
import fcntl
import os
import socket
import struct
import termios


def set_size(master: int, rows: int, cols: int) -> None:
    """Set the window size; the foreground process gets SIGWINCH. OSError when the terminal is gone."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def receive_master(listener: socket.socket) -> int:
    """The pty master that a runtime sent to its `--console-socket`; BlockingIOError or OSError when none came."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 4), socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if not found:
        raise OSError("the runtime sent no terminal")
    for extra in found[1:]:
        os.close(extra)
    return found[0]
