"""One plugin: JSON calls over its socket, each with a time limit; what it answers is bounded and never trusted.

aiohttp is imported at the first call: most engines have no plugins.
"""

import asyncio
import importlib
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from scow import aio
from scow.errors import Internal, Unavailable

if TYPE_CHECKING:
    import aiohttp

MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json"
SHORT_SECONDS = 30.0  # questions
LONG_SECONDS = 120.0  # work: create, mount
CONNECT_SECONDS = 5.0
_REPLY_MAX = 4 << 20
_TEXT_MAX = 2000


class PluginFailed(Internal):
    """The plugin said no."""

    told = True


class PluginAway(Unavailable):
    """The plugin cannot be reached, or does not answer in time."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of a plugin: files, "" = none."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class Plugin:
    """A plugin; `activate` first."""

    def __init__(self, name: str, address: str, tls: Tls | None = None) -> None:
        self.name, self.address = name, address
        self.implements: frozenset[str] = frozenset()
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def activate(self) -> None:
        """Shake hands. Raises PluginAway, PluginFailed."""
        answer = await self.call("Plugin.Activate", None, SHORT_SECONDS)
        found = answer.get("Implements")
        self.implements = frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()

    async def call(self, method: str, body: dict[str, Any] | None, seconds: float = SHORT_SECONDS) -> dict[str, Any]:
        """One call: the reply's object. Raises PluginFailed with the plugin's words (its `Err`), PluginAway."""
        try:
            async with asyncio.timeout(seconds):
                status, data = await self._post(method, body)
        except TimeoutError:
            raise PluginAway(f'plugin "{self.name}" did not answer {method} within {seconds:g} seconds: is it alive?') from None
        answer = self._parse(method, status, data)
        error = answer.get("Err")
        if status >= 400:
            raise PluginFailed(f"{method}: {_text(error) if error else f'status {status}'}")
        if error:
            raise PluginFailed(_text(error))
        return answer

    async def _post(self, method: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        aiohttp = await aio.in_pool(importlib.import_module, "aiohttp")
        if self._session is None:
            self._session = self._open(aiohttp)
        base = urlsplit(self.address)
        url = f"http://plugin/{method}" if base.scheme == "unix" else f"{'https' if self._tls else 'http'}://{base.netloc}/{method}"
        try:
            async with self._session.post(url, data=json.dumps(body or {}).encode(), allow_redirects=False) as response:
                data = bytearray()
                async for piece in response.content.iter_chunked(1 << 16):
                    data += piece
                    if len(data) > _REPLY_MAX:
                        raise PluginFailed(f'plugin "{self.name}" answered {method} with more than {_REPLY_MAX >> 20} MB')
                return response.status, bytes(data)
        except aiohttp.ClientConnectorError as error:
            reason = (error.os_error.strerror or str(error.os_error)).lower() if error.os_error else str(error)
            raise PluginAway(f'plugin "{self.name}" cannot be reached at {self.address}: {reason}: is it running?') from None
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            raise PluginAway(f'plugin "{self.name}" broke off while it answered {method}: {str(error)[:200]}') from None

    def _open(self, library: Any) -> "aiohttp.ClientSession":
        connector: Any
        if self.address.startswith("unix://"):
            connector = library.UnixConnector(path=urlsplit(self.address).path, keepalive_timeout=5)
        else:
            connector = library.TCPConnector(ssl=self._context() if self._tls else False, keepalive_timeout=5)
        session: aiohttp.ClientSession = library.ClientSession(
            connector=connector,
            timeout=library.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers={"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE},
            cookie_jar=library.DummyCookieJar(),
        )
        return session

    def _context(self) -> ssl.SSLContext:
        tls = self._tls or Tls()
        try:
            context = ssl.create_default_context(cafile=tls.ca or None)
            if not tls.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if tls.cert:
                context.load_cert_chain(tls.cert, tls.key or None)
        except (OSError, ssl.SSLError) as error:
            raise PluginFailed(f'plugin "{self.name}": its TLS files cannot be used: {error}') from None
        return context

    def _parse(self, method: str, status: int, data: bytes) -> dict[str, Any]:
        try:
            # orjson lets through nothing that could not be stored or sent on (lone surrogates, NaN)
            answer = orjson.loads(data) if data.strip() else {}
        except ValueError:
            if status >= 400:
                raise PluginFailed(f"{method}: {_text(data.decode(errors='replace'))}") from None
            raise PluginFailed(f'plugin "{self.name}" answered {method} with what is no JSON') from None
        if not isinstance(answer, dict):
            raise PluginFailed(f'plugin "{self.name}" answered {method} with what is no JSON object')
        return answer

    async def close(self) -> None:
        """End the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _text(error: object) -> str:
    words = error if isinstance(error, str) else json.dumps(error, default=str)
    return "".join(letter if letter.isprintable() else " " for letter in words.strip()[:_TEXT_MAX])
