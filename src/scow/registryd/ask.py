"""One request on its way to a handler, and the parts of the server that handlers use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from scow.http.messages import Headers, Request, Response
from scow.registryd import errors
from scow.registryd.access import Access, Caller
from scow.registryd.metrics import Metrics
from scow.registryd.names import Route
from scow.registryd.options import Options
from scow.registryd.store import Store
from scow.registryd.uploads import Uploads

if TYPE_CHECKING:
    from scow.registryd.mirror import Mirror

_FIELDS_MAX = 100


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers work with."""

    options: Options
    store: Store
    uploads: Uploads
    access: Access
    metrics: Metrics
    mirror: "Mirror | None" = None


class Ask:
    """A request: `name` and `reference` of its path (checked), `query`, `caller`."""

    __slots__ = ("caller", "name", "parts", "query", "reference", "request")

    def __init__(self, request: Request, route: Route, query: str, parts: Parts, caller: Caller) -> None:
        self.request = request
        self.name = route.name
        self.reference = route.reference
        self.query = fields(query)
        self.parts = parts
        self.caller = caller

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, names in lower case."""
        return self.request.headers

    @property
    def reading(self) -> bool:
        """GET or HEAD."""
        return self.request.method in ("GET", "HEAD")

    def require(self, verb: str, name: str = "") -> None:
        """Raises Refused unless the caller may do this in the repository."""
        self.parts.access.require(self.caller, name or self.name, verb)

    def number(self, key: str, most: int) -> int:
        """A parameter that counts, `most` where it is absent or larger. Raises Refused."""
        text = self.query.get(key)
        if text is None:
            return most
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise errors.Refused(400, "PAGINATION_NUMBER_INVALID", f"invalid number of results requested: {text[:20]!r}", {key: text[:20]})
        return min(int(text), most)


def fields(text: str) -> dict[str, str]:
    """A query or form: the first value of each field. Raises Refused."""
    try:
        found: dict[str, str] = {}
        for key, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="replace"):
            found.setdefault(key, value)
        return found
    except ValueError:
        raise errors.Refused(400, "UNSUPPORTED", "too many parameters") from None


def document(value: Any, headers: Headers = (), status: int = 200, content_type: str = "application/json") -> Response:
    """A JSON reply."""
    return Response(status, orjson.dumps(value), headers, content_type)
