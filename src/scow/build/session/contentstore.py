"""A content store of a client (an OCI layout in one of its directories), reached through its session: containerd's content service.

`ClientStore(begin, "local:<directory>")`; used by caches of type local. Stores nothing here.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from scow.build.session import rpc
from scow.build.session.messages import CONTENT
from scow.errors import DataLoss, NotFound

_PATH = "/containerd.services.content.v1.Content/"
_STORE = "buildkit-attachable-store-id"
_STAT, _WRITE, _COMMIT = range(3)
_CHUNK = 1 << 20

Begin = Callable[[str, dict[str, str | list[str]] | None], rpc.Call]


class ClientStore:
    """One store, by the id that the client gave it."""

    def __init__(self, begin: Begin, id: str) -> None:
        self._begin, self._id = begin, id

    def _call(self, method: str) -> rpc.Call:
        return self._begin(_PATH + method, {_STORE: self._id})

    async def size(self, digest: str) -> int | None:
        """The size of a blob, None when it is not there."""
        call = self._call("Info")
        try:
            await call.send(CONTENT.InfoRequest(digest=digest))
            await call.finish()
            data = await call.read()
            await call.read()
            call.check()
        except rpc.RpcError as error:
            if error.code == rpc.NOT_FOUND or "not found" in error.message:
                return None
            raise
        finally:
            call.reset()
        return int(CONTENT.InfoResponse.FromString(data or b"").info.size)

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes of a blob. Raises NotFound."""
        call = self._call("Read")
        try:
            await call.send(CONTENT.ReadContentRequest(digest=digest))
            await call.finish()
            while (message := await call.read()) is not None:
                yield CONTENT.ReadContentResponse.FromString(message).data
            call.check()
        except rpc.RpcError as error:
            if error.code == rpc.NOT_FOUND:
                raise NotFound(f"the client has no blob {digest}") from None
            raise
        finally:
            call.reset()

    async def write(self, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Put a blob; one that is there is left alone. Raises DataLoss when the client takes something else."""
        if await self.size(digest) == size:
            return
        call = self._call("Write")
        try:
            ref = f"scow-{secrets.token_hex(8)}"
            await self._step(call, action=_STAT, ref=ref, total=size, expected=digest)
            offset = 0
            async for chunk in chunks:
                for at in range(0, len(chunk), _CHUNK):
                    data = chunk[at : at + _CHUNK]
                    await self._step(call, action=_WRITE, ref=ref, offset=offset, data=data)
                    offset += len(data)
            await self._step(call, action=_COMMIT, ref=ref, total=size, offset=offset, expected=digest)
            await call.finish()
            while await call.read() is not None:
                pass
            call.check()
        except rpc.RpcError as error:
            if error.code != rpc.EXISTS and "already exists" not in error.message:
                raise
        finally:
            call.reset()

    @staticmethod
    async def _step(call: rpc.Call, **fields: Any) -> None:
        await call.send(CONTENT.WriteContentRequest(**fields))
        if await call.read() is None:
            call.check()
            raise DataLoss("the client stopped taking a blob half-way")
