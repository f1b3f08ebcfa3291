"""Registries that lie, stall or never end, and layers made to do harm, pulled: a sentence, nothing half there, no byte lost."""

import asyncio
import base64
import gzip
import json
import logging
import os
import ssl
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from scow.archive import jobs
from scow.archive.tar import Malformed
from scow.errors import ScowError
from scow.images.service import ImageService
from scow.reference import Reference
from scow.registry.errors import Unreachable
from scow.registry.resolver import Endpoint
from scow.registry.settings import Settings
from scow.registry.transport import Transport
from tests.fakes.registry import DOCKER, FakeRegistry, sha256
from tests.support.images import mounted, needs_root, service
from tests.support.tars import config, entry, folder, symlink, tarball
from tests.support.tls import authority

pytestmark = needs_root

LOW = tarball(folder("d"), entry("d/kept", b"low"), entry("f", b"file"), folder("both"), entry("both/x", b"x"))
GOOD = gzip.compress(LOW, mtime=0)


def _run(base: Path, use: Callable[[FakeRegistry, ImageService], Awaitable[None]], **fake: Any) -> None:
    async def main() -> None:
        async with FakeRegistry(**fake) as registry, service(base) as images:
            images.registries(Settings(attempts=3))
            await use(registry, images)

    asyncio.run(asyncio.wait_for(main(), 150))


async def _pull(images: ImageService, registry: FakeRegistry) -> list[dict[str, Any]]:
    return [line async for line in images.travel().pull(Reference.parse(f"{registry.address}/a:1"), "", "")]


async def _fails(images: ImageService, registry: FakeRegistry) -> str:
    """The sentence a pull ends with; nothing of it may stay but bytes for the next try."""
    with pytest.raises(ScowError) as error:
        await _pull(images, registry)
    assert error.value.message
    assert "Traceback" not in error.value.message
    assert images.store.all() == []
    assert images.snapshots.layers() == []
    assert images.content.digests() == []
    return error.value.message


def _endless(request: web.Request) -> web.StreamResponse:
    async def body() -> Any:
        while True:
            yield bytes(65536)

    return web.Response(body=body(), content_type=DOCKER)


def _challenged(request: web.Request) -> web.StreamResponse:
    if request.path == "/token":
        return web.json_response({"token": "again"})
    return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{request.host}/token",service="x"'})


def _elsewhere(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": f"http://{request.host}{request.path}{'x' * (len(request.path) % 3)}y"})


def _busy(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "0"})


HOOKS = {
    "an endless body": (_endless, "", 10),
    "a challenge after each login": (_challenged, "", 10),
    "redirects without end": (_elsewhere, "redirect", 20),
    "429 for ever": (_busy, "", 20),
    "redirect to a file": (lambda request: web.Response(status=302, headers={"Location": "file:///etc/passwd"}), "redirect", 10),
    "no redirect at all": (lambda request: web.Response(status=302), "redirect", 10),
    "500 for ever": (lambda request: web.Response(status=500, body=b"\xff" * 100_000), "", 20),
    "a page": (lambda request: web.Response(text="<html>welcome</html>", content_type="text/html"), "", 10),
}


@pytest.mark.parametrize("what", HOOKS)
@pytest.mark.parametrize("where", ["manifests", "blobs"])
def test_answers_that_never_help_end_in_a_sentence_and_few_requests(tmp_path: Path, what: str, where: str) -> None:
    hook, word, most = HOOKS[what]

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(LOW), [GOOD])
        registry.hook = lambda request: hook(request) if where in request.path or request.path == "/token" else None
        message = await _fails(images, registry)
        assert word in message
        assert len(registry.asked) <= most * 2

    _run(tmp_path, use)


def test_a_busy_registry_is_asked_again_when_it_said_so(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(LOW), [GOOD])
        left = [1, 1]

        def hook(request: web.Request) -> web.Response | None:
            if sha256(GOOD) in request.path and left:
                left.pop()
                return web.Response(status=429, headers={"Retry-After": "1"})
            return None

        registry.hook = hook
        lines = await _pull(images, registry)
        assert any(line["status"] == "Retrying in 1 second" for line in lines)
        assert lines[-1]["status"].startswith("Status: Downloaded")

    _run(tmp_path, use)


