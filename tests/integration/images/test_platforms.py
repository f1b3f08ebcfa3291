"""Several platforms under one name: the index stays whole, images come and go below it."""

import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Conflict, NotFound
from scow.filters import Filters
from scow.images.service import ImageService
from scow.reference import Reference
from scow.registry.media import OCI_INDEX, OCI_MANIFEST, Descriptor
from tests.fakes.registry import FakeRegistry
from tests.support.images import joined, load, needs_root, with_service
from tests.support.tars import entry, packed, tarball

pytestmark = needs_root

CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": sha256(data), "size": len(data), **more}


class Multi:
    """An OCI index of two images with a layer in common and an attestation about the first."""

    def __init__(self, nested: bool = False) -> None:
        base = tarball(entry("etc/"), entry("etc/base", b"base"))
        self.blobs: dict[str, bytes] = {}
        rows = []
        self.ids: dict[str, str] = {}
        for arch in ("amd64", "arm64"):
            own = tarball(entry("bin/"), entry("bin/arch", arch.encode()))
            layers = [gzip.compress(one, mtime=0) for one in (base, own)]
            spec = {"architecture": arch, "os": "linux", "config": {"Cmd": [arch]}}
            spec["rootfs"] = {"type": "layers", "diff_ids": [sha256(base), sha256(own)]}
            config = json.dumps(spec).encode()
            image = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(config, CONFIG)}
            image["layers"] = [descriptor(one, GZIP) for one in layers]
            data = json.dumps(image).encode()
            for blob in (config, *layers, data):
                self.blobs[sha256(blob)] = blob
            rows.append(descriptor(data, OCI_MANIFEST, platform={"os": "linux", "architecture": arch}))
            self.ids[arch] = sha256(config)
        statement = b'{"predicate": {}}'
        paper = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(b"{}", CONFIG)}
        paper["layers"] = [descriptor(statement, "application/vnd.in-toto+json")]
        data = json.dumps(paper).encode()
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": rows[0]["digest"]}
        rows.append(descriptor(data, OCI_MANIFEST, platform={"os": "unknown", "architecture": "unknown"}, annotations=notes))
        for blob in (statement, b"{}", data):
            self.blobs[sha256(blob)] = blob
        self.rows = rows
        self.data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}).encode()
        self.blobs[sha256(self.data)] = self.data
        if nested:
            self.data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(self.data, OCI_INDEX)]}).encode()
            self.blobs[sha256(self.data)] = self.data
        self.digest = sha256(self.data)
        self.target = Descriptor(self.digest, len(self.data), OCI_INDEX)

    def serve(self, registry: FakeRegistry, repo: str, tag: str) -> None:
        for blob in self.blobs.values():
            registry.put_blob(repo, blob)
        for row in self.rows:
            registry.put_manifest(repo, row["digest"], OCI_MANIFEST, self.blobs[row["digest"]])
        registry.put_manifest(repo, tag, OCI_INDEX, self.data)

    def layout(self, name: str) -> bytes:
        top = {"schemaVersion": 2, "manifests": [descriptor(self.data, OCI_INDEX, annotations={"io.containerd.image.name": name})]}
        files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(top).encode()}
        return packed(files | {"blobs/" + digest.replace(":", "/"): blob for digest, blob in self.blobs.items()})


def _run(base: Path, use: Callable[[FakeRegistry, ImageService], Awaitable[None]]) -> None:
    async def main(images: ImageService) -> None:
        async with FakeRegistry() as registry:
            await use(registry, images)

    with_service(base, main)


async def _pull(images: ImageService, registry: FakeRegistry, name: str, platform: str = "") -> list[dict[str, Any]]:
    return [line async for line in images.travel().pull(Reference.parse(f"{registry.address}/{name}"), platform, "")]


async def _push(images: ImageService, registry: FakeRegistry, name: str, platform: str = "") -> list[dict[str, Any]]:
    return [line async for line in images.travel().push(Reference.parse(f"{registry.address}/{name}"), "", platform)]


async def _rows(images: ImageService, **more: Any) -> list[dict[str, Any]]:
    return await images.list(False, Filters({}), **more)


def _kinds(rows: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(row["Kind"], row["Available"]) for row in rows]


