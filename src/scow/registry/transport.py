"""Requests to registries over aiohttp: connections kept between requests, errors in words, redirects and replies bounded.

aiohttp is imported at the first request: it costs more than the rest of the daemon's start. One `Transport` per engine.
"""

import asyncio
import contextlib
import importlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import scow
from scow import aio, log
from scow.registry import resolver
from scow.registry.auth import Login, challenges
from scow.registry.errors import RegistryError, Unreachable, parse
from scow.registry.resolver import Contexts, Endpoint
from scow.registry.settings import Settings

if TYPE_CHECKING:
    import aiohttp

logger = log.get(__name__)

CONNECT_SECONDS = 30.0
_MAYBE_TLS_SECONDS = 10.0
REPLY_SECONDS = 60.0
_REDIRECTS = 5
_LOGINS = 2
_ERROR_MAX = 64 << 10
_RETRY_AFTER_MAX = 60.0

Body = bytes | AsyncIterable[bytes] | None


class Transport:
    """Sends requests; `close` ends its connections."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._contexts = Contexts()

    @property
    def settings(self) -> Settings:
        """The options in force."""
        return self._settings()

    async def _get(self) -> "aiohttp.ClientSession":
        async with self._opening:
            if self._session is None:
                aiohttp = await aio.in_pool(importlib.import_module, "aiohttp")
                timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=REPLY_SECONDS)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
                    timeout=timeout,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    read_bufsize=1 << 18,
                    headers={"User-Agent": f"scow/{scow.__version__}"},
                    skip_auto_headers=["Accept", "Accept-Encoding", "Content-Type"],
                )
            return self._session

    async def close(self) -> None:
        """Drop every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @contextlib.asynccontextmanager
    async def open(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        login: Login | None = None,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body] | None = None,
        accept: tuple[int, ...] = (),
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """A request with its reply, logged in where asked for. Raises RegistryError for statuses of 400 and more outside `accept`.

        `body` makes the body anew for each try. Raises Unreachable when there is no reply.
        """
        what = f'{method.capitalize()} "{url}"'
        tries = 0
        while True:
            sent = login.current() if login is not None and self._ours(endpoint, url) else ""
            response = await self._follow(endpoint, method, url, what, sent, headers, body() if body is not None else None)
            try:
                if response.status == 401 and login is not None and tries < _LOGINS and self._ours(endpoint, str(response.url)):
                    tries += 1
                    offered = challenges(response.headers.getall("WWW-Authenticate", []))
                    data = await read(response, _ERROR_MAX, what)
                    if await login.answer(offered, sent, self, what) and (login.current() != sent):
                        continue
                    raise _refused(response, data)
                if response.status >= 400 and response.status not in accept:
                    raise _refused(response, b"" if method == "HEAD" else await read(response, _ERROR_MAX, what, cut=True))
                yield response
                return
            finally:
                response.release() if response.status < 400 and response.content.at_eof() else response.close()

    @staticmethod
    def _ours(endpoint: Endpoint, url: str) -> bool:
        return _origin(url) == _origin(endpoint.base)

    async def _follow(
        self, endpoint: Endpoint, method: str, url: str, what: str, authorization: str, headers: Mapping[str, str] | None, body: Body
    ) -> "aiohttp.ClientResponse":
        seen: set[str] = set()
        at = url
        for _ in range(_REDIRECTS + 1):
            own = self._ours(endpoint, at)
            fields = dict(headers or {})
            if own:
                fields.update(endpoint.headers)
                if authorization:
                    fields["Authorization"] = authorization
            response = await self._send(method, at, what, fields, body, self._context(endpoint, at))
            if response.status not in (301, 302, 303, 307, 308) or method not in ("GET", "HEAD"):
                return response
            target = urljoin(at, response.headers.get("Location", ""))
            response.close()
            parts = urlsplit(target)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or target in seen:
                raise Unreachable(f"{what}: invalid redirect to {target[:200]!r}", final=True)
            if parts.scheme == "http" and urlsplit(at).scheme == "https" and endpoint.verify:
                raise Unreachable(f"{what}: refusing to follow a redirect from HTTPS to HTTP ({parts.netloc})", final=True)
            seen.add(target)
            at = target
        raise Unreachable(f"{what}: stopped after {_REDIRECTS} redirects", final=True)

    def _context(self, endpoint: Endpoint, url: str) -> ssl.SSLContext | None:
        parts = urlsplit(url)
        if parts.scheme != "https":
            return None
        if parts.netloc == endpoint.host:
            return self._contexts.of(endpoint)
        settings = self.settings
        cas, pairs = resolver.certificates(resolver.folder_of(settings, parts.netloc))
        verify = not resolver.is_insecure(settings, parts.netloc)
        return self._contexts.of(Endpoint(f"https://{parts.netloc}", verify=verify, ca=cas, certs=pairs))

    async def _send(
        self, method: str, url: str, what: str, headers: Mapping[str, str], body: Body, context: ssl.SSLContext | None
    ) -> "aiohttp.ClientResponse":
        session = await self._get()
        from yarl import URL

        extra: dict[str, Any] = {"ssl": context} if context is not None else {}
        if context is not None and context.verify_mode == ssl.CERT_NONE:  # it may be none that speaks TLS, and wait for more
            extra["timeout"] = type(session.timeout)(total=None, sock_connect=_MAYBE_TLS_SECONDS, sock_read=REPLY_SECONDS)
        proxy = resolver.proxy_for(self.settings, url)
        if proxy:
            extra["proxy"] = proxy
        try:
            return await session.request(method, URL(url, encoded=True), headers=dict(headers), data=body, allow_redirects=False, **extra)
        except (OSError, ValueError, TimeoutError) as error:
            raise unreachable(error, what, url) from None
        except Exception as error:
            if type(error).__module__.startswith("aiohttp"):
                raise unreachable(error, what, url) from None
            raise

    async def plain(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], endpoint: Endpoint, limit: int
    ) -> tuple[int, bytes]:
        """A small request outside of /v2/: (status, body). Redirects are not followed: they would carry a password along."""
        what = f'{method.capitalize()} "{url.partition("?")[0]}"'
        fields = dict(headers)
        if body is not None:
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        response = await self._send(method, url, what, fields, body, self._context(endpoint, url))
        try:
            return response.status, await read(response, limit, what)
        finally:
            response.close()


