"""`--cache-from type=registry` and `type=local`: caches that `exporters/remote.py` wrote. A registry's reference without one is asked for
an inline cache (`imports.py`).

Manifest and config are fetched when the first key is asked for, layers with the keys that need them. A cache that cannot be had is a line
in the build's story and no failure. What is brought becomes rows of the build cache.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from scow import log
from scow.build.exporters.cache import MAX_RECORDS
from scow.build.exporters.remote import CONFIG
from scow.build.imports import RegistryCache
from scow.build.ops.kit import Kit
from scow.build.refs import REGULAR, TreeRef, new_id
from scow.build.session.registry import Sessions
from scow.build.solver.progress import Progress
from scow.build.solver.step import step
from scow.build.solver.types import Result
from scow.content.store import check
from scow.errors import DataLoss, InvalidArgument, ScowError
from scow.images.store import chain_ids
from scow.reference import Reference
from scow.registry import fetcher
from scow.registry.media import Descriptor

logger = log.get(__name__)

_CONFIG_MAX = 64 << 20
_MANIFEST_MAX = 16 << 20
_LAYERS_MAX = 20_000


class Source(Protocol):
    """Where a cache lies."""

    async def manifest(self) -> bytes: ...

    def blob(self, digest: str, size: int) -> AsyncIterator[bytes]: ...


class _InRegistry:
    def __init__(self, kit: Kit, sessions: Sessions, session: str, ref: str) -> None:
        self._kit, self._sessions, self._session = kit, sessions, session
        self._reference = Reference.parse(ref).tagged()
        self._repository: Any = None

    async def manifest(self) -> bytes:
        auth = await self._sessions.credentials(self._session, self._reference.domain)
        self._repository = self._kit.images.travel().repository(self._reference, auth)
        return (await fetcher.manifest(self._repository, self._reference.digest or self._reference.tag)).data

    def blob(self, digest: str, size: int) -> AsyncIterator[bytes]:
        return fetcher.blob(self._repository, Descriptor(digest, size), 0)


class _AtClient:
    def __init__(self, sessions: Sessions, session: str, attrs: Mapping[str, str]) -> None:
        self._sessions, self._session = sessions, session
        self._directory, self._digest = attrs.get("src", ""), check(attrs.get("digest", ""))

    async def manifest(self) -> bytes:
        data = bytearray()
        async for piece in self.blob(self._digest, _MANIFEST_MAX):
            data += piece
        return bytes(data)

    def blob(self, digest: str, size: int) -> AsyncIterator[bytes]:
        return self._sessions.blob(self._session, f"local:{self._directory}", digest, size)


class RemoteCache:
    """One cache. `load` is asked by the solver, key by key."""

    def __init__(self, kit: Kit, sessions: Sessions, progress: Progress, session: str, kind: str, attrs: Mapping[str, str]) -> None:
        """Raises InvalidArgument for attributes that lead nowhere."""
        self.ref = attrs.get("ref", "") if kind == "registry" else f"local:{attrs.get('src', '')}@{attrs.get('digest', '')}"
        self._kit, self._progress, self._session = kit, progress, session
        self._source: Source
        self._inline: RegistryCache | None = None
        if kind == "registry":
            self._source = _InRegistry(kit, sessions, session, self.ref)
            self._fallback: RegistryCache | None = RegistryCache(kit, progress, session, self.ref)
        else:
            self._source, self._fallback = _AtClient(sessions, session, attrs), None
        self._lock = asyncio.Lock()
        self._records: dict[str, tuple[str, int]] | None = None
        self._layers: list[tuple[str, int, str, int, int]] = []
        """Blob, its size, diff id, parent, when it was made (ns, 0 = unknown)."""
        self._names: list[str] = []
        self._trees: dict[int, TreeRef] = {}

    async def load(self, key: str) -> tuple[list[Result], str] | None:
        """The tree of a key, brought here; None when this cache has none."""
        async with self._lock:
            if self._records is None:
                self._records = await self._read()
            if self._inline is None:
                found = self._records.get(key)
                if found is None:
                    return None
                canonical, index = found
                try:
                    return [await self._tree(index)], canonical
                except ScowError as error:
                    logger.info("cache of %s: %s", self.ref, error.message)
                    self._records = {}
                    return None
        return await self._inline.load(key)

    async def _read(self) -> dict[str, tuple[str, int]]:
        try:
            manifest = _object(await self._source.manifest())
            config = manifest.get("config")
            if not isinstance(config, dict) or config.get("mediaType") != CONFIG:
                self._inline = self._fallback
                if self._inline is None:
                    raise InvalidArgument("this is no build cache")
                return {}
            async with step(self._progress, f"importing cache manifest from {self.ref}"):
                data = await self._verified(str(config.get("digest")), int(config.get("size") or 0), _CONFIG_MAX)
                return self._parse(_object(data), manifest)
        except (ScowError, ValueError, TypeError, LookupError, AttributeError) as error:
            logger.info("no cache from %s: %s", self.ref, error)
            return {}

    async def _verified(self, digest: str, size: int, limit: int) -> bytes:
        if not 0 <= size <= limit:
            raise InvalidArgument("a build cache with a description that is too big")
        data = bytearray()
        async for piece in self._source.blob(check(digest), size):
            data += piece
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise DataLoss(f"the cache's description is not {digest}")
        return bytes(data)

    def _parse(self, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
        sizes = {str(one.get("digest")): int(one.get("size") or 0) for one in manifest.get("layers") or () if isinstance(one, dict)}
        rows = config.get("layers")
        for index, row in enumerate(rows[:_LAYERS_MAX] if isinstance(rows, list) else ()):
            blob, diff_id, parent = check(str(row["blob"])), check(str(row["diff_id"])), int(row["parent"])
            if not -1 <= parent < index or sizes.get(blob, -1) < 0:
                raise InvalidArgument("a build cache whose layers make no sense")
            self._layers.append((blob, sizes[blob], diff_id, parent, max(0, int(row.get("created") or 0))))
            self._names.append(chain_ids((self._names[parent], diff_id))[-1] if parent >= 0 else diff_id)
        found: dict[str, tuple[str, int]] = {}
        records = config.get("records")
        for row in records[:MAX_RECORDS] if isinstance(records, list) else ():
            results = row.get("layers") if isinstance(row, Mapping) else None
            if not isinstance(results, list) or len(results) != 1 or not row.get("canonical"):
                continue
            index = results[0].get("layer")
            if isinstance(index, int) and 0 <= index < len(self._layers):
                found[str(row.get("digest", "")).removeprefix("sha256:")] = (str(row["canonical"]), index)
        return found

    async def _tree(self, index: int) -> TreeRef:
        if index not in self._trees:
            refs = self._kit.refs
            chain = [index]
            while (parent := self._layers[chain[-1]][3]) >= 0:
                chain.append(parent)
            with refs.images.layers.lease([self._names[one] for one in chain]):
                for one in reversed(chain):
                    await self._layer(one)
                refs.images.layers.pinned.add(self._names[index])
                tree = self._trees[index] = refs.add(new_id(), self._names[index], None, REGULAR, f"imported cache of {self.ref}")
                if made := self._layers[index][4]:  # images made of it are the same as where the cache comes from
                    refs.table.put(tree.id, {**(refs.table.get(tree.id) or {}), "created": made})
        return self._trees[index]

    async def _layer(self, index: int) -> None:
        """Fetch and unpack one layer that is not here."""
        blob, size, diff_id, parent, _ = self._layers[index]
        images = self._kit.images
        if images.snapshots.layer(self._names[index]) is not None:
            return
        below = self._names[parent] if parent >= 0 else ""
        with images.layers.hold(blob):
            if not images.content.has(blob):
                async with step(self._progress, f"importing layer {blob}") as told:
                    await self._fetch(blob, size, lambda came: told.status(blob, current=came, total=size))
                    told.status(blob, current=size, total=size, completed=True)
            await images.layers.add_file(below, diff_id, images.content.path(blob), blob)

    async def _fetch(self, blob: str, size: int, moved: Any) -> None:
        images = self._kit.images
        hasher = hashlib.sha256()
        came = 0
        with images.content.ingest() as ingest:
            path = ingest.path / "data"
            with open(path, "wb") as file:
                async for piece in self._source.blob(blob, size):
                    hasher.update(piece)
                    file.write(piece)
                    came += len(piece)
                    moved(came)
            if "sha256:" + hasher.hexdigest() != blob:
                raise DataLoss(f"the cache's layer is not {blob}")
            images.content.commit(path, blob)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument("this is no build cache")
    return found
