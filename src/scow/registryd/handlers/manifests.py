"""Manifests: by tag or digest, read, pushed, deleted."""

import hashlib

from scow import aio, log
from scow.http.body import BodyTooLarge
from scow.http.messages import Response
from scow.registry.media import DOCKER_MANIFEST, OCI_MANIFEST, Manifest
from scow.registryd import errors
from scow.registryd.ask import Ask
from scow.registryd.handlers.blobs import unchanged
from scow.registryd.manifest import INDEXES, parse, platform_child

logger = log.get(__name__)


async def manifest(ask: Ask) -> Response | None:
    """GET, HEAD, PUT, DELETE /v2/<name>/manifests/<tag or digest>."""
    match ask.request.method:
        case "GET" | "HEAD":
            return await _read(ask)
        case "PUT":
            return await _put(ask)
        case "DELETE":
            return await _delete(ask)
    raise errors.unsupported("a manifest takes GET, HEAD, PUT and DELETE")


async def find(ask: Ask) -> Manifest:
    """The manifest that the request names, from upstream where it is a copy of what is there. Raises Refused."""
    name, reference, mirror = ask.name, ask.reference, ask.parts.mirror
    catalog = ask.parts.store.catalog
    if mirror is None or not mirror.covers(name):
        digest = reference if ":" in reference else catalog.resolve(name, reference)
        found = catalog.manifest(name, digest) if digest else None
        if found is not None:
            ask.parts.store.note_pull(name, found.digest)
            return found
    if mirror is not None and (elsewhere := mirror.name_of(ask)):
        found = await mirror.manifest(elsewhere, reference)
        ask.parts.store.note_pull(elsewhere, found.digest)
        return found
    raise errors.manifest_unknown(name, reference)


async def _read(ask: Ask) -> Response:
    ask.require("pull")
    found = await find(ask)
    accepted = {part.partition(";")[0].strip().lower() for part in ask.headers.get("accept", "").split(",")} - {""}
    if found.media_type in INDEXES and ":" not in ask.reference and _only_single(accepted):
        # a client from before indexes: it gets the image for the platform it knows
        child = ask.parts.store.catalog.manifest(ask.name, platform_child(found.data))
        found = child or found
    tag = f'"{found.digest}"'
    headers = [("Docker-Content-Digest", found.digest), ("ETag", tag)]
    if unchanged(ask.headers.get("if-none-match", ""), tag):
        return Response(304, headers=headers)
    return Response(200, found.data, headers, found.media_type)


def _only_single(accepted: set[str]) -> bool:
    return bool(accepted & {DOCKER_MANIFEST, OCI_MANIFEST}) and not accepted & {*INDEXES, "*/*", "application/*"}


async def _put(ask: Ask) -> Response:
    ask.require("push")
    if ask.parts.mirror is not None and ask.parts.mirror.covers(ask.name):
        raise errors.denied(f"{ask.name} is a copy of another registry: push there, or to another name here")
    limit = ask.parts.options.max_manifest
    if (ask.request.head.length or 0) > limit:
        raise errors.too_large("the manifest", limit)
    try:
        data = await ask.request.body.whole(limit)
    except BodyTooLarge:
        raise errors.too_large("the manifest", limit) from None
    reference = ask.reference
    algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
    digest = f"{algorithm}:{hashlib.new(algorithm, data, usedforsecurity=True).hexdigest()}"
    if ":" in reference and digest != reference:
        raise errors.digest_invalid("provided digest did not match uploaded content", {"digest": reference, "uploaded": digest})
    parsed = parse(data, ask.headers.get("content-type", ""))
    store = ask.parts.store
    lost = await aio.in_pool(
        lambda: [one.digest for one in parsed.children if one.kind == "blob" and store.driver.size(one.digest) is None]
    )
    tag = "" if ":" in reference else reference
    await aio.in_pool(store.catalog.put_manifest, ask.name, Manifest(digest, parsed.media_type, data), parsed, tag, lost)
    ask.parts.metrics.add("manifests_pushed_total")
    logger.info("pushed %s%s by %s", ask.name, f":{tag}" if tag else f"@{digest}", ask.caller.name or "anybody")
    headers = [("Location", f"/v2/{ask.name}/manifests/{digest}"), ("Docker-Content-Digest", digest)]
    if parsed.subject:
        headers.append(("OCI-Subject", parsed.subject))
    return Response(201, headers=headers)


async def _delete(ask: Ask) -> Response:
    ask.require("delete")
    if not ask.parts.options.allow_delete:
        raise errors.unsupported("deletes are off: the server allows them with --allow-delete")
    catalog = ask.parts.store.catalog
    remove = catalog.delete_manifest if ":" in ask.reference else catalog.delete_tag
    if not await aio.in_pool(remove, ask.name, ask.reference):
        raise errors.manifest_unknown(ask.name, ask.reference)
    logger.info("deleted %s %s by %s", ask.name, ask.reference, ask.caller.name or "anybody")
    return Response(202)
