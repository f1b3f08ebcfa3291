"""Taking a connection's socket away from the event loop.

The descriptor is duplicated, the transport is aborted: it closes its own descriptor and never shuts the connection down.
"""

import asyncio
import contextlib
import os
import socket
from typing import Any

_CHUNK = 64 << 10


def duplicate(transport: Any) -> socket.socket:
    """A non-blocking socket on the connection of `transport`."""
    fd = os.dup(transport.get_extra_info("socket").fileno())
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


async def copy(source: socket.socket, target: socket.socket) -> None:
    """Move bytes until `source` ends, then shut `target` for writing. Both are non-blocking; errors end the copy."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking sockets."""
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    a.setblocking(False)
    b.setblocking(False)
    return a, b
