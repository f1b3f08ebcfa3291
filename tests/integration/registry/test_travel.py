"""Pull and push of a whole image service against the registry in memory."""

import asyncio
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

from scow.errors import DataLoss, InvalidArgument, NotFound, ScowError
from scow.images.service import ImageService
from scow.reference import Reference
from tests.fakes.registry import LIST, FakeRegistry, index, manifest, sha256
from tests.support.asynchronous import until
from tests.support.images import load, needs_root, service, tree
from tests.support.tars import config, docker_archive, entry, folder, tarball

pytestmark = needs_root

LOW = tarball(folder("d"), entry("d/a", b"low"), entry("gone", b"x"))
HIGH = tarball(entry("d/a", b"high!"), entry(".wh.gone"))
BIG = tarball(entry("big", os.urandom(3_000_000)))
SPEC = config(LOW, HIGH)
ID = sha256(SPEC)
GZ = [gzip.compress(LOW, mtime=0), gzip.compress(HIGH, mtime=0)]


def _run(base: Path, use: Any) -> None:
    async def main() -> None:
        async with FakeRegistry() as registry, service(base) as images:
            await use(registry, images)

    asyncio.run(asyncio.wait_for(main(), 150))


async def _lines(stream: Any) -> list[dict[str, Any]]:
    return [line async for line in stream]


async def _pull(images: ImageService, registry: FakeRegistry, name: str, platform: str = "") -> list[dict[str, Any]]:
    return await _lines(images.travel().pull(Reference.parse(f"{registry.address}/{name}"), platform, ""))


def _partials(base: Path) -> list[str]:
    return os.listdir(base / "content" / "partial")


