"""What the engine asks of `scow build` while it builds, over the session: files of the contexts, secrets, the ssh agent, logins, outputs.

The calls and messages are BuildKit's. Nothing is given that the command line did not name.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from scow.build.session import messages, rpc
from scow.cli import credentials
from scow.cli.command import Cli
from scow.cli.commands.builder.context import Entry, entries
from scow.cli.commands.builder.store import Store, Stores
from scow.errors import ScowError
from scow.opts.ignore import Ignore

_STAT, _REQ, _DATA, _FIN, _ERR = range(5)
_READ = 256 << 10
_TOGETHER = 500
_MAX_SECRET = 500 << 10
_MAX_AGENT = 256 << 10
_GO_KINDS = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISCHR, 1 << 26 | 1 << 21),
)
Handler = tuple[Any, Any, bool, bool]


class Keys(Protocol):
    """An agent of our own."""

    def answer(self, request: bytes) -> bytes:
        """The reply to a message of ssh's agent protocol, both without their length."""
        ...


Agent = str | Keys
"""The socket of the user's agent, or keys."""


@dataclass(slots=True)
class Given:
    """What the command line named. `outputs`: by number, a function that takes the call."""

    folders: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    """Directories that hold caches, by the name the engine has for them."""
    outputs: dict[str, Callable[[rpc.Call], Any]] = field(default_factory=dict)


class Services:
    """Serves one session."""

    def __init__(self, cli: Cli, given: Given) -> None:
        self._cli, self._given = cli, given

    def methods(self) -> Mapping[str, Handler]:
        """By path, as `rpc.Server` takes them."""
        found: dict[str, Handler] = {
            "/moby.filesync.v1.FileSync/DiffCopy": (self.files, None, True, True),
            "/moby.filesync.v1.Auth/Credentials": (self.login, messages.FILES.CredentialsRequest, False, False),
            "/moby.buildkit.secrets.v1.Secrets/GetSecret": (self.secret, messages.SECRETS.GetSecretRequest, False, False),
            "/grpc.health.v1.Health/Check": (self.health, messages.HEALTH.HealthCheckRequest, False, False),
        }
        if self._given.agents:
            found["/moby.sshforward.v1.SSH/CheckAgent"] = (self.check_agent, messages.SSH.CheckAgentRequest, False, False)
            found["/moby.sshforward.v1.SSH/ForwardAgent"] = (self.agent, None, True, True)
        if self._given.stores:
            found |= Stores(self._given.stores).methods()
        if self._given.outputs:
            found["/moby.filesync.v1.FileSend/DiffCopy"] = (self.output, None, True, True)
        return found

    async def health(self, request: Any, call: rpc.Call) -> Any:
        """The client lives."""
        return messages.HEALTH.HealthCheckResponse(status=1)

    async def login(self, request: Any, call: rpc.Call) -> Any:
        """The login for a registry, of the user's configuration."""
        host = "docker.io" if request.Host == "registry-1.docker.io" else request.Host
        auth = await asyncio.to_thread(credentials.get, self._cli, credentials.key_of(host))
        secret = auth.get("identitytoken") or auth.get("password") or ""
        user = "" if auth.get("identitytoken") else auth.get("username", "")
        return messages.FILES.CredentialsResponse(Username=user, Secret=secret)

    async def secret(self, request: Any, call: rpc.Call) -> Any:
        """A secret that --secret names."""
        read = self._given.secrets.get(request.ID)
        if read is None:
            raise rpc.RpcError(rpc.NOT_FOUND, f"secret {request.ID} not found")
        data = await asyncio.to_thread(read)
        if len(data) > _MAX_SECRET:
            raise rpc.RpcError(rpc.INVALID, f"invalid secret size {len(data)}: at most {_MAX_SECRET} bytes")
        return messages.SECRETS.GetSecretResponse(data=data)

    # ---- files -----------------------------------------------------------------------------------------------------------------

    async def files(self, call: rpc.Call) -> None:
        """Send a context: stats of all first, then what is asked for."""
        root = self._given.folders.get(call.value("dir-name"))
        if root is None:
            raise rpc.RpcError(rpc.NOT_FOUND, f"no access allowed to dir {call.value('dir-name')!r}")
        found = await asyncio.to_thread(chosen, root, call.headers)
        paths: dict[int, Entry] = {}
        packets: list[bytes] = []
        for number, entry in enumerate(found):
            if stat.S_ISREG(entry.info.st_mode):
                paths[number] = entry
            packets.append(messages.FSUTIL.Packet(stat=_described(entry)).SerializeToString())
            if len(packets) >= _TOGETHER:
                await call.send_many(packets)
                packets = []
        await call.send_many([*packets, b""])
        while (data := await call.read()) is not None:
            packet = messages.FSUTIL.Packet.FromString(data)
            if packet.type == _REQ:
                if packet.ID not in paths:
                    raise rpc.RpcError(rpc.INVALID, "a file was asked for that was not offered")
                await self._file(call, packet.ID, paths[packet.ID])
            elif packet.type == _FIN:
                await call.send(messages.FSUTIL.Packet(type=_FIN))
                return
            elif packet.type == _ERR:
                raise ScowError(packet.data.decode(errors="replace")[:1000])

    async def _file(self, call: rpc.Call, number: int, entry: Entry) -> None:
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as exc:
            raise ScowError(f"open {entry.path}: {(exc.strerror or str(exc)).lower()}") from None
        try:
            while data := os.read(fd, _READ):
                await call.send(messages.FSUTIL.Packet(type=_DATA, ID=number, data=data))
        finally:
            os.close(fd)
        await call.send(messages.FSUTIL.Packet(type=_DATA, ID=number))

    # ---- the ssh agent ---------------------------------------------------------------------------------------------------------

    async def check_agent(self, request: Any, call: rpc.Call) -> Any:
        """Whether an agent is forwarded."""
        if (request.ID or "default") not in self._given.agents:
            raise rpc.RpcError(rpc.NOT_FOUND, f"unset ssh forward key {request.ID or 'default'}")
        return messages.SSH.CheckAgentResponse()

    async def agent(self, call: rpc.Call) -> None:
        """Bytes between a step and the user's agent."""
        agent = self._given.agents.get(call.value("buildkit.ssh.id") or "default")
        if agent is None:
            raise rpc.RpcError(rpc.NOT_FOUND, "unset ssh forward key")
        if not isinstance(agent, str):
            await _from_keys(call, agent)
            return
        reader, writer = await asyncio.open_unix_connection(agent)

        async def outward() -> None:
            while data := await reader.read(_READ):
                await call.send(messages.SSH.BytesMessage(data=data))

        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(outward())
                while (data := await call.read()) is not None:
                    writer.write(messages.SSH.BytesMessage.FromString(data).data)
                    await writer.drain()
                task.cancel()
        finally:
            writer.close()

    # ---- results ---------------------------------------------------------------------------------------------------------------

    async def output(self, call: rpc.Call) -> None:
        """Take a result."""
        number = call.value("buildkit-attachable-exporter-id") or "0"
        take = self._given.outputs.get(number)
        if take is None:
            raise rpc.RpcError(rpc.NOT_FOUND, f"no output {number}")
        await take(call)


