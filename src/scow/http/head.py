"""Request heads: parsing with the limits and the strictness that leave no room for request smuggling.

`parse` is a pure function of the head's bytes, so a keep-alive client that repeats a request is served from a small table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

MAX_HEAD = 256 << 10
MAX_HEADERS = 200

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_CACHED_HEADS = 64
_CACHED_BYTES = 1024


class BadRequest(Exception):
    """The request cannot be understood; the connection is closed after the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(slots=True)
class Head:
    """One parsed head: `target` as sent, header names in lower case, `length` None when the body is chunked.

    `memo` belongs to the application.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    minor: int
    keep_alive: bool
    length: int | None
    expects_continue: bool
    upgrade: str
    memo: Any = field(default=None, compare=False)


class _Collector:
    __slots__ = ("headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


class Heads:
    """Parses heads and remembers the short ones seen lately."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Head] = {}

    def parse(self, data: bytes) -> Head:
        """The head in `data`, which ends with the empty line. Raises BadRequest."""
        head = self._seen.get(data)
        if head is None:
            head = parse(data)
            if len(data) <= _CACHED_BYTES:
                if len(self._seen) >= _CACHED_HEADS:
                    self._seen.clear()
                self._seen[data] = head
        return head


def parse(data: bytes) -> Head:
    """Parse one complete head. Raises BadRequest."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    if b"\r" in data.replace(b"\r\n", b"") or b"\n" in data.replace(b"\r\n", b""):
        raise BadRequest("malformed request: a line must end with CRLF")
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as exc:
        raise BadRequest(f"malformed request: {exc}") from exc
    if len(collector.headers) > MAX_HEADERS:
        raise BadRequest("too many header fields", 431)
    try:
        method, target, version = parser.get_method().decode("ascii"), collector.url.decode("ascii"), parser.get_http_version()
    except UnicodeDecodeError as exc:
        raise BadRequest("malformed request: the URL is not ASCII") from exc
    if version not in ("1.0", "1.1"):
        raise BadRequest("malformed request: unsupported HTTP version")
    return _build(method, target, int(version[2]), collector.headers)


def _build(method: str, target: str, minor: int, fields: list[tuple[bytes, bytes]]) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        if not _TOKEN.match(raw_name):
            raise BadRequest("malformed request: invalid header name")
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("utf-8", "replace").strip(" \t")
        if name in headers and name in ("content-length", "transfer-encoding", "host"):
            raise BadRequest(f"malformed request: duplicate {name} header")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if target.startswith(("http://", "https://")):
        rest = target.partition("://")[2]
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        target = rest[cut:] if rest[cut:].startswith("/") else "/" + rest[cut:]
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        raise BadRequest("malformed request: the URL must be a path")
    if minor == 1 and "host" not in headers:
        raise BadRequest("malformed request: missing required Host header")
    connection = {part.strip().lower() for part in headers.get("connection", "").split(",")}
    keep_alive = "close" not in connection if minor == 1 else "keep-alive" in connection
    return Head(
        method=method,
        target=target,
        headers=headers,
        minor=minor,
        keep_alive=keep_alive,
        length=_length(headers, minor),
        expects_continue=minor == 1 and headers.get("expect", "").lower() == "100-continue",
        upgrade=headers.get("upgrade", "").lower() if "upgrade" in connection else "",
    )


def _length(headers: Mapping[str, str], minor: int) -> int | None:
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if encoding is not None:
        if length is not None:
            raise BadRequest("malformed request: both Content-Length and Transfer-Encoding")
        if encoding.lower() != "chunked" or minor == 0:
            raise BadRequest("malformed request: unsupported transfer encoding")
        return None
    if length is None:
        return 0
    if not _DIGITS.match(length):
        raise BadRequest("malformed request: invalid Content-Length")
    return int(length)
