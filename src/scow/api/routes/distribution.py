"""What needs a registry: pulling, pushing, /auth, /distribution, /images/search."""

from typing import Any

from scow.api import streams
from scow.api.call import Call
from scow.api.router import Router
from scow.errors import InvalidArgument
from scow.http.messages import Response
from scow.images.service import ImageService
from scow.model import codec
from scow.reference import Reference, valid_digest

_SEARCH = {"is-automated", "is-official", "stars"}
_SEARCH_DEFAULT, _SEARCH_MAX = 25, 100


def _auth(call: Call) -> str:
    return call.request.headers.get("x-registry-auth", "")


def _named(name: str, tag: str) -> Reference:
    """The reference that a name and a `tag` parameter (a tag or a digest) give. Raises InvalidArgument."""
    reference = Reference.parse(name.removesuffix(":"))
    if not tag:
        return reference
    if valid_digest(tag):
        return Reference(reference.domain, reference.path, "", tag)
    return reference.with_tag(tag)


def platform_parameter(text: str) -> str:
    """A platform parameter (JSON of the OCI specification) as os/architecture/variant. Raises InvalidArgument."""
    if not text:
        return ""
    try:
        value: Any = codec.parse(text)
    except InvalidArgument as exc:
        raise InvalidArgument(f"failed to parse platform: {exc.message}") from exc
    parts = [value.get(key, "") for key in ("os", "architecture", "variant")] if isinstance(value, dict) else [None]
    if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
        raise InvalidArgument("failed to parse platform: os and architecture must be provided")
    return "/".join(part for part in parts if part)


class Routes:
    """Handlers; made once by `register`."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    async def pull(self, call: Call) -> None:
        """POST /images/create with fromImage."""
        query = call.query
        reference = _named(query.text("fromImage"), query.text("tag"))
        platform = query.text("platform") if call.version >= 32 else ""
        await streams.progress(call, self._images.travel().pull(reference, platform, _auth(call)))

    async def push(self, call: Call) -> None:
        """POST /images/{name}/push."""
        reference = _named(call.path["name"], call.query.text("tag"))
        platform = platform_parameter(call.query.text("platform")) if call.version >= 46 else ""
        await streams.progress(call, self._images.travel().push(reference, _auth(call), platform))

    async def login(self, call: Call) -> Response:
        """POST /auth."""
        return call.json(await self._images.travel().login(await call.body()))

    async def distribution(self, call: Call) -> Response:
        """GET /distribution/{name}/json."""
        return call.json(await self._images.travel().distribution(call.path["name"], _auth(call)))

    async def search(self, call: Call) -> Response:
        """GET /images/search."""
        query = call.query
        limit = query.integer("limit", _SEARCH_DEFAULT)
        if not 1 <= limit <= _SEARCH_MAX:
            raise InvalidArgument(f"limit {limit} is outside the range of [1, {_SEARCH_MAX}]")
        filters = query.filters(_SEARCH)
        official = filters.boolean("is-official", False) if "is-official" in filters else None
        automated = filters.boolean("is-automated", False) if "is-automated" in filters else None
        stars = 0
        for text in filters.values("stars"):
            if not text.isascii() or not text.isdigit():
                raise InvalidArgument(f"invalid filter 'stars={text}'")
            stars = max(stars, int(text[:9]))
        rows = [_found(row) for row in await self._images.travel().search(query.text("term"), limit, _auth(call))]
        rows = [row for row in rows if row["star_count"] >= stars]
        rows = [row for row in rows if official is None or row["is_official"] is official]
        return call.json([row for row in rows if automated is None or row["is_automated"] is automated])


def _found(row: dict[str, Any]) -> dict[str, Any]:
    stars = row.get("star_count")
    return {
        "star_count": stars if isinstance(stars, int) else 0,
        "is_official": row.get("is_official") is True,
        "name": str(row.get("name") or ""),
        "is_automated": row.get("is_automated") is True,
        "description": str(row.get("description") or ""),
    }


def register(router: Router, images: ImageService) -> Routes:
    """Add the routes; `pull` is for the route that imports, too."""
    on = Routes(images)
    router.add("POST", "/auth", on.login, cancel=True)
    router.add("GET", "/distribution/{name:path}/json", on.distribution, cancel=True, since=30)
    router.add("GET", "/images/search", on.search, cancel=True)
    router.add("POST", "/images/{name:path}/push", on.push, cancel=True)
    return on
