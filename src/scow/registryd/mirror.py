"""Other registries under this address: `docker.io/library/alpine` is fetched from Docker Hub when first asked for, and kept.

A tag is looked up upstream again after `mirror_seconds`; while upstream is silent, what is here is served. A blob goes to its clients while
it comes in, however many they are, and is kept when its digest was right. Copies are for reading: nobody pushes into them.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from pathlib import Path

from scow import aio, log
from scow.aio import KeyedLock, Supervisor
from scow.errors import ScowError
from scow.http.messages import ClientGone, Response
from scow.reference import Reference
from scow.registry import fetcher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials, of
from scow.registry.errors import RegistryError
from scow.registry.media import Descriptor, Manifest
from scow.registry.settings import Settings
from scow.registryd import errors
from scow.registryd.ask import Ask
from scow.registryd.manifest import parse
from scow.registryd.metrics import Metrics
from scow.registryd.options import Options, Upstream
from scow.registryd.store import Store

logger = log.get(__name__)

_BATCH = 1 << 20
_REPOSITORY_SECONDS = 60.0
_MANY = 10_000
_CONFIG_MAX = 1 << 20


class Fetch:
    """A blob on its way in. `at` bytes of `size` are in the upload `id`."""

    def __init__(self, digest: str, size: int) -> None:
        self.id = secrets.token_hex(16)
        self.digest = digest
        self.size = size
        self.at = 0
        self.failed: ScowError | None = None
        self.done = False
        self._moved = asyncio.Event()

    def move(self) -> None:
        """Something has changed: wake everybody."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def beyond(self, at: int) -> None:
        """Wait until there is more than `at` bytes, or the end."""
        while self.at <= at and not self.done and self.failed is None:
            await self._moved.wait()


