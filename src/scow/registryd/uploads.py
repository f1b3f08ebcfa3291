"""Upload sessions: begun by POST, fed by PATCH, ended by PUT; they survive broken connections and restarts of the server.

The digest is computed while the bytes come. After a restart (or for another algorithm than SHA-256) the file is read once more at the end.
"""

import asyncio
import contextlib
import hashlib
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from scow import aio, log
from scow.http.messages import Request
from scow.registryd import errors
from scow.registryd.metrics import Metrics
from scow.registryd.store import Store

if TYPE_CHECKING:
    from scow.registryd.storage.driver import Writer

logger = log.get(__name__)

_READ = 1 << 20
_SESSIONS_MAX = 20_000
_TAKE_OVER_SECONDS = 30.0


class Session:
    """One upload. `offset` bytes are there; `hasher` is None when it has not seen all of them."""

    __slots__ = ("_closed", "_guard", "_writer", "hasher", "id", "limit", "lock", "name", "offset", "owner")

    def __init__(self, identity: str, name: str, offset: int, limit: int) -> None:
        self.id = identity
        self.name = name
        self.offset = offset
        self.limit = limit
        self.hasher: Any = hashlib.sha256() if offset == 0 else None
        self.lock = asyncio.Lock()
        self.owner: asyncio.Task[Any] | None = None
        self._guard = threading.Lock()
        self._writer: Writer | None = None
        self._closed = True

    def open(self, writer: "Writer") -> None:
        """Bytes are coming."""
        self._writer, self._closed = writer, False

    def take(self, data: memoryview) -> None:
        """Bytes have come; in a pool thread. Raises Refused, OSError."""
        with self._guard:
            if self._closed or self._writer is None:
                raise errors.upload_invalid("another request has taken the upload over")
            if self.limit and self.offset + len(data) > self.limit:
                raise errors.too_large("the blob", self.limit)
            self._writer.write(data)
            if self.hasher is not None:
                self.hasher.update(data)
            self.offset += len(data)

    def close(self) -> None:
        """No bytes are coming any more; waits for those just being written."""
        with self._guard:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None