def test_pull_with_every_compression(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        blobs = [zstandard.ZstdCompressor().compress(LOW), HIGH]
        digest = registry.put_image("a", "1", SPEC, blobs)
        lines = await _pull(images, registry, "a:1")
        assert lines[0] == {"status": "Pulling from a", "id": "1"}
        short = sha256(blobs[0])[7:19]
        states = [line["status"] for line in lines if line.get("id") == short]
        assert states[0] == "Pulling fs layer"
        assert states[-4:] == ["Verifying Checksum", "Download complete", "Extracting", "Pull complete"]
        assert lines[-2:] == [
            {"status": f"Digest: {digest}"},
            {"status": f"Status: Downloaded newer image for {registry.address}/a:1"},
        ]
        image = images.get(f"{registry.address}/a:1")
        assert (image.id, image.digests) == (ID, (f"{registry.address}/a@{digest}",))
        files = await tree(images, image.id, tmp_path / "root")
        assert files["d/a"].content == b"high!"
        assert "gone" not in files
        asked = registry.count("/blobs/")
        assert (await _pull(images, registry, "a:1"))[-1]["status"].startswith("Status: Image is up to date")
        assert registry.count("/blobs/") == asked
        assert _partials(tmp_path) == []

    _run(tmp_path, use)


def test_a_broken_line_and_a_vanished_client_cost_no_byte_twice(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(BIG), [BIG])
        digest = sha256(BIG)
        registry.hold[digest] = asyncio.Event()
        stream = images.travel().pull(Reference.parse(f"{registry.address}/a:1"), "", "")
        assert (await anext(stream))["status"] == "Pulling from a"
        kept = images.content.partial(digest)
        await until(lambda: kept.exists() and kept.stat().st_size == 10_000)
        await stream.aclose()  # type: ignore[attr-defined]
        assert images.store.all() == []
        assert images.snapshots.layers() == []
        registry.hold.pop(digest).set()
        assert kept.stat().st_size == 10_000
        registry.cut[digest] = 1_000_000
        await _pull(images, registry, "a:1")
        assert images.get(f"{registry.address}/a:1").id == sha256(config(BIG))
        assert registry.count(f"GET /v2/a/blobs/{digest}") == 3
        assert _partials(tmp_path) == []

    _run(tmp_path, use)


def test_a_pull_that_fails_leaves_nothing_but_what_the_next_can_use(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", SPEC, GZ)
        good = registry.blobs[sha256(GZ[1])]
        registry.blobs[sha256(GZ[1])] = gzip.compress(tarball(entry("evil", b"x")), mtime=0).ljust(len(good), b"\0")[: len(good)]
        with pytest.raises(ScowError):
            await _pull(images, registry, "a:1")
        assert images.store.all() == []
        assert images.snapshots.layers() == []
        assert images.content.digests() == []
        registry.blobs[sha256(GZ[1])] = good
        await _pull(images, registry, "a:1")
        assert registry.count(f"GET /v2/a/blobs/{sha256(GZ[0])}") <= 2

    _run(tmp_path, use)


@pytest.mark.parametrize("what", ["digest", "diff id", "config", "count"])
def test_content_that_is_not_what_was_promised(tmp_path: Path, what: str) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        wrong = gzip.compress(tarball(entry("x", b"y")), mtime=0)
        match what:
            case "digest":
                registry.put_image("a", "1", config(LOW), [GZ[0]])
                registry.blobs[sha256(GZ[0])] = bytes(len(GZ[0]))
            case "diff id":
                registry.put_image("a", "1", config(LOW), [wrong])
            case "config":
                registry.put_image("a", "1", config(LOW), [GZ[0]])
                registry.blobs[sha256(config(LOW))] = config(LOW).replace(b"amd64", b"arm64")
            case _:
                registry.put_image("a", "1", config(LOW), GZ)
        with pytest.raises((InvalidArgument, DataLoss, ScowError)):
            await _pull(images, registry, "a:1")
        assert (images.store.all(), images.snapshots.layers(), _partials(tmp_path)) == ([], [], [])

    _run(tmp_path, use)


def test_pulls_at_once_share_the_work_and_one_that_leaves_hurts_nobody(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(BIG), [BIG])
        registry.put_image("b", "1", config(BIG, LOW), [BIG, LOW])
        digest = sha256(BIG)
        registry.hold[digest] = asyncio.Event()
        first = images.travel().pull(Reference.parse(f"{registry.address}/a:1"), "", "")
        await anext(first)
        await registry.held.wait()
        second = images.travel().pull(Reference.parse(f"{registry.address}/b:1"), "", "")
        while (await anext(second))["status"] not in ("Waiting", "Downloading"):
            pass
        await first.aclose()  # type: ignore[attr-defined]
        registry.hold[digest].set()
        rest = await _lines(second)
        assert rest[-1]["status"].startswith("Status: Downloaded")
        assert registry.count(f"blobs/{digest}") == 1
        assert len(images.snapshots.layers()) == 2

    _run(tmp_path, use)


def test_platforms(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        rows = []
        for architecture in ("amd64", "arm64"):
            spec = config(LOW, architecture=architecture)
            registry.put_image("a", architecture, spec, [GZ[0]])
            rows.append((manifest(spec, [GZ[0]]), {"os": "linux", "architecture": architecture}))
        top = registry.put_manifest("a", "all", LIST, index(rows))
        await _pull(images, registry, "a:all", "linux/arm64")
        image = images.get(f"{registry.address}/a:all")
        assert (image.architecture, image.digests) == ("arm64", (f"{registry.address}/a@{top}",))
        with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
            await _pull(images, registry, "a:all", "linux/s390x")
        lines = await _pull(images, registry, "a:amd64", "linux/arm64")
        assert any("does not match the specified platform" in line["status"] for line in lines)
        found = await images.travel().distribution(f"{registry.address}/a:all", "")
        assert found["Descriptor"]["digest"] == top
        assert [row["architecture"] for row in found["Platforms"]] == ["amd64", "arm64"]

    _run(tmp_path, use)


def test_push_compresses_once_mounts_and_skips(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        await load(images, docker_archive((SPEC, [LOW, HIGH], ["x:1"])))
        for name in ("one", "two"):
            images.tag("x:1", f"{registry.address}/{name}", "v1")

        async def push(name: str) -> list[dict[str, Any]]:
            return await _lines(images.travel().push(Reference.parse(f"{registry.address}/{name}:v1"), ""))

        lines = await push("one")
        assert lines[0] == {"status": f"The push refers to repository [{registry.address}/one]"}
        assert [line["status"] for line in lines if line.get("id") == sha256(LOW)[7:19]][-1] == "Pushed"
        kind, data = registry.manifests["one", "v1"]
        assert lines[-1]["aux"] == {"Tag": "v1", "Digest": sha256(data), "Size": len(data)}
        assert f"{registry.address}/one@{sha256(data)}" in images.get("x:1").digests
        assert {gzip.decompress(registry.blobs[digest]) for digest in registry.repos["one"] - {ID}} == {LOW, HIGH}
        registry.asked.clear()
        assert sum(line.get("status") == "Layer already exists" for line in await push("one")) == 2
        assert registry.count("uploads") == 0
        assert sum(line.get("status") == "Mounted from one" for line in await push("two")) == 2
        assert registry.manifests["two", "v1"] == (kind, data)
        assert (await tree(images, "x:1", tmp_path / "root"))["d/a"].content == b"high!"
        for ref in ("x:1", f"{registry.address}/one:v1", f"{registry.address}/two:v1"):
            await images.remove(ref)
        assert images.content.digests() == []
        await _pull(images, registry, "two:v1")
        assert images.get(f"{registry.address}/two:v1").id == ID
        with pytest.raises(NotFound, match="does not exist locally"):
            await _lines(images.travel().push(Reference.parse(f"{registry.address}/none"), ""))

    _run(tmp_path, use)