def test_a_certificate_by_a_stranger_is_refused(tmp_path: Path) -> None:
    authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def main() -> None:
        async with FakeRegistry(tls=context) as registry:
            transport = Transport(Settings)
            with pytest.raises(Unreachable, match="certificate signed by unknown authority"):
                async with transport.open(Endpoint(f"https://{registry.address}"), "GET", f"https://{registry.address}/v2/"):
                    pass
            trusted = Endpoint(f"https://{registry.address}", ca=(str(tmp_path / "ca.pem"),))
            async with transport.open(trusted, "GET", f"https://{registry.address}/v2/") as response:
                assert response.status == 200
            await transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def _manifest(**changes: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config(LOW)), "digest": sha256(config(LOW))},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(GOOD), "digest": sha256(GOOD)}],
    }
    return json.dumps(document | changes).encode()


GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LIES = {
    "a layer longer than promised": _manifest(layers=[{"mediaType": GZIP, "size": 10, "digest": sha256(GOOD)}]),
    "a layer shorter than promised": _manifest(
        layers=[{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": len(GOOD) + 10, "digest": sha256(GOOD)}]
    ),
    "a foreign type": _manifest(mediaType="application/vnd.example+json"),
    "an image and an index": _manifest(manifests=[]),
    "a digest that leads out": _manifest(config={"size": 1, "digest": "sha256:../../x", "mediaType": ""}),
    "a negative size": _manifest(config={"size": -1, "digest": sha256(b""), "mediaType": ""}),
    "a subject that is none": _manifest(subject={"digest": "sha256:../x"}),
    "a hundred thousand layers": _manifest(layers=[{}] * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("what", LIES)
def test_manifests_that_lie(tmp_path: Path, what: str) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(LOW), [GOOD])
        registry.put_manifest("a", "1", DOCKER, LIES[what])
        await _fails(images, registry)

    _run(tmp_path, use)


def _cut(layer: bytes) -> tuple[bytes, bytes]:
    return config(layer), gzip.compress(layer, mtime=0)[:-20]


BAD_LAYERS = {
    "cut gzip": lambda: _cut(tarball(entry("x", os.urandom(200_000)))),
    "gzip with a wrong sum": lambda: (config(LOW), GOOD[:-8] + bytes(8)),
    "rubbish": lambda: (config(b"rubbish" * 1000), b"rubbish" * 1000),
    "something behind it": lambda: (config(LOW), GOOD + b"rubbish"),
    "a tar that ends early": lambda: (config(LOW[:700]), gzip.compress(LOW[:700], mtime=0)),
}


@pytest.mark.parametrize("what", BAD_LAYERS)
def test_layers_that_are_damaged_where_they_were_made(tmp_path: Path, what: str) -> None:
    spec, blob = BAD_LAYERS[what]()

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", spec, [blob])
        await _fails(images, registry)

    _run(tmp_path, use)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    monkeypatch.setattr(jobs, "_BOMB_BYTES", 8 << 20)
    read, write = os.pipe()
    data = pack(bytes(60 << 20))
    assert len(data) < 1 << 16
    os.write(write, data)
    os.close(write)
    source, _ = jobs._source(read)
    with pytest.raises(Malformed, match="250-fold"):
        source.drain()
    os.close(read)


def test_odd_trees_arrive_as_they_are(tmp_path: Path) -> None:
    """Names that are no UTF-8, a file in a directory's place and the other way round, whiteouts that aim at nothing or elsewhere."""
    high = tarball(
        entry("na\udcffme", b"odd"),
        folder("f"), entry("f/inside", b"was a file"),
        entry("both", b"was a folder"),
        entry("d/.wh.nothing"), entry("out/.wh.x"),
        symlink("link", "/etc"), folder("link"), entry("link/in", b"stays"),
        entry("empty", b""),
    )  # fmt: skip
    victim = sorted(os.listdir("/etc"))

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        blobs = [GOOD, gzip.compress(high, mtime=0)]
        registry.put_image("a", "1", config(LOW, high), blobs)
        await _pull(images, registry)
        async with mounted(images, f"{registry.address}/a:1", tmp_path / "root") as root:
            assert (Path(os.fsdecode(os.fsencode(root) + b"/na\xffme"))).read_bytes() == b"odd"
            assert (root / "f/inside").read_bytes() == b"was a file"
            assert (root / "both").read_bytes() == b"was a folder"
            assert (root / "d/kept").read_bytes() == b"low"
            assert (root / "link/in").read_bytes() == b"stays"
            assert not (root / "link").is_symlink()
        assert sorted(os.listdir("/etc")) == victim

    _run(tmp_path, use)


@pytest.mark.slow
def test_a_directory_of_a_hundred_thousand_names(tmp_path: Path) -> None:
    layer = tarball(folder("many"), *(entry(f"many/{number}", b"") for number in range(100_000)))

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(layer), [gzip.compress(layer, 1, mtime=0)])
        await _pull(images, registry)
        async with mounted(images, f"{registry.address}/a:1", tmp_path / "root") as root:
            assert len(os.listdir(root / "many")) == 100_000

    _run(tmp_path, use)


def test_a_full_disk_is_a_sentence_and_what_was_whole_is_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        small, large = tarball(entry("s", os.urandom(100_000))), tarball(*(entry(f"l{n}", os.urandom(1 << 20)) for n in range(20)))
        blobs = [gzip.compress(one, 1, mtime=0) for one in (small, large)]

        async def use(registry: FakeRegistry, images: ImageService) -> None:
            registry.put_image("a", "1", config(small, large), blobs)
            with pytest.raises(ScowError, match="no space left"):
                await _pull(images, registry)
            assert images.store.all() == []
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            registry.asked.clear()
            assert (await _pull(images, registry))[-1]["status"].startswith("Status: Downloaded")
            assert registry.count(f"blobs/{sha256(blobs[0])}") == 0

        _run(disk, use)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_devices_in_a_layer_are_only_nodes(tmp_path: Path) -> None:
    import tarfile

    layer = tarball(entry("dev", type=tarfile.BLKTYPE, device=(8, 0), mode=0o666), entry("fifo", type=tarfile.FIFOTYPE))

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(layer), [gzip.compress(layer, mtime=0)])
        await _pull(images, registry)
        async with mounted(images, f"{registry.address}/a:1", tmp_path / "root") as root:
            assert stat.S_ISBLK((root / "dev").lstat().st_mode)
            assert stat.S_ISFIFO((root / "fifo").lstat().st_mode)

    _run(tmp_path, use)


@pytest.mark.parametrize("tokens", [False, True])
def test_no_password_in_what_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, tokens: bool) -> None:
    """Neither in the log down to its smallest lines, nor in the lines and errors of a pull and a push."""
    caplog.set_level(logging.DEBUG)
    good = {"username": "ann", "password": "S3cret-good"}
    every = [good, {**good, "password": "S3cret-bad"}, {"identitytoken": "S3cret-identity"}, {"registrytoken": "S3cret-token"}]
    said: list[str] = []

    async def use(registry: FakeRegistry, images: ImageService) -> None:
        registry.put_image("a", "1", config(LOW), [GOOD])
        reference = Reference.parse(f"{registry.address}/a:1")
        for document in every:
            header = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
            for travel in (images.travel().pull(reference, "", header), images.travel().push(reference, header)):
                try:
                    said.extend([json.dumps(line) async for line in travel])
                except ScowError as error:
                    said.append(error.message)
        assert any("Digest: sha256" in line for line in said)
        assert any("unauthorized" in line for line in said)

    _run(tmp_path, use, users={"ann": "S3cret-good"}, tokens=tokens)
    text = "\n".join([*said, caplog.text])
    basic = base64.b64encode(b"ann:S3cre").decode()
    assert "S3cret" not in text
    assert basic not in text
