import asyncio
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from scow.build.ops.sessions import LocalRequest
from scow.build.session import contexts, messages, rpc
from scow.build.session.registry import Sessions, facts
from scow.errors import Conflict, InvalidArgument, NotFound
from tests.unit.build.session.fakeclient import Raw, Sender, file, folder

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
LOGIN = "/moby.filesync.v1.Auth/Credentials"


def run(coro: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coro

    return asyncio.run(bounded())


class Client:
    """A client with handlers, whose session is served by `sessions`."""

    def __init__(self, sessions: Sessions, handlers: dict[str, Any], id: str = "one") -> None:
        self.sessions = sessions
        self.sock, theirs = socket.socketpair()
        self.server = Raw(handlers).server
        methods = ", ".join(handlers)
        head = {
            "x-docker-expose-session-uuid": id,
            "x-docker-expose-session-sharedkey": "dir",
            "x-docker-expose-session-grpc-method": methods,
        }
        loop = asyncio.get_running_loop()
        self.tasks = [loop.create_task(self.server.run(theirs, b"")), loop.create_task(sessions.serve(self.sock, b"", head))]

    async def close(self) -> None:
        await self.sessions.close()
        await asyncio.gather(*self.tasks)
        await self.server.close()


def test_a_build_may_ask_before_its_session_has_come(tmp_path: Path) -> None:
    async def main() -> None:
        sessions = Sessions(tmp_path)
        asked = asyncio.get_running_loop().create_task(sessions.shared_key("prefix:one"))
        await asyncio.sleep(0)  # it has begun to wait
        client = Client(sessions, {})
        assert await asked == "dir"
        with pytest.raises(NotFound, match="no active session"):
            await sessions.get("other", 0.05)
        await client.close()
        with pytest.raises(NotFound):
            await sessions.get("one", 0.05)

    run(main())


def test_secrets_logins_and_what_a_client_does_not_offer(tmp_path: Path) -> None:
    async def secret(call: rpc.Call) -> None:
        asked = messages.SECRETS.GetSecretRequest.FromString(await call.read())
        if asked.ID != "tok":
            raise rpc.RpcError(rpc.NOT_FOUND, "secret not found")
        await call.send(messages.SECRETS.GetSecretResponse(data=b"top"))

    async def login(call: rpc.Call) -> None:
        asked = messages.FILES.CredentialsRequest.FromString(await call.read())
        await call.send(messages.FILES.CredentialsResponse(Username=asked.Host, Secret="pw"))

    async def main() -> None:
        sessions = Sessions(tmp_path)
        client = Client(sessions, {SECRET: secret, LOGIN: login})
        assert await sessions.secret("one", "tok") == b"top"
        with pytest.raises(NotFound, match="nope: not found"):
            await sessions.secret("one", "nope")
        assert await (await sessions.get("one")).credentials("r.example") == ("r.example", "pw")
        assert await sessions.credentials("one", "docker.io") and await sessions.credentials("gone", "docker.io") == ""
        with pytest.raises(NotFound, match="no SSH key"):
            async with sessions.ssh("one", ""):
                pass
        with pytest.raises(NotFound, match="offers no files"):
            await sessions.sync("one", LocalRequest("context"), tmp_path / "t", lambda size: None)
        await client.close()

    run(main())


def test_an_agent_is_reached_through_a_socket(tmp_path: Path) -> None:
    async def check(call: rpc.Call) -> None:
        await call.read()
        await call.send(b"")

    async def forward(call: rpc.Call) -> None:
        assert call.value("buildkit.ssh.id") == "default"
        while (data := await call.read()) is not None:
            await call.send(messages.SSH.BytesMessage(data=messages.SSH.BytesMessage.FromString(data).data.upper()))

    async def main() -> None:
        sessions = Sessions(tmp_path / "agents")
        client = Client(sessions, {CHECK: check, FORWARD: forward})
        loop = asyncio.get_running_loop()
        async with sessions.ssh("one", "") as path:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            await loop.sock_connect(sock, str(path))
            await loop.sock_sendall(sock, b"hello")
            assert await loop.sock_recv(sock, 100) == b"HELLO"
            sock.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(sock, 100) == b""
            sock.close()
        assert not path.exists()
        await client.close()

    run(main())


def test_a_context_is_kept_from_build_to_build(tmp_path: Path) -> None:
    sender = Sender([folder("d"), file("d/a", b"a"), file("b", b"b")])
    request = LocalRequest("context", include=("*",), follow=("ä",))
    seen: list[rpc.Call] = []

    async def diffcopy(call: rpc.Call) -> None:
        seen.append(call)
        await sender(call)

    async def main() -> None:
        sessions = Sessions(tmp_path)
        client = Client(sessions, {contexts.PATH: diffcopy})
        tree = tmp_path / "7" / "fs"
        assert await sessions.sync("one", request, tree, lambda size: None)
        assert (
            seen[0].headers["dir-name"] == ["context"]
            and seen[0].value("followpaths") == "%C3%A4"
            and seen[0].value("followpaths-encoded") == "1"
        )
        assert not await sessions.sync("one", request, tree, lambda size: None) and sender.asked == ["d/a", "b"]
        contexts.record_of(tree).unlink()  # a daemon that was killed half-way
        (tree / "stray").write_text("x")
        sender.asked.clear()
        assert await sessions.sync("one", request, tree, lambda size: None) and sender.asked == ["d/a", "b"]
        assert not (tree / "stray").exists() and (tree / "d/a").read_bytes() == b"a"
        await client.close()

    run(main())


def test_an_id_is_needed_and_is_unique(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="Uuid"):
        facts({})

    async def main() -> None:
        sessions = Sessions(tmp_path)
        client = Client(sessions, {})
        await sessions.get("one")
        ours, theirs = socket.socketpair()
        with pytest.raises(Conflict, match="exists"):
            await sessions.serve(ours, b"", {"x-docker-expose-session-uuid": "one"})
        theirs.close()
        await client.close()

    run(main())
