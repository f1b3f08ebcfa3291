"""The engine's HTTP server with routes of a test, on a unix socket or on TCP with TLS, inside the test's loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from scow.aio import Supervisor
from scow.api.app import App
from scow.api.router import Router
from scow.http.server import Server

TIMEOUT = 30.0


@contextlib.asynccontextmanager
async def serving(
    register: Callable[[Router], Any], path: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, socket.socket]]:
    """A server with the routes of `register`: (server, its listening socket). `path`: unix, else a port of 127.0.0.1."""
    tasks = Supervisor("test")
    app = App(tasks)
    register(app.router)
    app.opened()
    server = Server(app, tasks)
    if path is not None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
    else:
        sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    await server.listen(sock, tls)
    try:
        yield server, sock
    finally:
        await server.close(0.0)
        await tasks.close()


async def within(coro: Any) -> Any:
    """Await, but not for ever."""
    return await asyncio.wait_for(coro, TIMEOUT)


async def settled(probe: Callable[[], Any]) -> None:
    """Let the loop run until `probe` holds."""

    async def wait() -> None:
        while not probe():
            await asyncio.sleep(0.001)

    await within(wait())
