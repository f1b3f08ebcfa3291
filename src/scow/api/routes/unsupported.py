"""What Docker has and this engine does not (yet): clear answers, never a 500."""

from typing import Any

from scow.api import errors
from scow.api.app import Call
from scow.api.router import Router
from scow.errors import NotFound, Unsupported
from scow.http.messages import Response

_NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
_NOT_IN_SWARM = "This node is not part of a swarm"
_SWARM = [
    ("GET", "/nodes"), ("GET", "/nodes/{id}"), ("DELETE", "/nodes/{id}"), ("POST", "/nodes/{id}/update"),
    ("GET", "/services"), ("POST", "/services/create"), ("GET", "/services/{id}"), ("DELETE", "/services/{id}"),
    ("POST", "/services/{id}/update"), ("GET", "/services/{id}/logs"),
    ("GET", "/tasks"), ("GET", "/tasks/{id}"), ("GET", "/tasks/{id}/logs"),
    ("GET", "/secrets"), ("POST", "/secrets/create"), ("GET", "/secrets/{id}"), ("DELETE", "/secrets/{id}"),
    ("POST", "/secrets/{id}/update"),
    ("GET", "/configs"), ("POST", "/configs/create"), ("GET", "/configs/{id}"), ("DELETE", "/configs/{id}"),
    ("POST", "/configs/{id}/update"),
    ("GET", "/swarm"), ("GET", "/swarm/unlockkey"), ("POST", "/swarm/update"),
]  # fmt: skip


def register(router: Router) -> None:
    """Add the routes."""
    for method, pattern in _SWARM:
        router.add(method, pattern, _no_swarm)
    router.add("POST", "/swarm/leave", _not_in_swarm)
    router.add("POST", "/swarm/unlock", _not_in_swarm)
    router.add("POST", "/swarm/init", _refuse("swarm mode is not supported by this engine yet"))
    router.add("POST", "/swarm/join", _refuse("swarm mode is not supported by this engine yet"))
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


def _no_swarm(call: Call) -> Response:
    return errors.message(503, _NO_SWARM)


def _not_in_swarm(call: Call) -> Response:
    return errors.message(503, _NOT_IN_SWARM)


def _refuse(sentence: str) -> Any:
    def handler(call: Call) -> Response:
        raise Unsupported(sentence)

    return handler


def _empty_list(call: Call) -> Response:
    return call.json([])


def _no_plugin(call: Call) -> Response:
    raise NotFound(f'plugin "{call.path["name"]}" not found')
