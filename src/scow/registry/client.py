"""The door: `Registry.repository(...)` is one repository for the length of one operation, on the first server that answers for it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from scow import log
from scow.errors import ScowError
from scow.reference import Reference
from scow.registry import resolver
from scow.registry.auth import Login, scope
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError, Unreachable
from scow.registry.resolver import Endpoint
from scow.registry.settings import Settings
from scow.registry.transport import Transport, read

logger = log.get(__name__)

T = TypeVar("T")

_PLAIN_SECONDS = 300.0
_SEARCH_MAX = 4 << 20
_PLAIN_MAX = 1000


class Repository:
    """One repository: `path` on the servers of `domain`. Not for two operations at once with different scopes."""

    def __init__(self, registry: "Registry", reference: Reference, credentials: Credentials, scopes: list[str], push: bool) -> None:
        self.registry = registry
        self.domain = reference.domain
        self.path = reference.path
        self._credentials = credentials
        self.scopes = scopes
        self._endpoints = registry.endpoints(reference.domain, push)
        self._logins: dict[str, Login] = {}
        self.chosen: Endpoint | None = None

    @property
    def transport(self) -> Transport:
        """What sends the requests."""
        return self.registry.transport

    def login(self, endpoint: Endpoint) -> Login:
        """The authorization at an endpoint; mirrors don't get the credentials of what they mirror."""
        found = self._logins.get(endpoint.base)
        if found is None:
            credentials = Credentials() if endpoint.mirror and endpoint.host != resolver.server_of(self.domain) else self._credentials
            found = self._logins[endpoint.base] = Login(endpoint, credentials, self.scopes)
        return found

    def url(self, endpoint: Endpoint, path: str) -> str:
        """The address of `<repository>/<path>`."""
        url = endpoint.url(f"{self.path}/{path}")
        if endpoint.namespace:
            url += ("&" if "?" in url else "?") + f"ns={endpoint.namespace}"
        return url

    async def run(self, do: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Do something at the chosen endpoint, or at the first that answers. Mirrors that refuse are passed over. Raises ScowError."""
        rows = [self.chosen] if self.chosen is not None and not self.chosen.mirror else self._endpoints
        if not rows:
            raise Unreachable(f"no endpoint of {self.domain} takes this", final=True)
        if self.chosen is not None and self.chosen.mirror:
            rows = rows[rows.index(self.chosen) :] if self.chosen in rows else rows
        for number, endpoint in enumerate(rows):
            last = number == len(rows) - 1
            try:
                result = await do(endpoint)
            except (Unreachable, RegistryError) as error:
                if isinstance(error, RegistryError) and not endpoint.mirror:
                    self._choose(endpoint)
                if last or not (endpoint.mirror or isinstance(error, Unreachable)):
                    raise
                logger.debug("%s does not serve %s: %s", endpoint.base, self.path, error.message)
                continue
            self._choose(endpoint)
            return result
        raise AssertionError("unreachable")

    async def endpoint(self) -> Endpoint:
        """The chosen endpoint; the first that answers anything where none is chosen yet. Raises ScowError."""
        if self.chosen is None:

            async def probe(endpoint: Endpoint) -> None:
                async with self.transport.open(endpoint, "GET", endpoint.url(""), accept=(401, 403, 404)):
                    pass

            await self.run(probe)
        assert self.chosen is not None
        return self.chosen

    def leave_mirror(self) -> bool:
        """Go on to the server behind the mirror in use; whether there is one."""
        if self.chosen is None or not self.chosen.mirror or self.chosen not in self._endpoints:
            return False
        rest = self._endpoints[self._endpoints.index(self.chosen) + 1 :]
        if not rest:
            return False
        self.chosen = rest[0]
        return True

    def _choose(self, endpoint: Endpoint) -> None:
        if self.chosen is not endpoint:
            self.chosen = endpoint
            self.registry.remember(endpoint)


class Registry:
    """The registries of the world, as this engine reaches them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.transport = Transport(lambda: self.settings)
        self._plain: dict[str, float] = {}

    async def close(self) -> None:
        """Drop every connection."""
        await self.transport.close()

    def repository(self, reference: Reference, credentials: Credentials, push: bool = False, also: list[str] | None = None) -> Repository:
        """A repository to pull from, or to push to. `also`: paths whose blobs may be mounted. Raises InvalidArgument."""
        actions = ("pull", "push") if push else ("pull",)
        scopes = [scope(reference.path, *actions), *(scope(path, "pull") for path in also or ())]
        return Repository(self, reference, credentials, scopes, push)

    def endpoints(self, domain: str, push: bool = False) -> list[Endpoint]:
        """The servers of a domain; where one was just found to speak plain HTTP, that is tried first."""
        found = resolver.endpoints(self.settings, domain, push)
        if self._plain.get(resolver.server_of(domain), 0.0) > time.monotonic():
            found.sort(key=lambda one: (not one.mirror, one.tls))
        return found

    def remember(self, endpoint: Endpoint) -> None:
        """An endpoint answered."""
        if endpoint.tls:
            self._plain.pop(endpoint.host, None)
            return
        if len(self._plain) > _PLAIN_MAX:
            self._plain.clear()
        self._plain[endpoint.host] = time.monotonic() + _PLAIN_SECONDS

    async def authenticate(self, credentials: Credentials, server: str) -> str:
        """Log in to a registry as `docker login` does; its identity token, "" mostly. Raises ScowError."""
        host = server.removeprefix("https://").removeprefix("http://").split("/")[0]
        domain = resolver.HUB if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host
        if domain != resolver.HUB:
            Reference.parse(f"{domain}/x")
        rows = [one for one in self.endpoints(domain, push=True) if not one.mirror]
        for number, endpoint in enumerate(rows):
            login = Login(endpoint, credentials, account=True)
            try:
                async with self.transport.open(endpoint, "GET", endpoint.url(""), login) as response:
                    await read(response, _SEARCH_MAX, "Get", cut=True)
            except Unreachable:
                if number == len(rows) - 1:
                    raise
                continue
            except RegistryError as error:
                if error.status == 401 and login.header.startswith("Basic"):
                    raise RegistryError(
                        f"login attempt to {endpoint.url('')} failed with status: 401 Unauthorized", error.code, error.status
                    ) from None
                raise
            self.remember(endpoint)
            return login.identity_token
        raise Unreachable(f"no endpoint of {domain} takes logins", final=True)

    async def search(self, term: str, limit: int, credentials: Credentials) -> list[dict[str, Any]]:
        """What a registry with the search of version 1 finds: its rows. Raises ScowError."""
        from urllib.parse import quote

        import orjson

        first, sep, rest = term.partition("/")
        host = first if sep and ("." in first or ":" in first or first == "localhost") else ""
        if host in ("", "docker.io", "index.docker.io"):
            host, text = "index.docker.io", rest if host else term
        else:
            text = rest
        if text.startswith("library/"):
            text = text.removeprefix("library/")
        error: ScowError | None = None
        for endpoint in resolver.endpoints(self.settings, host, push=True):
            url = f"{endpoint.base}/v1/search?q={quote(text, safe='')}&n={limit}"
            try:
                async with self.transport.open(endpoint, "GET", url, Login(endpoint, credentials)) as response:
                    data = await read(response, _SEARCH_MAX, "Get")
            except Unreachable as exc:
                error = exc
                continue
            try:
                document = orjson.loads(data)
            except ValueError:
                document = None
            rows = document.get("results") if isinstance(document, dict) else None
            if not isinstance(rows, list):
                raise RegistryError(f"Get {url}: the answer is no search result")
            return [row for row in rows if isinstance(row, dict)][:limit]
        raise error or Unreachable(f"no endpoint of {host} searches", final=True)
