"""What Docker has and this engine does not (yet): clear answers, never a 500."""

from typing import Any

from scow.api.call import Call
from scow.api.router import Router
from scow.errors import NotFound, Unsupported
from scow.http.messages import Response


def register(router: Router) -> None:
    """Add the routes."""
    router.add("GET", "/plugins", _empty_list)
    router.add("GET", "/plugins/{name:path}/json", _no_plugin)
    router.add("DELETE", "/plugins/{name:path}", _no_plugin)
    for verb in ("enable", "disable", "push", "set", "upgrade"):
        router.add("POST", f"/plugins/{{name:path}}/{verb}", _no_plugin)
    for method, pattern in (("GET", "/plugins/privileges"), ("POST", "/plugins/pull"), ("POST", "/plugins/create")):
        router.add(method, pattern, _refuse("managed plugins are not supported by this engine yet"))
    router.add("GET", "/containers/{id}/checkpoints", _refuse("checkpoints are not supported by this engine"))
    router.add("POST", "/containers/{id}/checkpoints", _refuse("checkpoints are not supported by this engine"))
    router.add("DELETE", "/containers/{id}/checkpoints/{checkpoint}", _refuse("checkpoints are not supported by this engine"))
    router.add("PUT", "/volumes/{name}", _refuse("cluster volumes are not supported by this engine"))


def _refuse(sentence: str) -> Any:
    def handler(call: Call) -> Response:
        raise Unsupported(sentence)

    return handler


def _empty_list(call: Call) -> Response:
    call.query.filters({"enabled", "capability"})
    return call.json([])


def _no_plugin(call: Call) -> Response:
    raise NotFound(f'plugin "{call.path["name"]}" not found')
