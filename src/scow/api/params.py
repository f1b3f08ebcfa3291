"""Query parameters and JSON bodies, read as dockerd reads them."""

import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_plus

from scow.errors import InvalidArgument
from scow.http.messages import Request

if TYPE_CHECKING:
    from scow import filters

T = TypeVar("T")

MAX_JSON = 8 << 20  # parsing more would hold the loop for seconds
_FALSE = frozenset({"", "0", "no", "false", "none"})
_GO_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_GO_FALSE = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_PAIRS = 2000
_UINT32 = 1 << 32


class Query:
    """The parameters of a request; the first of repeated ones counts."""

    __slots__ = ("_values",)

    def __init__(self, text: str) -> None:
        """Raises InvalidArgument for a broken percent escape."""
        self._values: dict[str, list[str]] = {}
        if not text:
            return
        bad = _BAD_ESCAPE.search(text)
        if bad:
            raise InvalidArgument(f'invalid URL escape "{text[bad.start() : bad.start() + 3]}"')
        pairs = text.split("&")
        if len(pairs) > _MAX_PAIRS:
            raise InvalidArgument("too many query parameters")
        for pair in pairs:
            name, _, value = pair.partition("=")
            if pair:
                self._values.setdefault(_plain(name), []).append(_plain(value))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The value as it is."""
        found = self._values.get(name)
        return found[0] if found else default

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return list(self._values.get(name, ()))

    def boolean(self, name: str, default: bool = False) -> bool:
        """Absent gives the default; "", 0, no, false and none are false, anything else is true."""
        found = self._values.get(name)
        return default if found is None else found[0].strip().lower() not in _FALSE

    def flag(self, name: str, explained: bool = False) -> bool:
        """A boolean that must be one, as few are; absent or empty is false. Raises InvalidArgument, `explained` as Go's strconv does."""
        text = self.text(name)
        if text not in _GO_TRUE | _GO_FALSE:
            reason = f': strconv.ParseBool: parsing "{text[:40]}": invalid syntax' if explained else ""
            raise InvalidArgument(f"invalid value for {name}: {text[:40]}{reason}")
        return text in _GO_TRUE

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number of 64 bits; absent or empty gives the default. Raises InvalidArgument."""
        text = self.text(name)
        if not text:
            return default
        if not _INTEGER.match(text) or not -(1 << 63) <= int(text) < 1 << 63:
            problem = "value out of range" if _INTEGER.match(text) else "invalid syntax"
            raise InvalidArgument(f'invalid value for {name}: strconv.ParseInt: parsing "{text[:64]}": {problem}')
        return int(text)

    def optional_integer(self, name: str) -> int | None:
        """As `integer`; None when absent or empty."""
        return self.integer(name) if self.text(name) else None

    def size(self, name: str) -> int:
        """A terminal's height or width: required, 0 to 2^32-1. Raises InvalidArgument."""
        text = self.text(name)
        if not text.isascii() or not text.isdigit() or int(text[:12]) >= _UINT32 or len(text) > 10:
            raise InvalidArgument(f'invalid value for {name}: strconv.ParseUint: parsing "{text[:64]}": invalid syntax')
        return int(text)

    def required(self, name: str) -> str:
        """A parameter that must be there and not be empty. Raises InvalidArgument."""
        text = self.text(name)
        if not text:
            raise InvalidArgument(f"missing parameter: {name}")
        return text

    def filters(self, accepted: set[str]) -> "filters.Filters":
        """The `filters` parameter. Raises InvalidArgument for a malformed one and for keys not accepted."""
        from scow.filters import Filters  # here, as codec below: `_ping` is answered without them

        return Filters.parse(self.text("filters"), accepted)


def _plain(text: str) -> str:
    return unquote_plus(text, errors="replace") if "%" in text or "+" in text else text


def check_json_type(request: Request) -> bool:
    """Whether there is a body to decode. Raises InvalidArgument when there is one that does not call itself JSON."""
    given = request.headers.get("content-type", "")
    empty = request.head.length == 0
    if not given:
        if empty:
            return False
        raise InvalidArgument("malformed Content-Type header (): mime: no media type")
    kind = given.partition(";")[0].strip().lower()
    if kind != "application/json":
        if empty and kind in ("text/plain",):
            return False
        raise InvalidArgument(f"unsupported Content-Type header ({given[:128]}): must be 'application/json'")
    return not empty


async def json_body(request: Request) -> Any:
    """The parsed JSON body; {} when it is empty. Raises InvalidArgument."""
    if not check_json_type(request):
        return {}
    data = await request.body.whole(MAX_JSON)
    if not data.strip():
        return {}
    from scow.model import codec

    value = codec.parse(data)
    return {} if value is None else value


def decode(cls: type[T], value: Any) -> T:
    """A parsed body as a model class. Raises InvalidArgument with Go's text."""
    from scow.model import codec

    try:
        return codec.decode(cls, value)
    except InvalidArgument as exc:
        if exc.message.startswith("invalid JSON"):
            raise
        raise InvalidArgument(f"invalid JSON: {exc.message}") from exc
    except RecursionError as exc:
        raise InvalidArgument("invalid JSON: exceeded max depth") from exc
