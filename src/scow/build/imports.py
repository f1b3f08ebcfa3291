"""`--cache-from`: the cache that an image in a registry carries (see `exporters/cache.py`).

The config is fetched when the first key is asked for; the layers come with the first key that it has. A cache that cannot be had is a line
in the build's story and no failure. What is brought becomes rows of the build cache; the image itself is not kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from scow import log
from scow.build.exporters.cache import FIELD, MAX_RECORDS
from scow.build.ops.kit import Kit
from scow.build.refs import REGULAR, TreeRef, new_id
from scow.build.solver.progress import Progress
from scow.build.solver.step import step
from scow.build.solver.types import Result
from scow.errors import InvalidArgument, NotFound, ScowError
from scow.images.platforms import host_platform
from scow.images.store import chain_ids
from scow.reference import Reference

logger = log.get(__name__)

_MAX_IMPORTS = 50


def wanted(given: Sequence[tuple[str, Mapping[str, str]]], text: str) -> list[tuple[str, dict[str, str]]]:
    """The caches that a build may use, of registries and clients: `given` (type, attributes), and BuildKit's option `cache-imports`
    (JSON of the same).

    Raises InvalidArgument for a text that is none; other types of caches are left out."""
    rows: list[tuple[str, Mapping[str, str]]] = list(given)
    if text:
        try:
            rows += [(str(one.get("Type", "")), one.get("Attrs") or {}) for one in json.loads(text)]
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise InvalidArgument("invalid cache-imports: a list of caches in JSON is needed") from None
    found: list[tuple[str, dict[str, str]]] = []
    for kind, attrs in rows:
        known = isinstance(attrs, Mapping) and bool(attrs.get({"registry": "ref", "local": "digest"}.get(kind, "")))
        row = (kind, {str(key): str(value) for key, value in attrs.items()} if known else {})
        if known and row not in found:
            found.append(row)
    return found[:_MAX_IMPORTS]


class RegistryCache:
    """The cache of one image. `load` is asked by the solver, key by key."""

    def __init__(self, kit: Kit, progress: Progress, session: str, ref: str) -> None:
        """Raises InvalidArgument (no name of an image)."""
        self.ref = ref
        self._kit = kit
        self._progress = progress
        self._session = session
        self._reference = Reference.parse(ref).tagged()
        self._lock = asyncio.Lock()
        self._records: dict[str, tuple[str, int]] | None = None
        self._layers: list[str] = []
        self._trees: dict[int, TreeRef] = {}
        self._here = False
        self._digest = ""

    async def load(self, key: str) -> tuple[list[Result], str] | None:
        """The tree of a key."""
        async with self._lock:
            if self._records is None:
                self._records = await self._read()
            found = self._records.get(key)
            if found is None:
                return None
            canonical, index = found
            try:
                tree = await self._tree(index)
            except ScowError as error:
                logger.info("cache of %s: %s", self._reference.full(), error.message)
                self._records = {}
                return None
            return [tree], canonical

    async def _auth(self) -> str:
        if self._kit.sessions is None or not self._session:
            return ""
        try:
            return await self._kit.sessions.credentials(self._session, self._reference.domain)
        except NotFound:
            return ""

    async def _read(self) -> dict[str, tuple[str, int]]:
        try:
            async with step(self._progress, f"importing cache manifest from {self._reference.familiar()}"):
                travel = self._kit.images.travel()
                self._digest, spec = await travel.config(self._reference, str(host_platform()), await self._auth())
        except ScowError as error:
            logger.info("no cache from %s: %s", self._reference.full(), error.message)
            return {}
        self._layers = list(chain_ids((spec.get("rootfs") or {}).get("diff_ids") or ()))
        return _records(spec.get(FIELD), len(self._layers))

    async def _tree(self, index: int) -> TreeRef:
        if not self._here:
            await self._bring()
            self._here = True
        if index not in self._trees:
            refs = self._kit.refs
            name = self._layers[index]
            if refs.snapshots.layer(name) is None:
                raise NotFound(f"the layer {name} of the cache is not there")
            refs.images.layers.pinned.add(name)
            description = f"imported cache of {self._reference.familiar()}"
            self._trees[index] = refs.add(new_id(), name, None, REGULAR, description)
        return self._trees[index]

    async def _bring(self) -> None:
        """Pull the image's layers, and let the image go again when it was not here before."""
        images = self._kit.images
        if all(images.snapshots.layer(name) is not None for name in self._layers):
            return
        exact = Reference(self._reference.domain, self._reference.path, "", self._digest)
        known = images.store.named(exact) is not None
        with images.layers.lease(self._layers):
            async with step(self._progress, f"importing cache from {self._reference.familiar()}"):
                async for _ in images.travel().pull(exact, str(host_platform()), await self._auth()):
                    pass
            for index in range(len(self._layers)):
                images.layers.pinned.add(self._layers[index])
            if not known:
                await images.remove(exact.full(), force=True, noprune=True)


def _records(field: Any, layers: int) -> dict[str, tuple[str, int]]:
    """Keys and what they lead to; what makes no sense is left out."""
    try:
        rows = json.loads(base64.b64decode(field, validate=True)) if isinstance(field, str) else []
    except (ValueError, RecursionError):
        return {}
    found: dict[str, tuple[str, int]] = {}
    for row in rows[:MAX_RECORDS] if isinstance(rows, list) else ():
        if not isinstance(row, Mapping):
            continue
        key, results = str(row.get("digest", "")).removeprefix("sha256:"), row.get("layers")
        if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], Mapping):
            continue
        index = results[0].get("layer")
        if isinstance(index, int) and 0 <= index < layers and row.get("canonical"):
            found[key] = (str(row["canonical"]), index)
    return found
