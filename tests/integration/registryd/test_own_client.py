"""Scow's registry client against Scow's registry server: every kind of login, large and small blobs, mounts, tags in pages."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from scow.reference import Reference
from scow.registry import fetcher, pusher
from scow.registry.client import Registry as Client
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError
from scow.registry.media import OCI_MANIFEST, Descriptor
from scow.registry.settings import Settings
from scow.registryd.accounts import parse_grant
from tests.support.registryserver import image, serving, sha256

BIG, SMALL = os.urandom(12_000_000), b"small layer"


def source(data: bytes):
    async def parts(offset: int) -> AsyncIterator[bytes]:
        for at in range(offset, len(data), 32768):
            yield data[at : at + 32768]

    return parts


@pytest.mark.parametrize("auth", ["open", "basic", "token"])
def test_push_and_pull(tmp_path, auth):
    options = {"anonymous_push": True} if auth == "open" else {"auth": auth}
    with serving(tmp_path, **options) as server:
        credentials = Credentials()
        if auth != "open":
            server.store.accounts.add("ann", "secret", [parse_grant("**:pull,push")])
            credentials = Credentials("ann", "secret")

        async def main() -> None:
            client = Client(Settings())
            try:
                target = Reference.parse(f"{server.address}/own/a:v1")
                if auth != "open":
                    assert isinstance(await client.authenticate(credentials, server.address), str)
                    with pytest.raises(RegistryError):
                        await client.authenticate(Credentials("ann", "wrong"), server.address)
                repository = client.repository(target, credentials, push=True)
                for data in (BIG, SMALL, b"{}"):
                    assert not await pusher.has_blob(repository, sha256(data))
                    await pusher.upload(repository, sha256(data), len(data), source(data))
                    assert await pusher.has_blob(repository, sha256(data))
                manifest = image(BIG, SMALL)
                assert await pusher.put_manifest(repository, "v1", OCI_MANIFEST, manifest) == sha256(manifest)
                other = client.repository(Reference.parse(f"{server.address}/own/b:v1"), credentials, push=True, also=["own/a"])
                assert (await pusher.mount(other, sha256(BIG), "own/a"))[0]
                reading = client.repository(target, credentials)
                assert await fetcher.head(reading, "v1") == (sha256(manifest), OCI_MANIFEST, len(manifest))
                assert (await fetcher.manifest(reading, "v1")).data == manifest
                got = b"".join([piece async for piece in fetcher.blob(reading, Descriptor(sha256(BIG), len(BIG)), 1_000_000)])
                assert got == BIG[1_000_000:]
                assert await fetcher.tags(reading) == ["v1"]
            finally:
                await client.close()

        asyncio.run(asyncio.wait_for(main(), 120))
