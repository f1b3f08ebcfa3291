"""Caches in directories of the client (`--cache-to`, `--cache-from type=local`): an OCI layout that the engine reads and writes over the session.

The calls are containerd's content service. The engine gets blobs by digest and nothing else; what it writes is taken when it has the digest
it was announced with. Stored: `blobs/sha256/<hex>` and `index.json` in the directory that the command line named.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

from scow.build.session import messages, rpc
from scow.errors import ScowError

_SERVICE = "/containerd.services.content.v1.Content/"
_STORE = "buildkit-attachable-store-id"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_NAME = "org.opencontainers.image.ref.name"
_STAT, _WRITE, _COMMIT = range(3)
_CHUNK = 1 << 20
_INDEX_MAX = 4 << 20


class Store:
    """One directory. Raises ScowError for one that cannot be made."""

    def __init__(self, place: str, writable: bool = False) -> None:
        self.place = os.path.abspath(place)
        self.writable = writable
        if writable:
            try:
                os.makedirs(os.path.join(self.place, "blobs", "sha256"), exist_ok=True)
            except OSError as error:
                raise ScowError(f"cannot write a cache to {place}: {error.strerror}") from None

    def path(self, digest: str) -> str:
        """Where a blob lies. Raises RpcError for what is no digest."""
        if not _DIGEST.match(digest):
            raise rpc.RpcError(rpc.INVALID, f"invalid digest {digest[:100]!r}")
        return os.path.join(self.place, "blobs", "sha256", digest.removeprefix("sha256:"))

    def index(self) -> list[dict[str, Any]]:
        """The descriptors of its index, [] when there is none."""
        try:
            with open(os.path.join(self.place, "index.json"), "rb") as file:
                rows = json.loads(file.read(_INDEX_MAX)).get("manifests")
        except (OSError, ValueError, AttributeError, RecursionError):
            return []
        return [row for row in rows if isinstance(row, dict) and _DIGEST.match(str(row.get("digest")))] if isinstance(rows, list) else []

    def tagged(self, tag: str) -> str:
        """The digest that a tag leads to (the only one there is, when none is tagged), "" without one."""
        rows = self.index()
        named = [row for row in rows if (row.get("annotations") or {}).get(_NAME) == tag]
        found = named or (rows if len(rows) == 1 else [])
        return str(found[-1]["digest"]) if found else ""

    def name(self, descriptor: str, tag: str) -> None:
        """Make a tag lead to a manifest that was written. Raises ScowError."""
        try:
            row = json.loads(descriptor)
            made = {"mediaType": str(row["mediaType"]), "digest": str(row["digest"]), "size": int(row["size"]), "annotations": {_NAME: tag}}
        except (ValueError, KeyError, TypeError):
            raise ScowError("the engine described the cache that it wrote in no way that can be read") from None
        kept = [one for one in self.index() if (one.get("annotations") or {}).get(_NAME) != tag]
        self._replace("index.json", json.dumps({"schemaVersion": 2, "manifests": [*kept, made]}).encode())
        self._replace("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def _replace(self, name: str, data: bytes) -> None:
        target = os.path.join(self.place, name)
        try:
            with open(f"{target}.{os.getpid()}", "wb") as file:
                file.write(data)
            os.replace(file.name, target)
        except OSError as error:
            raise ScowError(f"cannot write {target}: {error.strerror}") from None


class Stores:
    """The content service over the directories, by the names that the engine has for them."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = stores

    def methods(self) -> dict[str, tuple[Any, Any, bool, bool]]:
        """By path, as `rpc.Server` takes them."""
        return {
            _SERVICE + "Info": (self.info, messages.CONTENT.InfoRequest, False, False),
            _SERVICE + "Read": (self.read, messages.CONTENT.ReadContentRequest, False, True),
            _SERVICE + "Write": (self.write, None, True, True),
        }

    def _store(self, call: rpc.Call) -> Store:
        found = self._stores.get(call.value(_STORE))
        if found is None:
            raise rpc.RpcError(rpc.NOT_FOUND, f"no content store {call.value(_STORE)[:200]!r} was offered")
        return found

    def _file(self, call: rpc.Call, digest: str) -> str:
        path = self._store(call).path(digest)
        if not os.path.isfile(path):
            raise rpc.RpcError(rpc.NOT_FOUND, f"content {digest}: not found")
        return path

    async def info(self, request: Any, call: rpc.Call) -> Any:
        """The size of a blob."""
        reply = messages.CONTENT.InfoResponse()
        reply.info.digest, reply.info.size = request.digest, os.path.getsize(self._file(call, request.digest))
        return reply

    async def read(self, request: Any, call: rpc.Call) -> None:
        """Send a blob, or a part of it."""
        left = request.size if request.size > 0 else 1 << 62
        with open(self._file(call, request.digest), "rb") as file:
            file.seek(max(0, request.offset))
            while left and (data := await asyncio.to_thread(file.read, min(_CHUNK, left))):
                left -= len(data)
                await call.send(messages.CONTENT.ReadContentResponse(offset=file.tell() - len(data), data=data))

    async def write(self, call: rpc.Call) -> None:
        """Take a blob: announced, sent in pieces, and kept when it has the digest that was announced."""
        store = self._store(call)
        if not store.writable:
            raise rpc.RpcError(rpc.INVALID, "this cache is only read")
        hasher, came, expected = hashlib.sha256(), 0, ""
        with tempfile.NamedTemporaryFile(dir=os.path.join(store.place, "blobs"), prefix=".in-") as file:
            while (data := await call.read()) is not None:
                request = messages.CONTENT.WriteContentRequest.FromString(data)
                expected = request.expected or expected
                target = store.path(expected)
                if request.action == _STAT and os.path.exists(target):
                    raise rpc.RpcError(rpc.EXISTS, f"content {expected}: already exists")
                if request.data:
                    if request.offset not in (0, came) and request.action == _WRITE:
                        raise rpc.RpcError(rpc.INVALID, f"a piece at {request.offset}, {came} bytes are here")
                    hasher.update(request.data)
                    await asyncio.to_thread(file.write, request.data)
                    came += len(request.data)
                digest = "sha256:" + hasher.hexdigest()
                if request.action == _COMMIT:
                    if digest != expected:
                        raise rpc.RpcError(rpc.INVALID, f"unexpected digest {digest}, {expected} was announced")
                    file.flush()
                    os.chmod(file.name, 0o644)
                    with contextlib.suppress(FileExistsError):
                        os.link(file.name, target)
                await call.send(
                    messages.CONTENT.WriteContentResponse(action=request.action, offset=came, total=request.total, digest=digest)
                )
