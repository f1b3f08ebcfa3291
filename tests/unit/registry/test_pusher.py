"""Uploads to the registry in memory."""

import os
from collections.abc import AsyncIterator

import pytest

from scow.reference import Reference
from scow.registry import pusher
from scow.registry.client import Registry, Repository
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError
from scow.registry.pusher import Source
from scow.registry.settings import Settings
from tests.fakes.registry import DOCKER, FakeRegistry, sha256
from tests.support.asynchronous import on_loop

LARGE = os.urandom(9 << 20)


def _source(data: bytes) -> Source:
    async def pieces(offset: int) -> AsyncIterator[bytes]:
        for at in range(offset, len(data), 1 << 20):
            yield data[at : at + (1 << 20)]

    return pieces


def _repository(client: Registry, fake: FakeRegistry, path: str = "x") -> Repository:
    return client.repository(Reference.parse(f"{fake.address}/{path}"), Credentials(), push=True)


@on_loop
async def test_small_blobs_take_two_requests_and_large_ones_go_on_after_a_break() -> None:
    client = Registry(Settings())
    async with FakeRegistry() as fake:
        try:
            repository = _repository(client, fake)
            assert not await pusher.has_blob(repository, sha256(b"small"))
            await pusher.upload(repository, sha256(b"small"), 5, _source(b"small"))
            assert await pusher.has_blob(repository, sha256(b"small"))
            assert [one.split()[0] for one in fake.asked if "uploads" in one] == ["POST", "PUT"]
            fake.asked.clear()
            fake.cut["upload"] = 3 << 20
            seen: list[int] = []
            await pusher.upload(repository, sha256(LARGE), len(LARGE), _source(LARGE), moved=seen.append)
            assert fake.blobs[sha256(LARGE)] == LARGE
            assert [one.split()[0] for one in fake.asked if "uploads" in one] == ["POST", "PATCH", "GET", "PATCH", "PUT"]
            assert seen[-1] == len(LARGE)
        finally:
            await client.close()


@on_loop
async def test_mount_and_manifest() -> None:
    client = Registry(Settings())
    async with FakeRegistry() as fake:
        try:
            digest = fake.put_blob("one", b"blob")
            repository = _repository(client, fake, "two")
            assert await pusher.mount(repository, digest, "one") == (True, "")
            assert digest in fake.repos["two"]
            done, location = await pusher.mount(repository, digest, "nowhere")
            assert not done
            await pusher.upload(repository, digest, 4, _source(b"blob"), location)
            assert fake.count("POST") == 2, "the upload begun by the mount is used"
            assert await pusher.put_manifest(repository, "v1", DOCKER, b"{}") == sha256(b"{}")
            assert fake.manifests["two", "v1"] == (DOCKER, b"{}")
        finally:
            await client.close()


@on_loop
async def test_a_refused_upload_is_not_tried_again() -> None:
    client = Registry(Settings())
    async with FakeRegistry() as fake:
        try:
            repository = _repository(client, fake)
            with pytest.raises(RegistryError, match="digest invalid"):
                await pusher.upload(repository, sha256(b"other"), 5, _source(b"small"))
            assert fake.count("POST") == 1
        finally:
            await client.close()
