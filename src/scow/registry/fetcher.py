"""What comes from a registry: manifests (small, verified) and blobs (streams that go on where they broke off)."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from urllib.parse import urljoin, urlsplit

import orjson

from scow import log
from scow.content.store import check
from scow.errors import InvalidArgument, ScowError
from scow.registry.client import Repository
from scow.registry.errors import Broken, RegistryError, Unreachable
from scow.registry.media import ACCEPT, Descriptor, Manifest
from scow.registry.resolver import Endpoint
from scow.registry.transport import REPLY_SECONDS, read, unreachable

logger = log.get(__name__)

MANIFEST_MAX = 4 << 20
TAGS_MAX = 10_000
_TAG_PAGE_MAX = 4 << 20
_MOVED = 256 << 10  # so much progress makes a try count as none
_DRIP = 16 << 10  # so much must come within REPLY_SECONDS
_WAIT_FIRST = 0.3
_WAIT_MAX = 10.0


def _type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


async def head(repository: Repository, ref: str) -> tuple[str, str, int]:
    """(digest, media type, size) of a tag or digest, ("", "", 0) when the server does not say. Raises ScowError."""

    async def do(endpoint: Endpoint) -> tuple[str, str, int]:
        url = repository.url(endpoint, f"manifests/{ref}")
        async with repository.transport.open(endpoint, "HEAD", url, repository.login(endpoint), {"Accept": ACCEPT}) as response:
            digest = response.headers.get("Docker-Content-Digest", "")
            size = response.headers.get("Content-Length", "")
            kind = _type(response.headers.get("Content-Type", ""))
            try:
                check(digest)
            except InvalidArgument:
                return "", "", 0
            return digest, kind, int(size) if size.isascii() and size.isdigit() and len(size) < 10 else 0

    return await repository.run(do)


async def manifest(repository: Repository, ref: str) -> Manifest:
    """The manifest of a tag or digest, verified. Raises ScowError."""

    async def do(endpoint: Endpoint) -> Manifest:
        url = repository.url(endpoint, f"manifests/{ref}")
        what = f'Get "{url}"'
        async with repository.transport.open(endpoint, "GET", url, repository.login(endpoint), {"Accept": ACCEPT}) as response:
            data = await read(response, MANIFEST_MAX, what)
            kind = _type(response.headers.get("Content-Type", ""))
            claimed = response.headers.get("Docker-Content-Digest", "")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        wanted = ref if ":" in ref else claimed if claimed.startswith("sha256:") else ""
        if wanted and wanted != digest:
            if wanted.startswith("sha512:") and wanted == "sha512:" + hashlib.sha512(data).hexdigest():
                return Manifest(digest, kind, data)
            raise Broken(f"manifest verification failed for digest {wanted[:200]}")
        return Manifest(digest, kind, data)

    return await repository.run(do)


async def tags(repository: Repository) -> list[str]:
    """Every tag of the repository. Raises ScowError."""

    async def do(endpoint: Endpoint) -> list[str]:
        url = repository.url(endpoint, "tags/list")
        found: list[str] = []
        seen: set[str] = set()
        while url and url not in seen and len(found) < TAGS_MAX:
            seen.add(url)
            async with repository.transport.open(endpoint, "GET", url, repository.login(endpoint)) as response:
                data = await read(response, _TAG_PAGE_MAX, f'Get "{url}"')
                link = response.headers.get("Link", "")
            try:
                document = orjson.loads(data)
            except ValueError:
                document = None
            rows = document.get("tags") if isinstance(document, dict) else None
            found += [tag for tag in rows or () if isinstance(tag, str)] if isinstance(rows, list) else []
            target = link.partition("<")[2].partition(">")[0] if 'rel="next"' in link or "rel=next" in link else ""
            following = urljoin(url, target) if target else ""
            url = following if urlsplit(following).netloc == urlsplit(url).netloc else ""
        return found[:TAGS_MAX]

    return await repository.run(do)


async def small_blob(repository: Repository, wanted: Descriptor, limit: int) -> bytes:
    """A blob that fits into memory, verified. Raises ScowError."""
    if wanted.size > limit:
        raise Broken(f"blob {wanted.digest} is larger than {limit} bytes")
    data = bytearray()
    async for piece in blob(repository, wanted, 0):
        data += piece
    if "sha256:" + hashlib.sha256(data).hexdigest() != wanted.digest:
        raise Broken(f"filesystem layer verification failed for digest {wanted.digest}")
    return bytes(data)


async def blob(
    repository: Repository,
    wanted: Descriptor,
    offset: int,
    moved: Callable[[int], None] | None = None,
    retry: Callable[[int], None] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The bytes of a blob from `offset` on, exactly to its size, over as many connections as it takes. The caller verifies the digest.

    `moved(at)` follows the bytes, `retry(seconds)` is told before a pause. Raises ScowError when the tries are used up.
    """
    at = offset
    failures = 0
    attempts = max(repository.transport.settings.attempts, 1)
    mark = at
    while at < wanted.size:
        try:
            async with contextlib.aclosing(_part(repository, wanted, at)) as part:
                async for piece in part:
                    at += len(piece)
                    yield piece
                    if moved is not None:
                        moved(at)
            if at < wanted.size:
                raise Broken(f"unexpected EOF: {at} of {wanted.size} bytes of {wanted.digest}")
        except (RegistryError, Unreachable, Broken) as error:
            if at - mark >= _MOVED:
                failures = 0
            mark = at
            if repository.leave_mirror():
                continue
            failures += 1
            wait = min(_WAIT_FIRST * 2 ** (failures - 1), _WAIT_MAX)
            if isinstance(error, RegistryError):
                if error.status not in (408, 425, 429) and error.status < 500:
                    raise
                wait = max(wait, error.retry_after)
            if failures >= attempts or (isinstance(error, Unreachable) and error.final and "refused" not in error.message):
                raise
            logger.info("download of %s interrupted at %d bytes, trying again in %.1f s: %s", wanted.digest, at, wait, error.message)
            if retry is not None:
                retry(max(1, round(wait)))
            await asyncio.sleep(wait)


