"""The sessions of clients: connections on which the daemon is the caller (files, secrets, ssh agent, credentials). In memory only.

`POST /session` and `Control.Session` register; builds ask by id. A build may name a session that has not arrived yet: asking waits.
"""

import asyncio
import base64
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from scow import aio, log
from scow.build.ops.sessions import LocalRequest
from scow.build.session import messages, rpc
from scow.build.session.arrivals import Arrivals
from scow.build.session.contentstore import ClientStore
from scow.build.session.contexts import sync
from scow.build.session.http2 import ConnectionLost
from scow.errors import Conflict, DataLoss, InvalidArgument, NotFound

logger = log.get(__name__)

ARRIVAL_SECONDS = 15.0
_ANSWER_SECONDS = 60.0
_MAX_SESSIONS = 2000
_MAX_METHODS = 1000
_MAX_ID = 256
_HUB = "https://index.docker.io/v1/"
MAX_SECRET = 500 << 10
"""BuildKit's limit of a secret."""


class Session:
    """One client's services. `methods` are the gRPC paths it said it serves."""

    def __init__(self, id: str, name: str, shared_key: str, methods: frozenset[str], channel: rpc.Channel) -> None:
        self.id, self.name, self.shared_key, self.methods, self.channel = id, name, shared_key, methods, channel

    def supports(self, path: str) -> bool:
        """Whether the client serves a method; names are compared without case, as Go clients do it."""
        return path.lower() in self.methods

    def begin(self, path: str, metadata: dict[str, str | list[str]] | None = None) -> rpc.Call:
        """Start a call of the client's method."""
        if not self.supports(path):
            raise NotFound(f"the client does not offer {path.strip('/').rsplit('.', 1)[-1]}")
        return self.channel.begin(path, metadata)

    async def secret(self, id: str) -> bytes | None:
        """A secret of the client; None when it has none of that name."""
        path = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
        if not self.supports(path):
            return None
        try:
            reply = await self.channel.unary(
                path, messages.SECRETS.GetSecretRequest(ID=id), messages.SECRETS.GetSecretResponse, _ANSWER_SECONDS
            )
        except rpc.RpcError as error:
            if error.code in (rpc.NOT_FOUND, rpc.UNIMPLEMENTED) or "not found" in error.message:
                return None
            raise
        data: bytes = reply.data
        if len(data) > MAX_SECRET:
            raise InvalidArgument(f"secret {id!r} is bigger than {MAX_SECRET} bytes")
        return data

    async def has_agent(self, id: str) -> bool:
        """Whether the client forwards an ssh agent of that name ("" = default)."""
        path = "/moby.sshforward.v1.SSH/CheckAgent"
        if not self.supports(path):
            return False
        try:
            await self.channel.unary(
                path, messages.SSH.CheckAgentRequest(ID=id or "default"), messages.SSH.CheckAgentResponse, _ANSWER_SECONDS
            )
        except rpc.RpcError:
            return False
        return True

    async def forward_agent(self, id: str, sock: socket.socket) -> None:
        """Join a connection that a step made to its agent socket with the client's agent, until either ends. `sock` is closed."""
        loop = asyncio.get_running_loop()
        call: rpc.Call | None = None
        try:
            call = self.begin("/moby.sshforward.v1.SSH/ForwardAgent", {"buildkit.ssh.id": id or "default"})

            async def out(call: rpc.Call) -> None:
                while data := await loop.sock_recv(sock, 32 << 10):
                    await call.send(messages.SSH.BytesMessage(data=data))
                await call.finish()

            async def back(call: rpc.Call) -> None:
                while (message := await call.read()) is not None:
                    await loop.sock_sendall(sock, messages.SSH.BytesMessage.FromString(message).data)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)

            async with asyncio.TaskGroup() as group:
                group.create_task(out(call))
                group.create_task(back(call))
        except* (OSError, rpc.RpcError, ConnectionLost, NotFound):
            pass
        finally:
            if call is not None:
                call.reset()
            sock.close()

    async def credentials(self, host: str) -> tuple[str, str]:
        """User name and password of a registry ("", "" = nobody; an empty name with a password is an identity token)."""
        path = "/moby.filesync.v1.Auth/Credentials"
        if not self.supports(path):
            return "", ""
        try:
            reply = await self.channel.unary(
                path, messages.FILES.CredentialsRequest(Host=host), messages.FILES.CredentialsResponse, _ANSWER_SECONDS
            )
        except rpc.RpcError:
            return "", ""
        return reply.Username, reply.Secret

    async def upload(self, path: str) -> AsyncIterator[bytes]:
        """What the client uploads under the path of an `http://buildkit-session/` address: its standard input."""
        call = self.begin("/moby.upload.v1.Upload/Pull", {"urlpath": path})
        try:
            await call.finish()
            while (message := await call.read()) is not None:
                yield messages.UPLOAD.BytesMessage.FromString(message).data
            call.check()
        finally:
            call.reset()


