"""What is needed of etcd's API, by its JSON gateway on the member's own socket.

The socket lies in a directory that only root enters; nothing of it goes over the network. Keys and values are bytes here and base64 there.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from scow.errors import Unavailable

if TYPE_CHECKING:
    import aiohttp

SECONDS = 6.0
_WATCH_LINE = 256 << 20
_BUSY = ("no leader", "timed out", "deadline", "leader changed", "proposal dropped", "server stopped")
"""What it says while its members choose a leader, or while it ends."""

Json = dict[str, Any]


class EtcdError(Unavailable):
    """The member said no. `code`: of gRPC."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class NoAnswer(EtcdError):
    """The member does not answer, or does so too late."""


class Full(EtcdError):
    """The quota is reached: nothing can be written until there is room (`upkeep.py` makes it)."""

    def __init__(self) -> None:
        super().__init__(
            "the swarm's state has reached etcd's quota: nothing can be changed until the managers have made room, which they do now. "
            "Try again in a minute"
        )


class Compacted(EtcdError):
    """What is asked for has been forgotten: read everything again."""


@dataclass(frozen=True, slots=True)
class Row:
    """A key with its value; `value` None: removed."""

    key: bytes
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the cluster. `started`: it has been seen running."""

    id: int
    name: str
    peers: tuple[str, ...]
    learner: bool

    @property
    def started(self) -> bool:
        """Whether it has ever come up."""
        return bool(self.name)


@dataclass(frozen=True, slots=True)
class Health:
    """A member as it sees itself; `leader` 0: no quorum."""

    member: int
    leader: int
    size: int
    used: int
    learner: bool
    full: bool = False
    """Some member has reached its quota: nothing can be written."""


def encode(data: bytes) -> str:
    """As the gateway wants bytes."""
    return base64.b64encode(data).decode()


def _end(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _row(kv: Mapping[str, Any], removed: bool = False) -> Row:
    value = None if removed else base64.b64decode(kv.get("value") or "")
    return Row(base64.b64decode(kv["key"]), value, int(kv.get("mod_revision") or 0))


class Client:
    """Of one member."""

    def __init__(self, socket: Path) -> None:
        """`socket`: the member's."""
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    def _http(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp

            connector = aiohttp.UnixConnector(path=str(self._socket), limit=64)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    async def close(self) -> None:
        """End all calls."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, path: str, body: Mapping[str, Any], seconds: float = SECONDS) -> Json:
        """A call. Raises EtcdError, NoAnswer."""
        import aiohttp

        try:
            async with asyncio.timeout(seconds), self._http().post(f"http://etcd/v3/{path}", data=orjson.dumps(body)) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
            raise NoAnswer(f"etcd does not answer: {error or type(error).__name__}") from None
        try:
            found = orjson.loads(data)
        except ValueError:
            raise NoAnswer(f"etcd answered nonsense: {data[:80]!r}") from None
        if not isinstance(found, dict):
            raise NoAnswer("etcd answered nonsense")
        if answer.status != 200 or "error" in found:
            self._fail(found)
        return found

    @staticmethod
    def _fail(found: Mapping[str, Any]) -> None:
        text = str(found.get("message") or found.get("error") or "no reason")
        if "database space exceeded" in text:
            raise Full
        cls = EtcdError
        if "compacted" in text:
            cls = Compacted
        elif any(words in text for words in _BUSY):
            cls = NoAnswer
        raise cls(f"etcd: {text}", int(found.get("code") or 0))

    # --- keys

    async def range(self, prefix: bytes, seconds: float = SECONDS) -> tuple[list[Row], int]:
        """Everything below a prefix, as of now in the whole cluster, and the revision."""
        found = await self.post("kv/range", {"key": encode(prefix), "range_end": encode(_end(prefix))}, seconds)
        return [_row(kv) for kv in found.get("kvs") or ()], int(found["header"]["revision"])

    async def confirm(self, key: bytes, seconds: float = SECONDS) -> int:
        """Ask the quorum at which revision a key was last written (0: never): leaves no trace, and raises NoAnswer where there is none."""
        found = await self.post("kv/range", {"key": encode(key), "keys_only": True}, seconds)
        return next((int(kv.get("mod_revision") or 0) for kv in found.get("kvs") or ()), 0)

    async def commit(self, guard: bytes, seen: int, writes: Sequence[tuple[bytes, bytes | None]], seconds: float = SECONDS) -> int:
        """Write all when the key `guard` was last written at revision `seen` (0: never); the new revision, 0 when it was not.

        Raises EtcdError; after NoAnswer it is not known whether it was written."""
        operations = [
            {"requestDeleteRange": {"key": encode(key)}} if value is None else {"requestPut": {"key": encode(key), "value": encode(value)}}
            for key, value in writes
        ]
        compare = [{"key": encode(guard), "target": "MOD", "result": "EQUAL", "modRevision": str(seen)}]
        found = await self.post("kv/txn", {"compare": compare, "success": operations}, seconds)
        return int(found["header"]["revision"]) if found.get("succeeded") else 0

    async def watch(self, prefix: bytes, revision: int) -> AsyncIterator[list[Row]]:
        """Changes from `revision` on, those of a commit together. Raises Compacted, NoAnswer (the stream has ended)."""
        import aiohttp

        wanted = {"create_request": {"key": encode(prefix), "range_end": encode(_end(prefix)), "start_revision": str(revision)}}
        try:
            async with self._http().post("http://etcd/v3/watch", data=orjson.dumps(wanted), read_bufsize=1 << 20) as answer:
                rest = bytearray()
                async for piece in answer.content.iter_any():
                    rest += piece
                    if len(rest) > _WATCH_LINE:
                        raise NoAnswer("etcd sends too much at once")
                    if b"\n" not in piece:
                        continue
                    *lines, last = bytes(rest).split(b"\n")
                    rest = bytearray(last)
                    for line in lines:
                        for rows in self._changes(line):
                            yield rows
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
            raise NoAnswer(f"etcd's watch broke: {error or type(error).__name__}") from None
        raise NoAnswer("etcd's watch ended")

    def _changes(self, line: bytes) -> list[list[Row]]:
        try:
            found = orjson.loads(line)
        except ValueError:
            raise NoAnswer(f"etcd's watch brought nonsense: {line[:80]!r}") from None
        if "error" in found:
            self._fail(found["error"] if isinstance(found["error"], dict) else found)
        result = found.get("result") or {}
        if int(result.get("compact_revision") or 0):
            raise Compacted("etcd: the revision was compacted")
        if result.get("canceled"):
            raise NoAnswer(f"etcd's watch was ended: {result.get('cancel_reason')}")
        groups: dict[int, list[Row]] = {}
        for event in result.get("events") or ():
            row = _row(event["kv"], event.get("type") == "DELETE")
            groups.setdefault(row.revision, []).append(row)
        return list(groups.values())

    # --- the cluster

    async def health(self, seconds: float = 2.0) -> Health:
        """How the member is."""
        found = await self.post("maintenance/status", {}, seconds)
        return Health(
            int(found["header"]["member_id"]),
            int(found.get("leader") or 0),
            int(found.get("dbSize") or 0),
            int(found.get("dbSizeInUse") or 0),
            bool(found.get("isLearner")),
            any("NOSPACE" in str(one) for one in found.get("errors") or ()),
        )

    async def members(self) -> list[Member]:
        """All members."""
        found = await self.post("cluster/member/list", {})
        return [
            Member(int(row["ID"]), str(row.get("name") or ""), tuple(row.get("peerURLs") or ()), bool(row.get("isLearner")))
            for row in found.get("members") or ()
        ]

    async def add(self, peer: str) -> tuple[int, list[Member]]:
        """A new member that learns; its id, and all members."""
        found = await self.post("cluster/member/add", {"peerURLs": [peer], "isLearner": True})
        return int(found["member"]["ID"]), await self.members()

    async def promote(self, member: int) -> None:
        """A learner votes from now on. Raises EtcdError while it has not caught up."""
        await self.post("cluster/member/promote", {"ID": str(member)})

    async def remove(self, member: int) -> None:
        """A member goes; gone already is fine."""
        try:
            await self.post("cluster/member/remove", {"ID": str(member)})
        except EtcdError as error:
            if "not found" not in error.message:
                raise

    async def move_leader(self, member: int) -> None:
        """Hand the leadership over. Raises EtcdError."""
        await self.post("maintenance/transfer-leadership", {"targetID": str(member)})

    async def revision(self) -> int:
        """The revision of the last write that this member knows."""
        found = await self.post("maintenance/status", {})
        return int(found["header"].get("revision") or 0)

    async def compact(self, revision: int) -> None:
        """Forget what was before a revision, and come back when it is forgotten; forgotten already is fine."""
        try:
            await self.post("kv/compaction", {"revision": str(revision), "physical": True}, 120)
        except EtcdError as error:
            if "compacted" not in error.message:
                raise

    async def disarm(self, member: int) -> None:
        """A member has room again. Raises EtcdError."""
        await self.post("maintenance/alarm", {"action": "DEACTIVATE", "memberID": str(member), "alarm": "NOSPACE"})

    async def defragment(self) -> None:
        """Give space back to the disk; the member answers nothing meanwhile."""
        await self.post("maintenance/defragment", {}, 120)

    async def snapshot(self) -> AsyncIterator[bytes]:
        """The whole database, in pieces."""
        import aiohttp

        try:
            async with self._http().post("http://etcd/v3/maintenance/snapshot", data=b"{}", read_bufsize=1 << 20) as answer:
                async for line in answer.content:
                    found = orjson.loads(line)
                    if "error" in found:
                        self._fail(found)
                    yield base64.b64decode(found["result"].get("blob") or "")
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise NoAnswer(f"etcd's database could not be read: {error}") from None