async def _from_keys(call: rpc.Call, agent: Keys) -> None:
    """Serve ssh's agent protocol: messages behind their length of four bytes."""
    buffer = bytearray()
    while (data := await call.read()) is not None:
        buffer += messages.SSH.BytesMessage.FromString(data).data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if not 0 < size <= _MAX_AGENT:
                raise rpc.RpcError(rpc.INVALID, "a message to the ssh agent is too big")
            if len(buffer) < 4 + size:
                break
            reply = await asyncio.to_thread(agent.answer, bytes(buffer[4 : 4 + size]))
            del buffer[: 4 + size]
            await call.send(messages.SSH.BytesMessage(data=len(reply).to_bytes(4, "big") + reply))


def go_mode(mode: int) -> int:
    """A file's mode in Go's bits."""
    made = mode & 0o777
    for test, bits in _GO_KINDS:
        if test(mode):
            made |= bits
    for bit, go in ((stat.S_ISUID, 23), (stat.S_ISGID, 22), (stat.S_ISVTX, 20)):
        made |= (1 << go) if mode & bit else 0
    return made


def _described(entry: Entry) -> Any:
    info = entry.info
    made = messages.FSUTIL.Stat(path=entry.name, mode=go_mode(info.st_mode), modTime=info.st_mtime_ns)
    if stat.S_ISREG(info.st_mode):
        made.size = info.st_size
    elif stat.S_ISLNK(info.st_mode):
        made.linkname = os.readlink(entry.path)
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        made.devmajor, made.devminor = os.major(info.st_rdev), os.minor(info.st_rdev)
    return made


# ---- which files are wanted ------------------------------------------------------------------------------------------------------


def _values(headers: Mapping[str, list[str]], key: str) -> list[str]:
    import urllib.parse

    found = headers.get(key, [])
    if headers.get(f"{key}-encoded"):
        return [urllib.parse.unquote_plus(one) for one in found]
    return found


def chosen(root: str, headers: Mapping[str, list[str]]) -> list[Entry]:
    """The files below a directory that a request wants: `followpaths` (and where links on them lead), without `exclude-patterns`."""
    excludes = _values(headers, "exclude-patterns")
    ignore = Ignore(excludes) if excludes else None
    wanted = [*_values(headers, "include-patterns"), *followed(root, _values(headers, "followpaths"))]
    found = entries(root, ignore)
    if not wanted:
        return with_parents(root, found)
    include = Ignore(wanted)
    return with_parents(root, (entry for entry in found if include.excludes(entry.name)))


def with_parents(root: str, found: Any) -> list[Entry]:
    """Entries with the directories above them, which the protocol wants first."""
    made: list[Entry] = []
    known: set[str] = set()
    for entry in found:
        parts = entry.name.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            if parent not in known:
                known.add(parent)
                path = os.path.join(root, parent)
                made.append(Entry(parent, path, os.stat(path, follow_symlinks=False)))
        if stat.S_ISDIR(entry.info.st_mode):
            known.add(entry.name)
        made.append(entry)
    return made


def followed(root: str, paths: list[str]) -> list[str]:
    """The paths, and what the symbolic links on them point to, inside of the root. A wildcard is left as it is."""
    found: list[str] = []
    waiting = [path.strip("/") for path in paths]
    seen: set[str] = set()
    while waiting and len(seen) < 10_000:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path in ("", "."):
            return []
        found.append(path)
        if any(char in path for char in "*?["):
            continue
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            at = os.path.join(root, *parts[:count])
            if os.path.islink(at):
                target = os.readlink(at)
                base = "" if target.startswith("/") else "/".join(parts[: count - 1])
                resolved = os.path.normpath("/" + base + "/" + target.lstrip("/")).strip("/")
                found.append("/".join(parts[:count]))
                waiting.append("/".join([*resolved.split("/"), *parts[count:]]).strip("/"))
                break
    return found
