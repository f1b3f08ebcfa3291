"""Registries as `scow manifest` and compose speak to them without the engine: the registry client that the engine has, run to the end of each request.

So certificates (`/etc/scow/certs.d`, `/etc/docker/certs.d`), hosts.toml, mirrors, proxies and logging in are the same for both.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from scow.cli import credentials
from scow.cli.command import Cli
from scow.reference import Reference
from scow.registry import credentials as creds
from scow.registry import fetcher, pusher, referrers
from scow.registry.auth import scope
from scow.registry.client import Registry
from scow.registry.media import Descriptor, Manifest
from scow.registry.settings import Settings

_CONFIG_MAX = 8 << 20
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
        self._path = path

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

    def put(self, ref: str, media_type: str, data: bytes) -> None:
        """Store a manifest."""
        self._run(pusher.put_manifest(self._repository, ref, media_type, data))

    def referrers(self, digest: str, artifact_type: str = "") -> list[dict[str, Any]]:
        """What refers to a manifest."""
        found: list[dict[str, Any]] = self._run(referrers.referrers(self._repository, digest, artifact_type))
        return found