async def read(response: "aiohttp.ClientResponse", limit: int, what: str, cut: bool = False) -> bytes:
    """The body of a reply of at most `limit` bytes; longer ones are cut or raise Unreachable. Slow drips end after REPLY_SECONDS."""
    data = bytearray()
    try:
        async with asyncio.timeout(REPLY_SECONDS):
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > limit:
                    if cut:
                        return bytes(data[:limit])
                    raise Unreachable(f"{what}: the reply is larger than {limit} bytes", final=True)
    except Unreachable:
        raise
    except (OSError, TimeoutError) as error:
        raise unreachable(error, what, str(response.url)) from None
    except Exception as error:
        if type(error).__module__.startswith("aiohttp"):
            raise unreachable(error, what, str(response.url)) from None
        raise
    return bytes(data)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _refused(response: "aiohttp.ClientResponse", body: bytes) -> RegistryError:
    offered = challenges(response.headers.getall("WWW-Authenticate", []))
    insufficient = any(one.parameters.get("error") == "insufficient_scope" for one in offered)
    after = 0.0
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        after = min(float(text[:6]), _RETRY_AFTER_MAX)
    return parse(response.status, body, insufficient, after)


def unreachable(error: BaseException, what: str, url: str) -> Unreachable:
    """Why there is no reply, in the words of Go's client that users and scripts know."""
    parts = urlsplit(url)
    where = f"{parts.hostname or ''}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    cause: BaseException | None = error
    for _ in range(5):
        if cause is None:
            break
        if type(cause).__module__.startswith("aiohttp") and type(cause).__name__ != "ClientConnectorDNSError":
            wrapped = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None)
            if wrapped is not None:
                cause = wrapped
                continue
        inner: Any = getattr(cause, "os_error", None) or getattr(cause, "certificate_error", None) or cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = str(getattr(cause, "verify_message", "") or cause)
            kind = "certificate signed by unknown authority" if "self" in why or "issuer" in why else why
            return Unreachable(f"{what}: tls: failed to verify certificate: x509: {kind}", final=True)
        if isinstance(cause, ssl.SSLError):
            reason = str(getattr(cause, "reason", None) or cause).lower().replace("_", " ")
            if "wrong version number" in reason or "record layer" in reason or "packet length" in reason or "http request" in reason:
                return Unreachable(f"{what}: http: server gave HTTP response to HTTPS client", plain=True, final=True)
            return Unreachable(f"{what}: remote error: tls: {reason}", final="alert" in reason)
        if isinstance(cause, TimeoutError):
            return Unreachable(f"{what}: dial tcp {where}: i/o timeout")
        if isinstance(cause, ConnectionRefusedError) or getattr(cause, "errno", None) == 111:
            return Unreachable(f"{what}: dial tcp {where}: connect: connection refused", final=True)
        if type(cause).__name__ == "gaierror" or type(cause).__name__ == "ClientConnectorDNSError":
            return Unreachable(f"{what}: dial tcp: lookup {parts.hostname}: no such host", final=True)
        if isinstance(cause, ConnectionError) and not inner:
            return Unreachable(f"{what}: {(cause.strerror or 'connection reset by peer').lower()}")
        if inner is None and isinstance(cause, OSError) and cause.strerror:
            return Unreachable(f"{what}: dial tcp {where}: connect: {cause.strerror.lower()}")
        cause = inner
    name = type(error).__name__
    if name in ("ServerDisconnectedError", "ClientPayloadError"):
        return Unreachable(f"{what}: unexpected EOF")
    if "BadStatusLine" in name or "ResponseError" in name or name == "BadHttpMessage":
        return Unreachable(f"{what}: malformed HTTP response", final=True)
    return Unreachable(f"{what}: {error}" if str(error) else f"{what}: {name}")
