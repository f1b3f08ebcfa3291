"""Referrers: the manifests (signatures, attestations, lists of parts) that name another one as their subject.

Registries of distribution-spec 1.1 answer for them; with older ones the clients keep an index under the tag `sha256-<hex>` of the subject.
"""

import json
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from scow.content.store import check
from scow.errors import InvalidArgument
from scow.registry.client import Repository
from scow.registry.errors import RegistryError
from scow.registry.media import ACCEPT, OCI_INDEX
from scow.registry.resolver import Endpoint
from scow.registry.transport import read

_ROWS_MAX = 1000
_PAGES_MAX = 50
_PAGE_BYTES = 4 << 20

Row = dict[str, Any]


def fallback_tag(digest: str) -> str:
    """The tag under which clients of old registries keep the referrers of a manifest."""
    return check(digest).replace(":", "-")


def _rows(data: bytes) -> list[Row]:
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return []
    rows = document.get("manifests") if isinstance(document, dict) else None
    found = []
    for row in rows[:_ROWS_MAX] if isinstance(rows, list) else ():
        try:
            if isinstance(row, dict) and check(row.get("digest") or ""):
                found.append(row)
        except InvalidArgument:
            continue
    return found


async def referrers(repository: Repository, digest: str, artifact_type: str = "") -> list[Row]:
    """The descriptors of what refers to a manifest, as the registry has them. Raises ScowError."""

    async def do(endpoint: Endpoint) -> list[Row]:
        url = repository.url(endpoint, f"referrers/{check(digest)}")
        if artifact_type:
            url += ("&" if "?" in url else "?") + "artifactType=" + quote(artifact_type, safe="")
        found: list[Row] = []
        for _ in range(_PAGES_MAX):
            headers = {"Accept": OCI_INDEX}
            async with repository.transport.open(endpoint, "GET", url, repository.login(endpoint), headers) as response:
                if response.headers.get("Content-Type", "").partition(";")[0].strip() != OCI_INDEX:
                    raise RegistryError("the registry does not know of referrers", status=404)
                found += _rows(await read(response, _PAGE_BYTES, f'Get "{url}"'))
                link = response.headers.get("Link", "")
            target = urljoin(url, link.partition("<")[2].partition(">")[0]) if "next" in link and "<" in link else ""
            if not target or len(found) >= _ROWS_MAX or urlsplit(target).netloc != urlsplit(url).netloc:
                break
            url = target
        return found[:_ROWS_MAX]

    try:
        found = await repository.run(do)
    except RegistryError as error:
        if error.status not in (400, 404, 405, 501):
            raise
        found = await _kept(repository, digest)
    return [row for row in found if not artifact_type or row.get("artifactType") == artifact_type]


async def _kept(repository: Repository, digest: str) -> list[Row]:
    """What stands under the fallback tag."""

    async def do(endpoint: Endpoint) -> list[Row]:
        url = repository.url(endpoint, f"manifests/{fallback_tag(digest)}")
        login = repository.login(endpoint)
        async with repository.transport.open(endpoint, "GET", url, login, {"Accept": ACCEPT}, accept=(404,)) as response:
            return _rows(await read(response, _PAGE_BYTES, f'Get "{url}"')) if response.status == 200 else []

    return await repository.run(do)


async def announce(repository: Repository, media_type: str, data: bytes, digest: str) -> tuple[str, bytes] | None:
    """The index to store under the subject's fallback tag (tag, bytes) so that it lists this manifest, too; None when it has no subject."""
    try:
        document: Any = json.loads(data)
        subject = check(document["subject"]["digest"])
    except (ValueError, RecursionError, KeyError, TypeError, InvalidArgument):
        return None
    rows = await _kept(repository, subject)
    if any(row.get("digest") == digest for row in rows):
        return None
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "") or ""
    row: Row = {"mediaType": media_type, "digest": digest, "size": len(data), "artifactType": kind}
    if isinstance(document.get("annotations"), dict):
        row["annotations"] = document["annotations"]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*rows, row]}
    return fallback_tag(subject), json.dumps(index).encode()
