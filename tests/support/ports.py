"""Ports for tests that must name one before they listen."""

import contextlib
import random
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now, as is the next one (a manager's etcd listens there). Below the range that the kernel gives to callers."""
    for _ in range(200):
        port = random.randrange(12_000, 32_000, 2)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in (port, port + 1):
                stack.enter_context(socket.socket()).bind((host, number))
            return port
    raise OSError("no two free ports in a row were found")
