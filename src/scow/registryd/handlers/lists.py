"""What is there: the version endpoint, the catalog of repositories, tags, referrers. Lists come in pages, with a Link to the next."""

from urllib.parse import quote, urlencode

from scow.http.messages import Response
from scow.registry.media import OCI_INDEX
from scow.registryd import errors
from scow.registryd.ask import Ask, document

_TAGS_MAX = 10_000
_NAMES_MAX = 1000
_REFERRERS_MAX = 1000
_LOOKED_AT_MAX = 20_000


async def ping(ask: Ask) -> Response:
    """GET /v2/."""
    ask.parts.access.ping(ask.caller)
    return document({})


async def tags(ask: Ask) -> Response:
    """GET /v2/<name>/tags/list?n=&last=."""
    ask.require("pull")
    catalog, mirror = ask.parts.store.catalog, ask.parts.mirror
    name = ask.name
    if mirror is not None and (elsewhere := mirror.name_of(ask)) and (mirror.covers(name) or not catalog.exists(name)):
        found = await mirror.tags(elsewhere)
        count = ask.number("n", _TAGS_MAX)
        rows = [tag for tag in found if tag > ask.query.get("last", "")][: count + 1]
    else:
        if not catalog.exists(name):
            raise errors.name_unknown(name)
        count = ask.number("n", _TAGS_MAX)
        rows = catalog.tags(name, count + 1, ask.query.get("last", "")) if count else []
    headers = _next(f"/v2/{quote(name)}/tags/list", rows, count)
    return document({"name": name, "tags": rows[:count]}, headers)


async def catalog(ask: Ask) -> Response:
    """GET /v2/_catalog?n=&last=: the repositories that the caller may pull from."""
    if ask.parts.access.open or ask.caller.grants:
        pass
    else:
        raise ask.parts.access.challenge("", "")
    count = ask.number("n", _NAMES_MAX)
    last, looked = ask.query.get("last", ""), 0
    found: list[str] = []
    while len(found) <= count and looked < _LOOKED_AT_MAX and count:
        rows = ask.parts.store.catalog.repositories(_NAMES_MAX, last)
        if not rows:
            break
        looked += len(rows)
        last = rows[-1]
        found += [name for name in rows if ask.caller.may(name, "pull")]
    return document({"repositories": found[:count]}, _next("/v2/_catalog", found, count))


async def referrers(ask: Ask) -> Response:
    """GET /v2/<name>/referrers/<digest>?artifactType=."""
    ask.require("pull")
    kind = ask.query.get("artifactType", "")
    count = ask.number("n", _REFERRERS_MAX)
    last = ask.query.get("last", "")
    rows = ask.parts.store.catalog.referrers(ask.name, ask.reference, kind, count, last) if count else []
    headers = [("OCI-Filters-Applied", "artifactType")] if kind else []
    if rows and ask.parts.store.catalog.referrers(ask.name, ask.reference, kind, 1, rows[-1]["digest"]):
        query = {"n": str(count), "last": rows[-1]["digest"], **({"artifactType": kind} if kind else {})}
        headers.append(("Link", f'</v2/{quote(ask.name)}/referrers/{ask.reference}?{urlencode(query)}>; rel="next"'))
    return document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}, headers, content_type=OCI_INDEX)


def _next(path: str, rows: list[str], count: int) -> list[tuple[str, str]]:
    if not count or len(rows) <= count:
        return []
    return [("Link", f'<{path}?{urlencode({"last": rows[count - 1], "n": str(count)})}>; rel="next"')]