class Uploads:
    """All sessions of the server."""

    def __init__(self, store: Store, metrics: Metrics, max_blob: int, stall_seconds: float) -> None:
        self._store = store
        self._metrics = metrics
        self._max = max_blob
        self._stall = stall_seconds
        self._sessions: dict[str, Session] = {}

    async def begin(self, name: str) -> Session:
        """A new session in a repository. Raises Refused when there are too many."""
        if len(self._sessions) >= _SESSIONS_MAX:
            raise errors.unavailable("too many uploads are under way: try again later")
        session = Session(secrets.token_hex(16), name, 0, self._max)

        def make() -> None:
            self._store.driver.append(session.id, 0).close()
            self._store.catalog.begin_upload(session.id, name)

        await aio.in_pool(make)
        self._sessions[session.id] = session
        return session

    async def get(self, name: str, identity: str) -> Session:
        """The session of this id in this repository. Raises Refused."""
        session = self._sessions.get(identity)
        if session is None:
            repository = self._store.catalog.upload(identity)
            size = await aio.in_pool(self._store.driver.uploaded, identity) if repository else None
            if size is None:
                raise errors.upload_unknown()
            session = self._sessions.setdefault(identity, Session(identity, repository, size, self._max))
        if session.name != name:
            raise errors.upload_unknown()
        return session

    def holds(self, session: Session) -> bool:
        """Whether the session is still going on."""
        return self._sessions.get(session.id) is session

    async def receive(self, session: Session, request: Request, start: int = -1) -> None:
        """Append the request's body, which begins at `start` of the blob (-1: where the session is). Raises Refused, BodyBroken.

        A request that still holds the session is ended: its client has come back on another line.
        """
        async with self._owned(session):
            if start not in (-1, session.offset):
                raise range_invalid(session)
            length = request.head.length
            if length == 0:
                return
            if self._max and length is not None and session.offset + length > self._max:
                raise errors.too_large("the blob", self._max)
            before = session.offset
            session.open(await aio.in_pool(self._store.driver.append, session.id, session.offset))
            self._metrics.uploading += 1
            try:
                await request.receive(session.take, self._stall)
            finally:
                self._metrics.uploading -= 1
                await asyncio.shield(aio.in_pool(session.close))
                self._metrics.add("received_bytes_total", session.offset - before)

    async def finish(self, session: Session, digest: str) -> int:
        """Check the digest and make the upload a blob of the repository; its size. Raises Refused (then the session is gone)."""
        async with self._owned(session):
            found = await self._digest(session, digest.partition(":")[0])
            if found != digest:
                await self._drop(session)
                raise errors.digest_invalid("provided digest did not match uploaded content", {"digest": digest, "uploaded": found})
            try:
                await asyncio.shield(aio.in_pool(self._store.commit, session.name, session.id, digest, session.offset))
            except FileNotFoundError:
                self._sessions.pop(session.id, None)
                # a request of the same client, which gave it up, may have come first
                if self._store.catalog.linked(session.name, digest) is None:
                    raise errors.upload_unknown() from None
            self._sessions.pop(session.id, None)
        self._metrics.add("uploads_total")
        return session.offset

    async def cancel(self, session: Session) -> None:
        """Forget an upload."""
        async with self._owned(session):
            await self._drop(session)

    async def expire(self, seconds: float) -> int:
        """Forget uploads nobody has gone on with for so long; how many."""

        def old() -> list[str]:
            before = time.time_ns() - int(seconds * 1e9)
            return [identity for identity, touched in self._store.driver.uploads() if touched < before]

        count = 0
        for identity in await aio.in_pool(old):
            session = self._sessions.get(identity)
            if session is None or not session.lock.locked():
                self._sessions.pop(identity, None)
                await aio.in_pool(self._store.abandon, identity)
                count += 1
        return count

    @contextlib.asynccontextmanager
    async def _owned(self, session: Session) -> Any:
        if session.owner is not None and session.owner is not asyncio.current_task():
            session.owner.cancel()
        try:
            async with asyncio.timeout(_TAKE_OVER_SECONDS):
                await session.lock.acquire()
        except TimeoutError:
            raise errors.upload_invalid("the upload is busy with another request") from None
        try:
            if self._sessions.get(session.id) is not session:
                raise errors.upload_unknown()
            session.owner = asyncio.current_task()
            yield
        finally:
            session.owner = None
            session.lock.release()

    async def _drop(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        await asyncio.shield(aio.in_pool(self._store.abandon, session.id))

    async def _digest(self, session: Session, algorithm: str) -> str:
        if algorithm == "sha256" and session.hasher is not None:
            return "sha256:" + str(session.hasher.hexdigest())
        return await aio.in_pool(self._reread, session.id, algorithm)

    def _reread(self, identity: str, algorithm: str) -> str:
        blob = self._store.driver.peek(identity)
        if blob is None:
            raise errors.upload_unknown()
        hasher = hashlib.new(algorithm, usedforsecurity=True)
        at = 0
        try:
            while data := blob.read(at, _READ):
                hasher.update(data)
                at += len(data)
        finally:
            blob.close()
        return f"{algorithm}:{hasher.hexdigest()}"


def progress(session: Session) -> str:
    """The Range header of a session: what has arrived, inclusive."""
    return f"0-{max(session.offset - 1, 0)}"


def range_invalid(session: Session) -> errors.Refused:
    """A piece that does not begin where the session is."""
    headers = (
        ("Location", f"/v2/{session.name}/blobs/uploads/{session.id}"),
        ("Range", progress(session)),
        ("Docker-Upload-UUID", session.id),
    )
    return errors.Refused(416, "BLOB_UPLOAD_INVALID", "the upload goes on at another offset: see Range", headers=headers)
