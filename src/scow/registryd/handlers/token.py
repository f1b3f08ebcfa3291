"""The token endpoint: `GET /token` as Docker's clients ask it, `POST /token` as OAuth 2 has it."""

from urllib.parse import parse_qsl

from scow.http.body import BodyTooLarge
from scow.http.messages import Request, Response
from scow.registryd import errors
from scow.registryd.access import Access, Caller
from scow.registryd.ask import document, fields

_FORM_MAX = 64 << 10
_NO_STORE = [("Cache-Control", "no-store")]


async def token(request: Request, query: str, access: Access, address: str) -> Response:
    """Both methods. Raises Refused."""
    if request.method == "POST":
        return await _form(request, access, address)
    if request.method != "GET":
        raise errors.unsupported("the token endpoint takes GET and POST")
    asked = fields(query)
    kind = request.headers.get("authorization", "").partition(" ")[0].lower()
    caller = await access.authenticate(request.headers, address) if kind == "basic" else access.anybody
    answer = access.access_token(caller, _scopes(query))
    if caller.name and asked.get("offline_token") == "true":
        answer["refresh_token"] = access.refresh_token(caller.name)
    return document(answer, _NO_STORE)


async def _form(request: Request, access: Access, address: str) -> Response:
    try:
        text = (await request.body.whole(_FORM_MAX)).decode("utf-8", "replace")
    except BodyTooLarge:
        raise errors.too_large("the form", _FORM_MAX) from None
    asked = fields(text)
    caller: Caller | None = None
    refresh = ""
    match asked.get("grant_type"):
        case "password":
            caller = await access.login(asked.get("username", ""), asked.get("password", ""), address)
        case "refresh_token":
            refresh = asked.get("refresh_token", "")
            caller = access.refreshed(refresh)
        case _:
            raise errors.Refused(400, "UNSUPPORTED", "the grant_type is password or refresh_token")
    if caller is None:
        raise errors.Refused(401, "UNAUTHORIZED", "the credentials are wrong or no longer good: log in again")
    answer = access.access_token(caller, [one for scope in _scopes(text) for one in scope.split(" ")])
    if refresh or asked.get("access_type") == "offline":
        answer["refresh_token"] = refresh or access.refresh_token(caller.name)
    return document(answer, _NO_STORE)


def _scopes(text: str) -> list[str]:
    return [one for key, value in parse_qsl(text, max_num_fields=100) if key == "scope" for one in value.split(" ") if one]
