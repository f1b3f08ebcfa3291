"""The Engine API as a client sees it: paths, parameters, JSON. Synchronous; used by `cli` (and compose). The daemon's newest version
is spoken
unless a version is asked for, so a one-shot command costs one request."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost a tenth of a second of start-up on a slow machine; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from scow.client.endpoint import Endpoint
    from scow.client.transport import Connection, Response

    Params = Mapping[str, object]

from scow import fastjson
from scow.client.transport import ApiError, Transport
from scow.errors import ScowError

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def quote(text: str, safe: str = "") -> str:
    """Percent-encoding of UTF-8; an argument's bytes that are none stay as they are."""
    if all(ch in _SAFE or ch in safe for ch in text):
        return text
    keep = safe.encode()
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate of an engine's
        data = fastjson.whole(text).encode()
    return "".join(chr(b) if chr(b) in _SAFE or b in keep else f"%{b:02X}" for b in data)


def query(params: Params | None) -> str:
    """`?a=1&b=2`; None and False are left out, True is 1, sequences repeat the key."""
    pairs: list[str] = []
    for key, value in (params or {}).items():
        if value is None or value is False:
            continue
        many = value if isinstance(value, (list, tuple)) else (value,)
        pairs += [f"{key}={quote('1' if one is True else str(one))}" for one in many]
    return "?" + "&".join(pairs) if pairs else ""


def filters(pairs: Iterable[str]) -> dict[str, dict[str, bool]]:
    """`key=value` words of --filter as the API wants them. Raises ApiError-free ValueError for words without `=`."""
    found: dict[str, dict[str, bool]] = {}
    for pair in pairs:
        key, sep, value = pair.partition("=")
        if not sep:
            raise ValueError(pair)
        found.setdefault(key.strip().lower(), {})[value.strip()] = True
    return found


def filters_param(found: Mapping[str, Mapping[str, bool]]) -> str | None:
    """The JSON of `filters`, None when there are none."""
    return fastjson.dumps(found) if found else None


class Client:
    """One engine. Methods take API paths without version."""

    def __init__(self, endpoint: Endpoint, version: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.transport = Transport(endpoint, headers)
        self.prefix = f"/v{version.removeprefix('v')}" if version else ""
        self.version = version

    def call(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """A request; raises ApiError for statuses of 400 and more. Bytes and iterables of bytes are sent as they are, the rest as JSON."""
        sent = dict(headers or {})
        data: bytes | Iterable[bytes] | None
        if body is None or isinstance(body, bytes):
            data = body
        elif isinstance(body, (dict, list)):
            data = fastjson.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        else:
            data = body  # type: ignore[assignment]
            sent.setdefault("Content-Type", "application/x-tar")
        return self.transport.request(method, self.prefix + path + query(params), data, sent).raise_for_status()

    def get(self, path: str, params: Params | None = None) -> Any:
        """The JSON of a GET."""
        return self.call("GET", path, params).json()

    def post(self, path: str, params: Params | None = None, body: object = None) -> Any:
        """The JSON of a POST's answer, None when it is empty."""
        data = self.call("POST", path, params, body).read()
        if not data.strip():
            return None
        try:
            return fastjson.loads(data)
        except ValueError:
            return None

    def delete(self, path: str, params: Params | None = None) -> Any:
        """The JSON of a DELETE's answer."""
        data = self.call("DELETE", path, params).read()
        return fastjson.loads(data) if data.strip() else None

    def stream(self, method: str, path: str, params: Params | None = None, body: object = None) -> Iterator[Any]:
        """The JSON values of a progress or event stream as they come."""
        with self.call(method, path, params, body) as response:
            yield from json_values(response.iterate())

    def hijack(self, path: str, params: Params | None = None, body: object = None) -> tuple[Connection, str]:
        """Upgrades to a raw stream: the connection and its content type (raw-stream or multiplexed-stream). Raises ApiError."""
        response = self.call("POST", path, params, body, {"Connection": "Upgrade", "Upgrade": "tcp"})
        if response.status not in (101, 200):
            raise ApiError(response.status, f"unable to upgrade to tcp, received {response.status}")
        return response.hijack(), response.headers.get("content-type", "")

    def ping(self) -> dict[str, str]:
        """The headers of /_ping."""
        response = self.transport.request("HEAD", "/_ping")
        response.read()
        return response.headers

    def close(self) -> None:
        """Drops the connection."""
        self.transport.close()


def json_values(pieces: Iterable[bytes]) -> Iterator[Any]:
    """JSON values out of a stream that is cut anywhere."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for piece in pieces:
        held += decoder.decode(piece)
        while held := held.lstrip():
            if held[0] not in "{[":
                _line, sep, rest = held.partition("\n")
                if not sep:
                    break
                held = rest
                continue
            end = held.find("\n")
            try:
                value, at = fastjson.raw(held, 0)
            except ValueError:
                if end >= 0 and len(held) > 16 * 1024 * 1024:
                    held = held[end + 1 :]
                    continue
                break
            held = held[at:]
            yield value


def container_path(ref: str, verb: str = "") -> str:
    """`/containers/<ref>/<verb>`. Raises ScowError for an empty name, which would ask for something else."""
    if not ref.strip():
        raise ScowError("invalid container name or ID: value is empty")
    return f"/containers/{quote(ref)}" + (f"/{verb}" if verb else "")


def image_path(ref: str, verb: str = "") -> str:
    """`/images/<ref>/<verb>`; slashes of a name stay."""
    if not ref.strip():
        raise ScowError("invalid image reference: value is empty")
    return f"/images/{quote(ref, '/:@')}" + (f"/{verb}" if verb else "")


def demux(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(stream, data) out of a multiplexed stream: 1 stdout, 2 stderr, 3 an error of the daemon's. Data comes in pieces as it arrives."""
    header = b""
    left = 0
    channel = 0
    for piece in pieces:
        at = 0
        size = len(piece)
        while at < size:
            if left:
                take = min(left, size - at)
                yield channel, piece[at : at + take] if take != size else piece
                left -= take
                at += take
                continue
            need = 8 - len(header)
            header += piece[at : at + need]
            at += need
            if len(header) == 8:
                channel = header[0]
                left = int.from_bytes(header[4:], "big")
                header = b""


def names(values: Sequence[str] | None) -> list[str]:
    """A list that may be null."""
    return list(values or [])
