"""Registries as `scow manifest` and compose speak to them without the engine: the registry client that the engine has, run to the end of each
request. So certificates (`/etc/scow/certs.d`, `/etc/docker/certs.d`), hosts.toml, mirrors, proxies and logging in are the same for both.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from scow.cli import credentials
from scow.cli.command import Cli
from scow.errors import ScowError
from scow.reference import Reference
from scow.registry import credentials as creds
from scow.registry import fetcher, pusher, referrers
from scow.registry.auth import scope
from scow.registry.client import Registry
from scow.registry.media import Descriptor, Manifest
from scow.registry.settings import Settings

_CONFIG_MAX = 8 << 20
_CHILDREN_MAX = 200
_ATTEMPTS = 3


def of(cli: Cli, reference: Reference, insecure: bool = False, push: bool = False) -> "RegistryClient":
    """The repository of a reference, with the user's login and proxies. `insecure`: by plain HTTP, too."""
    auth = credentials.get(cli, credentials.key_of(reference.domain))
    proxies = {name: cli.env(f"{name}_proxy") or cli.env(f"{name.upper()}_PROXY") for name in ("http", "https", "no")}
    return RegistryClient(reference.domain, reference.path, auth, insecure, push, proxies)


class RegistryClient:
    """One repository. Every method raises ScowError; of an answer of the registry it is a RegistryError with `status`."""

    def __init__(self, domain: str, path: str, auth: Mapping[str, Any], insecure: bool, push: bool, proxies: Mapping[str, str]) -> None:
        settings = Settings(
            insecure=(domain,) if insecure else (),
            attempts=_ATTEMPTS,
            http_proxy=proxies.get("http", ""),
            https_proxy=proxies.get("https", ""),
            no_proxy=proxies.get("no", ""),
        )
        self._registry = Registry(settings)
        self._repository = self._registry.repository(Reference(domain, path, "", ""), creds.of(dict(auth)), push)
        self._domain, self._path = domain, path

    def also(self, paths: list[str]) -> None:
        """Blobs of these repositories may be mounted."""
        self._repository.scopes += [scope(path, "pull") for path in paths]

    def _run(self, doing: Any) -> Any:
        async def main() -> Any:
            try:
                return await doing
            finally:
                await self._registry.close()

        return asyncio.run(main())

    def manifest(self, ref: str) -> Manifest:
        """The manifest of a tag or digest, verified."""
        found: Manifest = self._run(fetcher.manifest(self._repository, ref))
        return found

    def config(self, digest: str, size: int) -> bytes:
        """A config, verified."""
        found: bytes = self._run(fetcher.small_blob(self._repository, Descriptor(digest, size), _CONFIG_MAX))
        return found

    def mount(self, digest: str, source: str) -> bool:
        """Have a blob of another repository of the registry here, too; whether that worked."""
        done, _ = self._run(pusher.mount(self._repository, digest, source))
        return bool(done)

    def blob(self, digest: str, size: int) -> bytes:
        """A small blob, verified."""
        return self.config(digest, size)

    def upload(self, digest: str, data: bytes) -> None:
        """Store a blob, where it is not there."""

        async def pieces(start: int) -> AsyncIterator[bytes]:
            yield data[start:]

        async def send() -> None:
            if not await pusher.has_blob(self._repository, digest):
                await pusher.upload(self._repository, digest, len(data), pieces)

        self._run(send())

    def copy(self, source: "RegistryClient", ref: str) -> dict[str, Any]:
        """Have an image of another repository here, with all its platforms; its descriptor. Blobs are mounted where they are in the same
        registry, else they pass through."""

        async def both() -> dict[str, Any]:
            try:
                return await self._copy(source, ref, 0)
            finally:
                await source._registry.close()

        if source._domain == self._domain:
            self.also([source._path])
        found: dict[str, Any] = self._run(both())
        return found

    async def _copy(self, source: "RegistryClient", ref: str, depth: int) -> dict[str, Any]:
        found = await fetcher.manifest(source._repository, ref)
        try:
            tree = json.loads(found.data)
            children = [str(one["digest"]) for one in tree.get("manifests") or []]
            rows = [*([tree["config"]] if "config" in tree else []), *(tree.get("layers") or [])]
            blobs = [Descriptor(str(one["digest"]), int(one["size"])) for one in rows if not one.get("urls")]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ScowError(f"{source._domain}/{source._path}: the manifest {ref} can't be read") from None
        if len(children) > _CHILDREN_MAX or (children and depth):
            raise ScowError(f"{source._domain}/{source._path}: the index {ref} names too many manifests")
        for child in children:
            await self._copy(source, child, depth + 1)
        for blob in blobs:
            await self._take(source, blob)
        await pusher.put_manifest(self._repository, found.digest, found.media_type, found.data)
        return {"mediaType": found.media_type, "digest": found.digest, "size": len(found.data)}

    async def _take(self, source: "RegistryClient", blob: Descriptor) -> None:
        if await pusher.has_blob(self._repository, blob.digest):
            return
        location = ""
        if source._domain == self._domain:
            done, location = await pusher.mount(self._repository, blob.digest, source._path)
            if done:
                return
        await pusher.upload(self._repository, blob.digest, blob.size, lambda at: fetcher.blob(source._repository, blob, at), location)

    def put(self, ref: str, media_type: str, data: bytes) -> None:
        """Store a manifest."""
        self._run(pusher.put_manifest(self._repository, ref, media_type, data))

    def referrers(self, digest: str, artifact_type: str = "") -> list[dict[str, Any]]:
        """What refers to a manifest."""
        found: list[dict[str, Any]] = self._run(referrers.referrers(self._repository, digest, artifact_type))
        return found