async def _part(repository: Repository, wanted: Descriptor, at: int) -> AsyncGenerator[bytes, None]:
    """What one connection brings, from `at` on."""
    digest = check(wanted.digest)
    endpoint = await repository.endpoint()
    url = repository.url(endpoint, f"blobs/{digest}")
    headers = {"Range": f"bytes={at}-"} if at else {}
    what = f'Get "{url}"'
    left = wanted.size - at
    try:
        async with repository.transport.open(endpoint, "GET", url, repository.login(endpoint), headers) as response:
            skip = at
            if response.status == 206:
                told = response.headers.get("Content-Range", "")
                if not told.startswith(f"bytes {at}-"):
                    raise Broken(f"{what}: asked for bytes from {at}, got {told[:100]!r}")
                skip = 0
            fresh, waited = 0, 0.0
            while True:
                since = time.monotonic()
                piece = await response.content.readany()
                if not piece:
                    return
                waited += time.monotonic() - since
                fresh += len(piece)
                if fresh >= _DRIP:
                    fresh, waited = 0, 0.0
                elif waited > REPLY_SECONDS:
                    raise Broken(f"{what}: the server sends less than {_DRIP} bytes in {REPLY_SECONDS:.0f} seconds")
                if skip:
                    dropped = min(skip, len(piece))
                    skip -= dropped
                    piece = piece[dropped:]
                    if not piece:
                        continue
                left -= len(piece)
                if left < 0:
                    raise RegistryError(f"{what}: the blob is longer than the {wanted.size} bytes promised")
                yield piece
    except ScowError:
        raise
    except (OSError, TimeoutError) as error:
        raise unreachable(error, what, url) from None
    except Exception as error:
        if type(error).__module__.startswith("aiohttp"):
            raise unreachable(error, what, url) from None
        raise
