"""Blobs come in: whole with POST, in one or many pieces with PATCH and PUT, or mounted from another repository."""

import re

from scow import aio, log
from scow.http.messages import Response
from scow.registryd import errors, names
from scow.registryd.ask import Ask
from scow.registryd.uploads import Session, progress

logger = log.get(__name__)

_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/[0-9*]+)?\Z")
_HOLDERS = 50


async def uploads(ask: Ask) -> Response | None:
    """POST /v2/<name>/blobs/uploads/: begin an upload, or do it at once (digest=), or mount (mount=, from=)."""
    if ask.request.method != "POST":
        raise errors.unsupported("an upload begins with POST")
    _writable(ask)
    mount = ask.query.get("mount", "")
    if mount and await _mount(ask, names.digest(mount), ask.query.get("from", "")):
        ask.parts.metrics.add("mounts_total")
        return _created(ask, mount)
    digest = ask.query.get("digest", "")
    if digest:
        names.digest(digest)
    session = await ask.parts.uploads.begin(ask.name)
    if not digest:
        return Response(202, headers=[*_where(session), ("Range", "0-0")])
    try:
        await ask.parts.uploads.receive(session, ask.request)
        await ask.parts.uploads.finish(session, digest)
    except BaseException:
        if ask.parts.uploads.holds(session):  # nobody knows its id
            await ask.parts.uploads.cancel(session)
        raise
    return _created(ask, digest)


async def upload(ask: Ask) -> Response | None:
    """GET, PATCH, PUT, DELETE /v2/<name>/blobs/uploads/<id>."""
    method = ask.request.method
    if method not in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
        raise errors.unsupported("an upload takes GET, PATCH, PUT and DELETE")
    _writable(ask)
    session = await ask.parts.uploads.get(ask.name, ask.reference)
    if ask.reading:
        return Response(204, headers=[*_where(session), ("Range", progress(session))])
    if method == "DELETE":
        await ask.parts.uploads.cancel(session)
        return Response(204)
    digest = names.digest(ask.query.get("digest", "")) if method == "PUT" else ""
    await ask.parts.uploads.receive(session, ask.request, _start(ask))
    if method == "PATCH":
        return Response(202, headers=[*_where(session), ("Range", progress(session))])
    await ask.parts.uploads.finish(session, digest)
    return _created(ask, digest)


def _writable(ask: Ask) -> None:
    ask.require("push")
    if ask.parts.mirror is not None and ask.parts.mirror.covers(ask.name):
        raise errors.denied(f"{ask.name} is a copy of another registry: push there, or to another name here")


def _start(ask: Ask) -> int:
    """Where the body begins in the blob, -1 where the request does not say. Raises Refused."""
    text = ask.headers.get("content-range", "").strip()
    if not text:
        return -1
    match = _RANGE.match(text)
    if match is None or int(match[2]) < int(match[1]):
        raise errors.upload_invalid("Content-Range is written FIRST-LAST, both inclusive")
    length = ask.request.head.length
    if length and int(match[2]) - int(match[1]) + 1 != length:
        raise errors.Refused(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree")
    return int(match[1])


async def _mount(ask: Ask, digest: str, source: str) -> bool:
    store = ask.parts.store
    if source:
        if not names.valid_name(source):
            return False
        sources = [source]
    else:
        sources = store.catalog.holders(digest, _HOLDERS)
    for one in sources:
        if ask.caller.may(one, "pull") and await store.blob(one, digest) >= 0:
            return await aio.in_pool(store.catalog.mount, ask.name, digest, one)
    return False


def _where(session: Session) -> list[tuple[str, str]]:
    return [("Location", f"/v2/{session.name}/blobs/uploads/{session.id}"), ("Docker-Upload-UUID", session.id)]


def _created(ask: Ask, digest: str) -> Response:
    return Response(201, headers=[("Location", f"/v2/{ask.name}/blobs/{digest}"), ("Docker-Content-Digest", digest)])
