"""Referrers with a registry that knows them, and with one that does not."""

import json
from typing import Any

from aiohttp import web

from scow.reference import Reference
from scow.registry import pusher, referrers
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.media import OCI_INDEX, OCI_MANIFEST
from scow.registry.settings import Settings
from tests.fakes.registry import FakeRegistry, sha256
from tests.support.asynchronous import on_loop

SUBJECT = sha256(b"the image")
SIGNATURE = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [],
        "subject": {"mediaType": OCI_MANIFEST, "digest": SUBJECT, "size": 9},
        "annotations": {"by": "me"},
    }
).encode()


def _repository(registry: FakeRegistry) -> tuple[Registry, Repository]:
    client = Registry(Settings(attempts=2))
    return client, client.repository(Reference.parse(f"{registry.address}/a:1"), Credentials(), push=True)


@on_loop
async def test_an_old_registry_gets_an_index_under_the_subjects_tag() -> None:
    async with FakeRegistry() as registry:
        client, repository = _repository(registry)
        for _ in range(2):
            await pusher.put_manifest(repository, sha256(SIGNATURE), OCI_MANIFEST, SIGNATURE)
        kind, data = registry.manifests["a", SUBJECT.replace(":", "-")]
        assert kind == OCI_INDEX
        [row] = json.loads(data)["manifests"]
        assert (row["digest"], row["artifactType"], row["annotations"]) == (
            sha256(SIGNATURE),
            "application/vnd.example.signature",
            {"by": "me"},
        )
        assert await referrers.referrers(repository, SUBJECT) == [row]
        assert await referrers.referrers(repository, SUBJECT, "application/vnd.example.other") == []
        assert await referrers.referrers(repository, sha256(b"another")) == []
        await client.close()


@on_loop
async def test_a_new_registry_is_asked_page_by_page_and_not_believed_blindly() -> None:
    rows: list[dict[str, Any]] = [{"digest": sha256(b"%d" % n), "size": 1, "artifactType": "t"} for n in range(3)]

    def hook(request: web.Request) -> web.Response | None:
        if "/referrers/" in request.path:
            page = int(request.query.get("page", "0"))
            body = json.dumps({"schemaVersion": 2, "manifests": [rows[page], {"digest": "sha256:../x"}, 7]}).encode()
            link = {"Link": f'<{request.path}?page={page + 1}>; rel="next"'} if page < 2 else {}
            return web.Response(body=body, headers={"Content-Type": OCI_INDEX, **link})
        if request.method == "PUT":
            return web.Response(status=201, headers={"OCI-Subject": SUBJECT})
        return None

    async with FakeRegistry() as registry:
        registry.hook = hook
        client, repository = _repository(registry)
        assert await referrers.referrers(repository, SUBJECT) == rows
        await pusher.put_manifest(repository, sha256(SIGNATURE), OCI_MANIFEST, SIGNATURE)
        assert registry.count("PUT") == 1
        await client.close()
