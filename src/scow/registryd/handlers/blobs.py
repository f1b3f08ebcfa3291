"""Blobs: read whole or in part, looked for, deleted."""

import asyncio
import re

from scow import aio, log
from scow.http.messages import Response
from scow.registryd import errors
from scow.registryd.ask import Ask
from scow.registryd.storage.driver import Blob

logger = log.get(__name__)

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_SMALL = 16 << 10
_CHUNK = 1 << 20


async def blob(ask: Ask) -> Response | None:
    """GET, HEAD, DELETE /v2/<name>/blobs/<digest>."""
    if ask.reading:
        return await _read(ask)
    if ask.request.method != "DELETE":
        raise errors.unsupported("a blob can be read and deleted here; it is uploaded to blobs/uploads/")
    ask.require("delete")
    if not ask.parts.options.allow_delete:
        raise errors.unsupported("deletes are off: the server allows them with --allow-delete")
    if not await aio.in_pool(ask.parts.store.catalog.unlink, ask.name, ask.reference):
        raise errors.blob_unknown(ask.reference)
    logger.info("blob deleted: %s@%s by %s", ask.name, ask.reference, ask.caller.name or "anybody")
    return Response(202)


async def _read(ask: Ask) -> Response | None:
    ask.require("pull")
    digest, store = ask.reference, ask.parts.store
    size = await store.blob(ask.name, digest)
    if size < 0:
        mirror = ask.parts.mirror
        if mirror is not None and (name := mirror.name_of(ask)):
            size = await store.blob(name, digest)
            if size < 0:
                return await mirror.blob(ask, name)
            ask.parts.metrics.add("upstream_hits_total")
        else:
            raise errors.blob_unknown(digest)
    tag = f'"{digest}"'
    common = [("Docker-Content-Digest", digest), ("ETag", tag), ("Cache-Control", "max-age=31536000"), ("Accept-Ranges", "bytes")]
    if unchanged(ask.headers.get("if-none-match", ""), tag):
        return Response(304, headers=common)
    common.append(("Content-Type", "application/octet-stream"))
    if ask.request.method == "HEAD":
        return Response(200, headers=common, length=size)
    first, count, status = _part(ask, size, tag)
    if status == 206:
        common.append(("Content-Range", f"bytes {first}-{first + count - 1}/{size}"))
    opened = store.open(digest)
    if opened is None:
        raise errors.blob_unknown(digest)
    ask.parts.metrics.add("sent_bytes_total", count)
    await _send(ask, opened, status, common, first, count)
    return None


def _part(ask: Ask, size: int, tag: str) -> tuple[int, int, int]:
    """(first byte, how many, status) of what is asked for; several ranges at once count as all. Raises Refused (416)."""
    match = _RANGE.match(ask.headers.get("range", "").strip())
    if match is None or match[1] == match[2] == "" or ask.headers.get("if-range", tag) != tag:
        return 0, size, 200
    if match[1] == "":
        count = min(int(match[2]), size)
        first = size - count
    else:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
        count = last - first + 1
    if count <= 0:
        unsatisfiable = (("Content-Range", f"bytes */{size}"),)
        raise errors.Refused(416, "RANGE_INVALID", "the range lies behind the end of the blob", headers=unsatisfiable)
    return first, count, 206


async def _send(ask: Ask, opened: Blob, status: int, headers: list[tuple[str, str]], first: int, count: int) -> None:
    request = ask.request
    if opened.fd >= 0 and count > _SMALL:
        # the file is closed by the connection, behind the last byte or the thread that sends it
        await request.send_file(status, headers, opened.take(), first, count, ask.parts.options.stall_seconds)
        return
    try:
        writer = await request.stream(status, headers, "", length=count)
        at = first
        while at < first + count:
            read = aio.in_pool(opened.read, at, min(_CHUNK, first + count - at)) if count > _SMALL or opened.fd < 0 else None
            data = await asyncio.shield(read) if read is not None else opened.read(at, count)
            if not data:
                raise OSError(f"the bytes of {ask.reference} end too early")
            await asyncio.wait_for(writer.write(data), ask.parts.options.stall_seconds)
            at += len(data)
        await writer.end()
    finally:
        opened.close()


def unchanged(header: str, tag: str) -> bool:
    """Whether an If-None-Match names this entity tag."""
    return bool(header) and any(one.strip().removeprefix("W/") in (tag, "*") for one in header.split(","))
