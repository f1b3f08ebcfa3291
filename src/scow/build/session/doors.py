"""The two doors of BuildKit's clients, for `api/`: connections that were upgraded to h2c on `/grpc` and `/session`."""

import socket
from typing import Any

from scow.build.session import legacy, rpc, status
from scow.build.session.bridge import Bridge
from scow.build.session.builds import Builds
from scow.build.session.control import Control, Health
from scow.build.session.engine import Engine
from scow.build.session.history import History
from scow.build.session.registry import Sessions, facts
from scow.build.usage import Usage
from scow.metadata import Database


class Doors:
    """Made when the first client of BuildKit comes. `sessions` is what ops use."""

    def __init__(self, sessions: Sessions, engine: Engine, usage: Usage, db: Database) -> None:
        self.sessions = sessions
        self.builds = Builds()
        self.control = Control(self.builds, engine, sessions, usage, History(db))
        self._server = rpc.Server(
            {
                "moby.buildkit.v1.Control": self.control,
                "moby.buildkit.v1.frontend.LLBBridge": Bridge(self.builds, engine),
                "grpc.health.v1.Health": Health(),
            },
            status.of,
        )

    async def grpc(self, sock: socket.socket, early: bytes) -> None:
        """Serve a connection of `/grpc` (non-blocking; its ownership passes) until the client leaves."""
        await self._server.run(sock, early)

    @staticmethod
    def check(headers: dict[str, Any]) -> None:
        """Raises InvalidArgument when the headers of a session lack what is needed."""
        facts(headers)

    async def session(self, sock: socket.socket, early: bytes, headers: dict[str, Any]) -> None:
        """Keep a client's session (`/session`) until it leaves."""
        await self.sessions.serve(sock, early, headers)

    async def legacy(self, fields: dict[str, Any], write: legacy.Write) -> None:
        """A build through `POST /build?version=2`."""
        await legacy.build(self.control, legacy.LegacyRequest(**fields), write)

    async def close(self) -> None:
        """End everything."""
        await self._server.close()
        await self.sessions.close()
