"""`type=oci` and `type=docker`: the result as an archive, sent to the client: an OCI layout, with docker's manifest.json in it where one
image is all. Stores nothing but what the images' blobs are meanwhile."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from scow.build.exporters.image import names
from scow.build.exporters.manifests import Assembled, assemble, provenance
from scow.build.exporters.remote import read_blob
from scow.build.exporters.results import Exported, Target
from scow.build.refs import Refs
from scow.build.session import filesend
from scow.build.session.contentstore import ClientStore
from scow.build.session.registry import Sessions
from scow.build.solver.step import step
from scow.errors import Unsupported
from scow.images.service import ImageService
from scow.reference import Reference

_NAME, _TAG = "io.containerd.image.name", "org.opencontainers.image.ref.name"


async def export(refs: Refs, sessions: Sessions, target: Target, number: int, kind: str, attrs: Mapping[str, str]) -> dict[str, str]:
    """Make the archive and send it to output `number` of the client. BuildKit's facts about it."""
    if kind == "docker" and (len(target.answer.references) > 1 or provenance(target) is not None):
        raise Unsupported("docker exporter does not currently support exporting manifest lists: use type=oci")
    directory = attrs.get("tar", "true").lower() in ("false", "0")
    session = await sessions.get(target.session)
    wanted = names(attrs)
    images = refs.images
    async with step(target.progress, f"exporting to {'oci image' if kind == 'oci' else 'docker image'} format") as told:
        with told.part("exporting layers"):
            exported = await target.exported(refs, attrs)
        given = attrs if kind == "oci" or "oci-mediatypes" in attrs else {**attrs, "oci-mediatypes": "false"}
        made = await assemble(images, exported, given, target, told)
        try:
            if directory:
                with told.part("copying blobs"):
                    await _into_store(images, ClientStore(session.begin, "export"), made)
            else:
                with told.part("sending tarball"):
                    await filesend.send_file(session.begin, number, _joined(images, _members(images, made, exported, wanted)), {})
        finally:
            made.release()
    descriptor = {"mediaType": made.top.media_type, "digest": made.top.digest, "size": made.top.size}
    facts = {
        "containerimage.digest": made.top.digest,
        "containerimage.descriptor": base64.b64encode(json.dumps(descriptor).encode()).decode(),
    }
    if len(exported) == 1:
        facts["containerimage.config.digest"] = _parts(images, made)[0]
    return facts | ({"image.name": ",".join(name.full() for name in wanted)} if wanted else {})


async def _into_store(images: ImageService, store: ClientStore, made: Assembled) -> None:
    """Into an OCI layout of the client (`tar=false`), which writes the index itself."""
    for blob in (*made.blobs, made.top):
        await store.write(blob.digest, blob.size, read_blob(images, blob.digest))


async def _joined(images: ImageService, members: list[Any]) -> AsyncIterator[bytes]:
    async for data in images.workers.run_to({"job": "join", "members": members}):
        yield data


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _text(name: str, document: Any) -> list[Any]:
    data = orjson.dumps(document)
    return [name, len(data), 0, {"data": data.decode()}]


def _members(images: ImageService, made: Assembled, exported: list[Exported], wanted: list[Reference]) -> list[Any]:
    """What the archive holds, for the join job: name, size, time, content."""
    members: list[Any] = [["blobs", 0, 0, {"dir": True}], ["blobs/sha256", 0, 0, {"dir": True}]]
    members += [[_blob(one.digest), one.size, 0, {"file": str(images.content.path(one.digest))}] for one in made.blobs]
    row: dict[str, Any] = {"mediaType": made.top.media_type, "digest": made.top.digest, "size": made.top.size}
    rows = [{**row, "annotations": {_NAME: name.full(), _TAG: name.tag}} for name in wanted] or [row]
    members.append(_text("index.json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": rows}))
    members.append(_text("oci-layout", {"imageLayoutVersion": "1.0.0"}))
    if len(exported) == 1:
        config, layers = _parts(images, made)
        tags = [name.familiar() for name in wanted] or None
        members.append(_text("manifest.json", [{"Config": _blob(config), "RepoTags": tags, "Layers": [_blob(one) for one in layers]}]))
    return members


def _parts(images: ImageService, made: Assembled) -> tuple[str, list[str]]:
    """Config and layers of the one image in an archive."""
    document = json.loads(images.content.read(made.top.digest))
    if "manifests" in document:
        document = json.loads(images.content.read(document["manifests"][0]["digest"]))
    return document["config"]["digest"], [layer["digest"] for layer in document["layers"]]
