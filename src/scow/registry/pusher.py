"""What goes to a registry: blobs (looked for, mounted from another repository, or uploaded) and manifests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from scow import log
from scow.content.store import check, digest_of
from scow.errors import InvalidArgument
from scow.registry import referrers
from scow.registry.client import Repository
from scow.registry.errors import Broken, RegistryError, Unreachable
from scow.registry.media import OCI_INDEX
from scow.registry.resolver import Endpoint
from scow.registry.transport import REPLY_SECONDS, read

logger = log.get(__name__)

_MONOLITHIC_MAX = 8 << 20
_WAIT_FIRST = 0.3
_WAIT_MAX = 10.0
_ANSWER_MAX = 64 << 10

Source = Callable[[int], AsyncIterator[bytes]]  # the bytes of a blob from an offset on
Moved = Callable[[int], None]


async def has_blob(repository: Repository, digest: str) -> bool:
    """Whether the repository has the blob. Raises ScowError."""

    async def do(endpoint: Endpoint) -> bool:
        url = repository.url(endpoint, f"blobs/{check(digest)}")
        async with repository.transport.open(endpoint, "HEAD", url, repository.login(endpoint), accept=(404,)) as response:
            return bool(response.status < 300)

    return await repository.run(do)


async def mount(repository: Repository, digest: str, source: str) -> tuple[bool, str]:
    """Take a blob over from the repository `source` of the same registry: (done, location of the upload begun instead)."""

    async def do(endpoint: Endpoint) -> tuple[bool, str]:
        url = repository.url(endpoint, f"blobs/uploads/?mount={check(digest)}&from={quote(source, safe='/')}")
        async with _open(repository, endpoint, "POST", url, {"Content-Length": "0"}) as response:
            return (True, "") if response.status == 201 else (False, _location(response, url))

    return await repository.run(do)


async def upload(repository: Repository, digest: str, size: int, source: Source, location: str = "", moved: Moved | None = None) -> None:
    """Upload a blob; small ones in one request, large ones so that a broken line costs only what was on it. Raises ScowError."""
    attempts = max(repository.transport.settings.attempts, 1)
    failures, offset, mark = 0, 0, 0

    async def do(endpoint: Endpoint) -> None:
        nonlocal location, offset
        if not location:
            url = repository.url(endpoint, "blobs/uploads/")
            async with _open(repository, endpoint, "POST", url, {"Content-Length": "0"}) as response:
                location = _location(response, url)
            offset = 0
        if size > _MONOLITHIC_MAX and offset < size:
            headers = {"Content-Length": str(size - offset), "Content-Type": "application/octet-stream"}
            if offset:
                headers["Content-Range"] = f"{offset}-{size - 1}"
            start = offset
            async with asyncio.timeout(REPLY_SECONDS) as limit:
                body = lambda: _watched(source, start, size, limit, moved)  # noqa: E731
                async with _open(repository, endpoint, "PATCH", location, headers, body) as response:
                    location = _location(response, location)
            offset = size
        target = location + ("&" if "?" in location else "?") + "digest=" + quote(digest, safe="")
        left = size - offset
        headers = {"Content-Length": str(left), "Content-Type": "application/octet-stream"}
        async with asyncio.timeout(REPLY_SECONDS * 5) as limit:
            last = (lambda: _watched(source, offset, size, limit, moved)) if left else None
            async with _open(repository, endpoint, "PUT", target, headers, last) as response:
                if response.status not in (201, 204):
                    raise Broken(f"upload of {digest} ended with HTTP status {response.status}")

    while True:
        try:
            await repository.run(do)
            return
        except (RegistryError, Unreachable, Broken, TimeoutError) as error:
            failures += 1
            wait = min(_WAIT_FIRST * 2 ** (failures - 1), _WAIT_MAX)
            if isinstance(error, RegistryError):
                if error.status not in (404, 408, 416, 425, 429) and error.status < 500:
                    raise
                if error.status == 404 and failures > 1:
                    raise
                wait = max(wait, error.retry_after)
            if failures >= attempts or (isinstance(error, Unreachable) and error.final):
                if isinstance(error, TimeoutError):
                    raise Unreachable(f"the upload of {digest} stalled") from None
                raise
            logger.info("upload of %s interrupted, trying again in %.1f s: %s", digest, wait, error)
            await asyncio.sleep(wait)
            offset = await _progress(repository, location) if location else 0
            if offset > mark:
                failures, mark = 0, offset
            if not 0 < offset <= size:
                location, offset = "", 0


async def _progress(repository: Repository, location: str) -> int:
    """How much of an upload has arrived, 0 when the server does not say."""
    endpoint = repository.chosen
    if endpoint is None:
        return 0
    try:
        async with _open(repository, endpoint, "GET", location, {}) as response:
            text = response.headers.get("Range", "").removeprefix("bytes=")
    except (RegistryError, Unreachable, Broken):
        return 0
    first, _, last = text.partition("-")
    return int(last) + 1 if first == "0" and last.isascii() and last.isdigit() and len(last) < 16 else 0


async def _watched(source: Source, start: int, size: int, limit: asyncio.Timeout, moved: Moved | None) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    at = start
    async for piece in source(start):
        limit.reschedule(loop.time() + REPLY_SECONDS)
        at += len(piece)
        yield piece
        if moved is not None:
            moved(at)
    if at != size:
        raise Broken(f"the blob on disk has {at} bytes instead of {size}")
    limit.reschedule(loop.time() + REPLY_SECONDS * 5)


async def put_manifest(repository: Repository, ref: str, media_type: str, data: bytes) -> str:
    """Store a manifest under a tag or digest; the digest the server tells ("" when it does not). Raises ScowError.

    One with a subject is announced under the fallback tag where the registry does not keep referrers itself."""
    known = True

    async def do(endpoint: Endpoint) -> str:
        nonlocal known
        url = repository.url(endpoint, f"manifests/{ref}")
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        async with _open(repository, endpoint, "PUT", url, headers, lambda: data) as response:
            await read(response, _ANSWER_MAX, "Put", cut=True)
            told: str = response.headers.get("Docker-Content-Digest", "")
            known = "OCI-Subject" in response.headers
        try:
            check(told)
        except InvalidArgument:
            return ""
        return told

    told = await repository.run(do)
    if not known and b'"subject"' in data:
        announcement = await referrers.announce(repository, media_type, data, digest_of(data))
        if announcement is not None:
            await put_manifest(repository, announcement[0], OCI_INDEX, announcement[1])
    return told


def _open(
    repository: Repository, endpoint: Endpoint, method: str, url: str, headers: dict[str, str], body: Callable[[], Any] | None = None
) -> AbstractAsyncContextManager[Any]:
    return repository.transport.open(endpoint, method, url, repository.login(endpoint), headers, body)


def _location(response: Any, url: str) -> str:
    target: str = urljoin(url, response.headers.get("Location", ""))
    parts = urlsplit(target)
    ours = urlsplit(url)
    if not response.headers.get("Location") or parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
        raise RegistryError("the registry began no upload: it told no location")
    if parts.scheme == "http" and ours.scheme == "https" and parts.netloc == ours.netloc:
        target = parts._replace(scheme="https").geturl()  # servers behind a proxy that ends TLS
    return target