class Mirror:
    """The upstreams of the server."""

    def __init__(self, options: Options, store: Store, tasks: Supervisor, metrics: Metrics) -> None:
        self._options = options
        self._store = store
        self._tasks = tasks
        self._metrics = metrics
        self._registry = Registry(Settings(insecure=options.insecure_upstreams, attempts=3))
        self._credentials = _credentials(options.upstream_config)
        self._repositories: dict[str, tuple[Repository, float]] = {}
        self._checked: dict[tuple[str, str], float] = {}
        self._locks = KeyedLock()
        self._fetches: dict[tuple[str, str], Fetch] = {}

    async def close(self) -> None:
        """Drop the connections."""
        await self._registry.close()

    def covers(self, name: str) -> bool:
        """Whether a repository is a copy."""
        return self._upstream(name) is not None

    def _upstream(self, name: str) -> Upstream | None:
        for upstream in self._options.upstreams:
            if name.startswith(upstream.prefix + "/"):
                return upstream
        return None

    def name_of(self, ask: Ask) -> str:
        """The copy that a request means, "" for none: by its name, by `ns=` as containerd and hosts.toml say it, or by --mirror.

        Raises Refused where the caller may not pull the copy.
        """
        name = self._copy(ask)
        if name:
            ask.require("pull", name)
        return name

    def _copy(self, ask: Ask) -> str:
        name = ask.name
        upstream = self._upstream(name)
        if upstream is None:
            prefix = ask.query.get("ns", "") or self._options.mirror
            upstream = next((one for one in self._options.upstreams if prefix in (one.prefix, one.domain)), None)
            if upstream is None or not prefix:
                return ""
            name = f"{upstream.prefix}/{name}"
        path = name[len(upstream.prefix) + 1 :]
        return f"{upstream.prefix}/library/{path}" if upstream.domain == "docker.io" and "/" not in path else name

    def _repository(self, name: str) -> Repository:
        now = time.monotonic()
        found = self._repositories.get(name)
        if found is None or found[1] < now:
            upstream = self._upstream(name)
            assert upstream is not None
            reference = Reference(upstream.domain, name[len(upstream.prefix) + 1 :])
            credentials = self._credentials.get(upstream.domain, Credentials())
            if len(self._repositories) > _MANY:
                self._repositories.clear()
            found = self._repositories[name] = (self._registry.repository(reference, credentials), now + _REPOSITORY_SECONDS)
        return found[0]

    # --- manifests and tags

    async def manifest(self, name: str, reference: str) -> Manifest:
        """The manifest of a copy, fetched where it is missing or its tag may have moved. Raises Refused."""
        catalog = self._store.catalog
        async with self._locks(f"{name} {reference}"):
            digest = reference if ":" in reference else catalog.resolve(name, reference)
            held = catalog.manifest(name, digest) if digest else None
            fresh = ":" in reference or self._checked.get((name, reference), 0.0) > time.monotonic()
            if held is not None and fresh:
                self._metrics.add("upstream_hits_total")
                return held
            try:
                return await self._update(name, reference, held)
            except ScowError as error:
                if isinstance(error, errors.Refused):
                    raise
                self._repositories.pop(name, None)
                missing = isinstance(error, RegistryError) and error.status in (401, 403, 404)
                if not missing:
                    self._metrics.add("upstream_errors_total")
                    logger.warning("upstream of %s fails: %s", name, error.message)
                if held is not None and not missing:
                    return held
                if missing:
                    raise errors.manifest_unknown(name, reference) from None
                raise errors.Refused(502, "UNAVAILABLE", f"the upstream registry of {name} does not answer: {error.message}") from None

    async def _update(self, name: str, reference: str, held: Manifest | None) -> Manifest:
        repository = self._repository(name)
        found = held
        if held is None or (await fetcher.head(repository, reference))[0] != held.digest:
            self._metrics.add("upstream_fetches_total")
            got = await fetcher.manifest(repository, reference)
            # a manifest is known by the digest it is asked for: that of a tag is SHA-256
            digest = reference if ":" in reference else got.digest
            parsed = parse(got.data, got.media_type)
            found = Manifest(digest, parsed.media_type, got.data)
            tag = "" if ":" in reference else reference
            await aio.in_pool(self._store.catalog.put_manifest, name, found, parsed, tag)
        assert found is not None
        if len(self._checked) > _MANY:
            self._checked.clear()
        self._checked[name, reference] = time.monotonic() + self._options.mirror_seconds
        return found

    async def tags(self, name: str) -> list[str]:
        """Every tag upstream, sorted. Raises Refused."""
        try:
            return sorted(await fetcher.tags(self._repository(name)))
        except ScowError as error:
            self._repositories.pop(name, None)
            if isinstance(error, RegistryError) and error.status in (401, 403, 404):
                raise errors.name_unknown(name) from None
            found = self._store.catalog.tags(name, _MANY, "")
            if found:
                return found
            raise errors.Refused(502, "UNAVAILABLE", f"the upstream registry of {name} does not answer: {error.message}") from None

    # --- blobs

    async def blob(self, ask: Ask, name: str) -> Response | None:
        """Answer with a blob that is not here yet: its bytes go out as they come in. Raises Refused."""
        digest = ask.reference
        size, is_blob = self._store.catalog.promised(name, digest)
        if not is_blob:
            raise errors.blob_unknown(digest)
        headers = [("Docker-Content-Digest", digest), ("ETag", f'"{digest}"'), ("Content-Type", "application/octet-stream")]
        if ask.request.method == "HEAD":
            return Response(200, headers=headers, length=size)
        if self._options.max_blob and size > self._options.max_blob:
            raise errors.too_large("the blob", self._options.max_blob)
        fetch = self._fetches.get((name, digest))
        if fetch is None:
            fetch = self._fetches[name, digest] = Fetch(digest, size)
            self._store.driver.append(fetch.id, 0).close()  # at once: the next request looks for it
            self._tasks.start(self._run(name, fetch), "upstream blob")
        opened = await aio.in_pool(self._store.driver.peek, fetch.id) or self._store.open(digest)
        if opened is None:
            raise errors.unavailable("the blob has just failed to come from upstream: try again")
        try:
            await fetch.beyond(0)  # a failure at once is an answer, one half-way can only be the end of the connection
            if fetch.failed is not None and not fetch.at:
                if isinstance(fetch.failed, RegistryError) and fetch.failed.status == 404:
                    raise errors.blob_unknown(digest)
                raise errors.Refused(502, "UNAVAILABLE", f"the upstream registry does not give the blob: {fetch.failed.message}")
            writer = await ask.request.stream(200, headers, "", length=size)
            at = 0
            while at < size:
                await fetch.beyond(at)
                if fetch.at <= at:
                    raise ClientGone
                data = await asyncio.shield(aio.in_pool(opened.read, at, min(fetch.at - at, _BATCH)))
                if not data:
                    raise ClientGone
                at += len(data)
                await asyncio.wait_for(writer.write(data), self._options.stall_seconds)
                self._metrics.add("sent_bytes_total", len(data))
            await writer.end()
        except TimeoutError:
            raise ClientGone from None
        finally:
            opened.close()
        return None

    async def _run(self, name: str, fetch: Fetch) -> None:
        """Bring a blob in; it ends with the blob stored, or with `fetch.failed`."""
        try:
            await self._bring(name, fetch)
            fetch.done = True
        except ScowError as error:
            fetch.failed = error
        except OSError as error:
            fetch.failed = errors.of(error) or errors.unavailable(f"the blob cannot be stored: {error.strerror or error}")
        finally:
            if not fetch.done:
                fetch.failed = fetch.failed or errors.unavailable("the registry is stopping")
                self._metrics.add("upstream_errors_total")
                logger.warning("%s of %s does not come from upstream: %s", fetch.digest, name, fetch.failed.message)
                with contextlib.suppress(Exception):
                    await asyncio.shield(aio.in_pool(self._store.abandon, fetch.id))
            self._fetches.pop((name, fetch.digest), None)
            fetch.move()

    async def _bring(self, name: str, fetch: Fetch) -> None:
        self._metrics.add("upstream_fetches_total")
        algorithm = fetch.digest.partition(":")[0]
        hasher = hashlib.new(algorithm, usedforsecurity=True)
        writer = await aio.in_pool(self._store.driver.append, fetch.id, 0)

        def put(data: bytes) -> None:
            writer.write(memoryview(data))
            hasher.update(data)

        async def flush() -> None:
            data = b"".join(batch)
            batch.clear()
            await asyncio.shield(aio.in_pool(put, data))
            fetch.at += len(data)
            fetch.move()

        batch: list[bytes] = []
        held = 0
        try:
            wanted = Descriptor(fetch.digest, fetch.size)
            async with contextlib.aclosing(fetcher.blob(self._repository(name), wanted, 0)) as stream:
                async for piece in stream:
                    batch.append(piece)
                    held += len(piece)
                    if held >= _BATCH:
                        held = 0
                        await flush()
            await flush()
        finally:
            await asyncio.shield(aio.in_pool(writer.close))
        if f"{algorithm}:{hasher.hexdigest()}" != fetch.digest:
            raise errors.digest_invalid("upstream sent other bytes than the digest says")
        await asyncio.shield(aio.in_pool(self._store.commit, name, fetch.id, fetch.digest, fetch.size))


def _credentials(path: Path | None) -> dict[str, Credentials]:
    """The `auths` of a file in the format of ~/.docker/config.json, by registry. Raises ScowError."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_CONFIG_MAX))
        rows = document.get("auths", {}).items()
    except (OSError, ValueError, AttributeError) as error:
        raise ScowError(f"the upstream credentials in {path} cannot be read: {error}") from None
    found = {}
    for server, entry in rows:
        host = server.removeprefix("https://").removeprefix("http://").split("/")[0]
        found["docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host] = of(entry)
    return found