class Sessions:
    """All sessions of the daemon: `ops.sessions.Sessions`, and the door for new ones. `sockets` is a directory for agents' sockets."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets
        self._sessions: dict[str, Session] = {}
        self._arrivals = Arrivals()
        self._tasks = aio.Supervisor("sessions")

    # --- what builds ask

    async def shared_key(self, session: str) -> str:
        """What the client says to be the same from build to build, "" for nothing."""
        return (await self.get(session)).shared_key

    async def sync(self, session: str, request: LocalRequest, tree: Path, progress: Callable[[int], None]) -> bool:
        """See `ops.sessions.Sessions.sync`. What the tree holds is recorded beside it (`<tree>.stats`)."""
        return await sync((await self.get(session)).begin, request, tree, progress)

    async def secret(self, session: str, id: str) -> bytes:
        """A secret's bytes. Raises NotFound."""
        found = await (await self.get(session)).secret(id)
        if found is None:
            raise NotFound(f"secret {id}: not found")
        return found

    async def upload(self, session: str, path: str) -> AsyncIterator[bytes]:
        """What the client uploads (its standard input), by the path of the address it gave. Raises NotFound."""
        async for data in (await self.get(session)).upload(path):
            yield data

    async def blob(self, session: str, store: str, digest: str, limit: int) -> AsyncIterator[bytes]:
        """A blob of a content store of the client. Raises NotFound, DataLoss (more than `limit` bytes)."""
        came = 0
        async for piece in ClientStore((await self.get(session)).begin, store).read(digest):
            came += len(piece)
            if came > limit:
                raise DataLoss(f"blob {digest} is larger than it should be")
            yield piece

    @contextlib.asynccontextmanager
    async def ssh(self, session: str, id: str) -> AsyncIterator[Path]:
        """A unix socket that leads to the client's ssh agent `id` while the context is open. Raises NotFound."""
        client = await self.get(session)
        if not await client.has_agent(id):
            raise NotFound(f"no SSH key {id or 'default'!r} forwarded from the client (use --ssh {id or 'default'})")
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._sockets / f"{secrets.token_hex(8)}.sock"
        listener = socket.socket(socket.AF_UNIX)
        tasks = aio.Supervisor("ssh agent")
        try:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(16)
            listener.setblocking(False)
            tasks.start(self._agent(client, id, listener, tasks), "accept")
            yield path
        finally:
            await tasks.close()
            listener.close()
            path.unlink(missing_ok=True)

    async def _agent(self, client: Session, id: str, listener: socket.socket, tasks: aio.Supervisor) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            sock.setblocking(False)
            tasks.start(client.forward_agent(id, sock), "forward")

    async def credentials(self, session: str, registry: str) -> str:
        """The client's login for a registry as an X-Registry-Auth text, "" for none."""
        found = self.find(session)
        if found is None:
            return ""
        host = _HUB if registry in ("docker.io", "registry-1.docker.io", "index.docker.io") else registry
        name, secret = await found.credentials(host)
        if not name and not secret:
            return ""
        login = {"username": name, "password": secret} if name else {"identitytoken": secret}
        return base64.urlsafe_b64encode(json.dumps({**login, "serveraddress": registry}).encode()).decode()

    # --- coming and going

    async def get(self, id: str, wait: float = ARRIVAL_SECONDS) -> Session:
        """The session `id`, which may arrive up to `wait` seconds later."""
        id = id.rpartition(":")[2]  # a prefix tells vertices of several contexts apart
        if not id:
            raise NotFound("this build has no session: the client offers no files, secrets or credentials")
        if (found := self._sessions.get(id)) is not None:
            return found
        try:
            await self._arrivals.wait(id, wait)
        except TimeoutError:
            raise NotFound(f"no active session for {id[:_MAX_ID]}: the client has not opened it, or has left") from None
        return await self.get(id, 0.1)

    def find(self, id: str) -> Session | None:
        """The session `id` if it is there."""
        return self._sessions.get(id.rpartition(":")[2])

    async def serve(self, sock: socket.socket, early: bytes, headers: dict[str, Any]) -> None:
        """Register the session of a connection and keep it until the client leaves. `headers`: lower-case names."""
        id, name, shared, methods = facts(headers)
        if id in self._sessions:
            sock.close()
            raise Conflict(f"session {id} exists already")
        if len(self._sessions) >= _MAX_SESSIONS:
            sock.close()
            raise Conflict("too many sessions: clients have to close some")
        channel = rpc.Channel.on(sock, early)
        session = Session(id, name, shared, methods, channel)
        try:
            await channel.open()
            self._sessions[id] = session
            self._arrivals.tell(id)
            await channel.closed.wait()
        except ConnectionLost:
            pass
        finally:
            if self._sessions.get(id) is session:
                del self._sessions[id]
            channel.close()

    async def close(self) -> None:
        """End all sessions."""
        for session in list(self._sessions.values()):
            session.channel.close()
        await self._tasks.close()


def facts(headers: dict[str, Any]) -> tuple[str, str, str, frozenset[str]]:
    """What a client says of its session: id, name, shared key, methods. `InvalidArgument` without an id."""

    def one(name: str) -> str:
        value = headers.get(f"x-docker-expose-session-{name}", "")
        return str(value[0] if isinstance(value, list) and value else value or "")

    id = one("uuid")
    if not id or len(id) > _MAX_ID:
        raise InvalidArgument("a session needs the header X-Docker-Expose-Session-Uuid")
    methods = headers.get("x-docker-expose-session-grpc-method", [])
    joined = methods if isinstance(methods, str) else ",".join(methods)
    return id, one("name"), one("sharedkey"), frozenset(method.strip().lower() for method in joined.split(",")[:_MAX_METHODS])
