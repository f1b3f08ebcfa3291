"""Manifests and blobs from the registry in memory, honest and not."""

import json

import pytest
from aiohttp import web

from scow.errors import ScowError
from scow.reference import Reference
from scow.registry import fetcher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.errors import Broken, RegistryError, Unreachable
from scow.registry.fetcher import MANIFEST_MAX
from scow.registry.media import Descriptor
from scow.registry.settings import Settings
from tests.fakes.registry import DOCKER, FakeRegistry, sha256
from tests.support.asynchronous import on_loop

BLOB = bytes(range(256)) * 4000


class Talk:
    """A fake registry and a client of it."""

    def __init__(self, **settings: object) -> None:
        self.registry = FakeRegistry()
        self.client = Registry(Settings(**settings))  # type: ignore[arg-type]

    async def __aenter__(self) -> "Talk":
        await self.registry.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()
        await self.registry.__aexit__(*exc)

    def repository(self, path: str = "x") -> Repository:
        return self.client.repository(Reference.parse(f"{self.registry.address}/{path}"), Credentials())


async def _all(repository: Repository, wanted: Descriptor, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in fetcher.blob(repository, wanted, offset)])


@on_loop
async def test_manifest_by_tag_and_digest() -> None:
    async with Talk() as talk:
        digest = talk.registry.put_image("x", "1", b"{}", [])
        for ref in ("1", digest):
            found = await fetcher.manifest(talk.repository(), ref)
            assert (found.digest, found.media_type) == (digest, DOCKER)
        assert await fetcher.head(talk.repository(), "1") == (digest, DOCKER, len(found.data))
        assert await fetcher.tags(talk.repository()) == ["1"]
        with pytest.raises(RegistryError) as error:
            await fetcher.manifest(talk.repository(), "2")
        assert error.value.code == "MANIFEST_UNKNOWN"


@on_loop
async def test_manifests_that_lie_or_have_no_end_are_refused() -> None:
    async with Talk() as talk:
        talk.registry.manifests["x", sha256(b"{}")] = (DOCKER, b'{"other": 1}')
        with pytest.raises(Broken, match="verification failed"):
            await fetcher.manifest(talk.repository(), sha256(b"{}"))
        talk.registry.put_manifest("x", "big", DOCKER, b" " * (MANIFEST_MAX + 1))
        with pytest.raises(Unreachable, match="larger than"):
            await fetcher.manifest(talk.repository(), "big")


@on_loop
async def test_a_blob_goes_on_where_the_line_broke() -> None:
    async with Talk() as talk:
        digest = talk.registry.put_blob("x", BLOB)
        talk.registry.cut[digest] = 500_000
        assert await _all(talk.repository(), Descriptor(digest, len(BLOB))) == BLOB
        assert talk.registry.count(f"GET /v2/x/blobs/{digest}") == 2
        assert await _all(talk.repository(), Descriptor(digest, len(BLOB)), 1000) == BLOB[1000:]
        talk.registry.ranges = False
        assert await _all(talk.repository(), Descriptor(digest, len(BLOB)), 1000) == BLOB[1000:], "the server knows no ranges"


@on_loop
async def test_blobs_longer_or_shorter_than_promised() -> None:
    async with Talk(attempts=1) as talk:
        digest = talk.registry.put_blob("x", BLOB)
        with pytest.raises(ScowError, match="longer than"):
            await _all(talk.repository(), Descriptor(digest, 1000))
        with pytest.raises(ScowError, match="unexpected EOF"):
            await _all(talk.repository(), Descriptor(digest, len(BLOB) + 1))
        with pytest.raises(Broken, match="verification failed"):
            talk.registry.blobs[digest] = b"x" * len(BLOB)
            await fetcher.small_blob(talk.repository(), Descriptor(digest, len(BLOB)), 1 << 30)


@on_loop
async def test_a_server_error_is_tried_again_and_a_missing_blob_is_not() -> None:
    async with Talk() as talk:
        digest = talk.registry.put_blob("x", BLOB)
        failures = [503, 500]
        talk.registry.hook = lambda request: web.Response(status=failures.pop()) if failures else None
        assert await _all(talk.repository(), Descriptor(digest, len(BLOB))) == BLOB
        with pytest.raises(RegistryError):
            await _all(talk.repository(), Descriptor(sha256(b"no"), 3))
        assert talk.registry.count(sha256(b"no")) == 1


@on_loop
async def test_redirects_drop_the_password_and_end() -> None:
    async with FakeRegistry() as elsewhere, FakeRegistry({"moby": "p"}) as registry:
        digest = registry.put_blob("x", BLOB)
        elsewhere.put_blob("x", BLOB)

        def away(request: web.Request) -> web.Response | None:
            if "/blobs/" in request.path and request.headers.get("Authorization"):
                return web.Response(status=307, headers={"Location": f"http://{elsewhere.address}{request.path}"})
            return None

        registry.hook = away
        client = Registry(Settings())
        try:
            repository = client.repository(Reference.parse(f"{registry.address}/x"), Credentials("moby", "p"))
            assert await _all(repository, Descriptor(digest, len(BLOB))) == BLOB
            assert set(elsewhere.authorizations) == {""}
            registry.hook = lambda request: web.Response(status=302, headers={"Location": f"{request.path}?{len(registry.asked)}"})
            with pytest.raises(Unreachable, match="stopped after"):
                await fetcher.manifest(repository, "1")
        finally:
            await client.close()


@on_loop
async def test_a_digest_is_never_a_path() -> None:
    async with Talk() as talk:
        for digest in ("../../x", "sha256:../x", "sha256:" + "0" * 63 + "/", ""):
            with pytest.raises(ScowError, match="invalid digest"):
                await _all(talk.repository(), Descriptor(digest, 10))
        assert talk.registry.asked == []


@on_loop
async def test_a_mirror_without_the_image_is_passed_over(tmp_path) -> None:
    async with FakeRegistry() as mirror, FakeRegistry() as registry:
        digest = registry.put_image("x", "1", b"{}", [BLOB])
        folder = tmp_path / registry.address
        folder.mkdir()
        (folder / "hosts.toml").write_text(f'server = "http://{registry.address}"\n[host."http://{mirror.address}"]\n')
        client = Registry(Settings(folders=(tmp_path,)))
        try:
            repository = client.repository(Reference.parse(f"{registry.address}/x"), Credentials("a", "b"))
            assert (await fetcher.manifest(repository, "1")).digest == digest
            assert mirror.count("/manifests/") == 1
            assert json.loads((await fetcher.manifest(repository, "1")).data)["schemaVersion"] == 2
            mirror.manifests = registry.manifests
            other = client.repository(Reference.parse(f"{registry.address}/x"), Credentials("a", "b"))
            await fetcher.manifest(other, "1")
            assert await _all(other, Descriptor(sha256(BLOB), len(BLOB))) == BLOB, "the mirror has the manifest, not the blob"
            assert set(mirror.authorizations) == {""}
        finally:
            await client.close()


@on_loop
async def test_nobody_listens() -> None:
    client = Registry(Settings())
    try:
        with pytest.raises(Unreachable, match="connection refused"):
            await fetcher.manifest(client.repository(Reference.parse("127.0.0.1:1/x"), Credentials()), "1")
    finally:
        await client.close()