def test_two_pulls_of_one_index_are_one_image_of_two_platforms(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        multi = Multi()
        multi.serve(registry, "m", "1")
        name = f"{registry.address}/m:1"
        await _pull(images, registry, "m:1", "linux/amd64")
        assert images.get(name).id == multi.ids["amd64"]
        [row] = await _rows(images, manifests=True)
        assert row["Descriptor"] == {"mediaType": OCI_INDEX, "digest": multi.digest, "size": len(multi.data)}
        assert _kinds(row["Manifests"]) == [("image", True), ("image", False), ("attestation", True)]
        assert row["Manifests"][2]["AttestationData"] == {"For": row["Manifests"][0]["ID"]}
        with pytest.raises(NotFound):
            images.inspect(name, platform="linux/arm64")
        await _pull(images, registry, "m:1", "linux/arm64")
        assert images.get(name).id == multi.ids["arm64"]
        assert images.get(name, "linux/amd64").id == multi.ids["amd64"]
        assert images.get(name, "linux/s390x").id == multi.ids["arm64"]
        told = images.targets.manifest_of(multi.ids["arm64"])
        assert told is not None and told["digest"] == multi.rows[1]["digest"] and told["platform"]["architecture"] == "arm64"
        assert images.targets.manifest_of(sha256(b"nothing")) is None
        [row] = await _rows(images, manifests=True)
        assert row["Id"] == multi.ids["arm64"]
        assert _kinds(row["Manifests"]) == [("image", True), ("image", True), ("attestation", True)]
        reply = images.inspect(name, platform="linux/amd64")
        assert (reply["Id"], reply["RepoTags"]) == (multi.ids["amd64"], [name])
        assert images.leads_to(name, multi.ids["amd64"])
        assert (await images.prune(Filters({})))["ImagesDeleted"] is None
        images.tag(name, "other", "x")
        assert images.inspect("other:x")["Descriptor"]["digest"] == multi.digest
        await images.remove(name)
        assert images.get("other:x", "linux/amd64").id == multi.ids["amd64"]
        await images.remove("other:x")
        assert images.store.all() == []
        assert images.content.digests() == []
        assert images.snapshots.layers() == []

    _run(tmp_path, use)


def test_push_sends_all_that_is_here_with_the_same_digests(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        multi = Multi(nested=True)
        await load(images, multi.layout(f"{registry.address}/m:1"))
        lines = await _push(images, registry, "m:1")
        assert lines[-1]["aux"]["Digest"] == multi.digest
        assert registry.manifests["m", "1"] == (OCI_INDEX, multi.data)
        assert set(multi.blobs) <= set(registry.repos["m"]) | {ref for _, ref in registry.manifests}
        images.tag(f"{registry.address}/m:1", f"{registry.address}/one", "1")
        lines = await _push(images, registry, "one:1", "linux/arm64")
        assert lines[-1]["aux"]["Digest"] == multi.rows[1]["digest"]
        with pytest.raises(NotFound, match="linux/s390x"):
            await _push(images, registry, "one:1", "linux/s390x")
        await images.remove(f"{registry.address}/one:1", force=True)
        await images.remove(f"{registry.address}/m:1", platforms=["linux/amd64"])
        assert [image.id for image in images.store.all()] == [multi.ids["arm64"]]
        images.tag(f"{registry.address}/m:1", f"{registry.address}/rest", "1")
        lines = await _push(images, registry, "rest:1")
        assert lines[-2]["status"].startswith("1: digest")
        assert lines[-1]["aux"]["Digest"] == multi.rows[1]["digest"]
        assert any(line.get("aux", {}).get("manifestPushedInsteadOfIndex") for line in lines)

    _run(tmp_path, use)


@pytest.mark.parametrize("nested", [False, True])
def test_save_and_load_keep_every_platform_and_digest(tmp_path: Path, nested: bool) -> None:
    multi = Multi(nested)

    async def save(images: ImageService) -> tuple[bytes, bytes]:
        assert await load(images, multi.layout("m:1")) == ["Loaded image: m:1"]
        assert images.get("m:1").id == multi.ids["amd64"]
        return await joined(images.save(["m:1"])), await joined(images.save(["m:1"], ["linux/arm64"]))

    async def reload(images: ImageService) -> None:
        assert await load(images, whole) == ["Loaded image: m:1"]
        assert {image.id for image in images.store.all()} == set(multi.ids.values())
        assert images.inspect("m:1")["Descriptor"]["digest"] == multi.digest
        assert _kinds(images.inspect("m:1", manifests=True)["Manifests"]) == [("image", True), ("image", True), ("attestation", True)]

    async def single(images: ImageService) -> None:
        assert await load(images, one) == ["Loaded image: m:1"]
        assert images.get("m:1").id == multi.ids["arm64"]

    whole, one = with_service(tmp_path / "a", save)
    with_service(tmp_path / "b", reload)
    with_service(tmp_path / "b", _still_there(multi))
    with_service(tmp_path / "c", single)


def _still_there(multi: Multi) -> Callable[[ImageService], Awaitable[None]]:
    async def use(images: ImageService) -> None:  # after the sweep of a start
        assert _kinds(images.inspect("m:1", manifests=True)["Manifests"]) == [("image", True), ("image", True), ("attestation", True)]
        assert set(multi.blobs) <= set(images.content.digests())

    return use


def test_a_builder_names_what_it_put_into_the_store(tmp_path: Path) -> None:
    async def use(images: ImageService) -> None:
        multi = Multi()
        for digest, blob in multi.blobs.items():
            if digest != multi.ids["arm64"]:  # one platform is not complete
                images.content.put(blob)
        id = await images.adopt(multi.target, [Reference.parse("built:1")])
        assert id == multi.ids["amd64"] == images.get("built:1").id
        assert _kinds(images.inspect("built:1", manifests=True)["Manifests"]) == [("image", True), ("image", False), ("attestation", True)]
        with pytest.raises(NotFound):
            await images.adopt(multi.target, [], "linux/s390x")

    with_service(tmp_path, use)


def test_a_container_keeps_the_platform_it_uses(tmp_path: Path) -> None:
    async def use(images: ImageService) -> None:
        multi = Multi()
        await load(images, multi.layout("m:1"))
        images._refs.add("image", multi.ids["arm64"], "c" * 64)
        with pytest.raises(Conflict):
            await images.remove("m:1")
        assert (await images.prune(Filters.parse('{"dangling": ["false"]}', {"dangling"})))["ImagesDeleted"] is None
        assert len(images.store.all()) == 2
        await images.remove("m:1", force=True)
        assert [image.id for image in images.store.all()] == [multi.ids["arm64"]]

    with_service(tmp_path, use)
