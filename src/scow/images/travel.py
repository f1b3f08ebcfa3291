"""Images on the road: everything that needs a registry, in one place that is loaded when it is first asked for something.

Made by `ImageService.travel()`; used by the routes of /images/create, push, /auth, /distribution and /images/search.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from scow.errors import InvalidArgument, ScowError
from scow.images import manifest as manifests
from scow.images.manifest import ImageManifest
from scow.images.platforms import parse_platform
from scow.images.progress import Line
from scow.images.pull import CONFIG_MAX, Keep, Puller
from scow.images.push import Pusher
from scow.images.store import parse_spec
from scow.images.whereabouts import Whereabouts
from scow.metadata import Database
from scow.reference import Reference
from scow.registry import credentials as creds
from scow.registry import fetcher
from scow.registry.client import Registry, Repository
from scow.registry.errors import Broken, Unreachable, status_error
from scow.registry.settings import Settings

if TYPE_CHECKING:
    from scow.images.service import ImageService


class Travel:
    """Pull, push, log in, look."""

    def __init__(self, service: "ImageService", db: Database, settings: Settings) -> None:
        self._registry = Registry(settings)
        where = Whereabouts(db, service.content)
        where.sweep()
        self._puller = Puller(service, self._registry, where)
        self._pusher = Pusher(service, self._registry, where)

    def configure(self, settings: Settings) -> None:
        """New options are in force."""
        self._registry.settings = settings

    def busy(self) -> set[str]:
        """The blobs on their way in."""
        return self._puller.arrivals.busy()

    async def close(self) -> None:
        """End what is under way."""
        await self._pusher.close()
        await self._puller.close()
        await self._registry.close()

    def pull(self, reference: Reference, platform: str, auth: str, keep: Keep | None = None) -> AsyncIterator[Line]:
        """See Puller.pull; `auth` is an X-Registry-Auth header. Raises InvalidArgument at once for what makes no sense."""
        if platform:
            parse_platform(platform)
        return self._puller.pull(reference, platform, creds.from_header(auth), keep)

    async def current(self, reference: Reference, auth: str) -> str:
        """See Puller.current."""
        return await self._puller.current(reference, creds.from_header(auth))

    def push(self, reference: Reference, auth: str, platform: str = "") -> AsyncIterator[Line]:
        """See Pusher.push."""
        return self._pusher.push(reference, creds.from_header(auth), platform)

    def repository(self, reference: Reference, auth: str, push: bool = False) -> Repository:
        """A repository of a registry, for what `registry/fetcher.py` and `pusher.py` do with it."""
        return self._registry.repository(reference, creds.from_header(auth), push=push)

    async def login(self, document: Any) -> dict[str, str]:
        """The reply of /auth to Docker's AuthConfig. Raises ScowError."""
        who = creds.of(document)
        try:
            token = await self._registry.authenticate(who, who.server)
        except ScowError as error:
            if isinstance(error, Unreachable) and "refused" in error.message:
                raise Broken(error.message) from None  # a 500, as dockerd says it
            raise status_error(error) from None
        return {"Status": "Login Succeeded", "IdentityToken": token}

    async def distribution(self, name: str, auth: str) -> dict[str, Any]:
        """What a registry has under a name: its descriptor and platforms. Raises ScowError."""
        reference = Reference.parse(name).tagged()
        repository = self._registry.repository(reference, creds.from_header(auth))
        try:
            top = await fetcher.manifest(repository, reference.digest or reference.tag)
            found = manifests.parse(top)
            platforms: list[dict[str, str]] = []
            if isinstance(found, ImageManifest):
                spec = parse_spec(await fetcher.small_blob(repository, found.config, CONFIG_MAX))
                platforms.append(_platform(spec.get("os") or "", spec.get("architecture") or "", spec.get("variant") or ""))
            else:
                platforms += [
                    _platform(row.platform.os, row.platform.architecture, row.platform.variant) for row in found.rows if row.platform
                ]
        except ScowError as error:
            raise error if getattr(error, "status", 0) == 401 else status_error(error) from None
        descriptor = {"mediaType": found.media_type, "digest": top.digest, "size": len(top.data)}
        return {"Descriptor": descriptor, "Platforms": platforms}

    async def config(self, reference: Reference, platform: str, auth: str) -> tuple[str, dict[str, Any]]:
        """(digest of the manifest, configuration document) of an image in its registry; nothing is kept. Raises ScowError."""
        return await self._puller.config(reference, platform, creds.from_header(auth))

    async def search(self, term: str, limit: int, auth: str) -> list[dict[str, Any]]:
        """What a registry finds. Raises ScowError."""
        if not term:
            raise InvalidArgument("invalid search term: it is empty")
        try:
            return await self._registry.search(term, limit, creds.from_header(auth))
        except ScowError as error:
            raise error if getattr(error, "status", 0) == 401 else status_error(error) from None


def _platform(os: str, architecture: str, variant: str) -> dict[str, str]:
    return {"architecture": architecture, "os": os, **({"variant": variant} if variant else {})}
