"""The set of connections: accepts them, watches slow heads, ends them in order."""

import asyncio
import contextlib
import socket
import ssl
import time
from dataclasses import dataclass

from scow.aio import Supervisor
from scow.http.connection import Application, Connection
from scow.http.head import Heads

_SWEEP_SECONDS = 20.0
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take its time for: seconds for a request head, of silence between requests (0: any), and connections (0: any)."""

    head_seconds: float = 300.0
    idle_seconds: float = 0.0
    connections: int = 0


class Server:
    """Serves one application on any number of listening sockets."""

    def __init__(self, application: Application, tasks: Supervisor, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._app = application
        self._tasks = tasks
        self._heads = Heads()
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeping = False

    def connection(self) -> Connection:
        """A protocol object for a fresh connection."""
        return Connection(self._app, self._heads, self._connections, self._limits.connections)

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections from a bound socket (unix or tcp) until `close`."""
        loop = asyncio.get_running_loop()
        if tls is not None:
            from scow.http.tls import TlsProtocol

            context = tls

            def factory() -> asyncio.Protocol:
                return TlsProtocol(context, self.connection)
        else:

            def factory() -> asyncio.Protocol:
                return self.connection()

        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(factory, sock=sock, backlog=_BACKLOG)
        else:
            server = await loop.create_server(factory, sock=sock, backlog=_BACKLOG)
        self._servers.append(server)
        if not self._sweeping:
            self._sweeping = True
            self._tasks.start(self._sweep(), "sweep")

    async def _sweep(self) -> None:
        """End connections of clients that have gone unnoticed, do not complete a request's head, or, where the limits forbid that, say
        nothing."""
        while True:
            limits = self._limits
            await asyncio.sleep(min(_SWEEP_SECONDS, limits.head_seconds / 2))
            now = time.monotonic()
            for connection in tuple(self._connections):
                if not connection.idle:
                    connection.drop_departed()
                    continue
                seconds = limits.head_seconds if connection.started_head else limits.idle_seconds
                if seconds and connection.head_since < now - seconds:
                    connection.close(abort=True)

    def stop_listening(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()

    async def close(self, grace: float) -> None:
        """Stop listening, let requests under way end for `grace` seconds, cut the rest."""
        self.stop_listening()
        for connection in tuple(self._connections):
            connection.close()
        end = time.monotonic() + grace
        while self._connections and time.monotonic() < end:  # noqa: ASYNC110  once, at the end
            await asyncio.sleep(0.02)
        for connection in tuple(self._connections):
            connection.close(abort=True)
        for server in self._servers:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(server.wait_closed(), 0.5)
