"""The routes of the swarm. Their handlers (`swarm.py`), and the swarm itself, are loaded with the first request for one of them."""

from inspect import isawaitable
from typing import Any

from scow.api.call import Call
from scow.api.router import Router
from scow.swarm.front import Front

_FRESH = (
    ("GET", "/swarm", "Cluster", "inspect"),
    ("POST", "/swarm/update", "Cluster", "update"),
    ("GET", "/swarm/unlockkey", "Cluster", "unlock_key"),
    ("GET", "/services", "Services", "list"),
    ("POST", "/services/create", "Services", "create"),
    ("GET", "/services/{id}", "Services", "inspect"),
    ("DELETE", "/services/{id}", "Services", "remove"),
    ("POST", "/services/{id}/update", "Services", "update"),
    ("GET", "/services/{id}/logs", "Services", "logs"),
    ("GET", "/tasks", "Services", "tasks"),
    ("GET", "/tasks/{id}", "Services", "task"),
    ("GET", "/tasks/{id}/logs", "Services", "logs"),
    ("GET", "/nodes", "Nodes", "list"),
    ("GET", "/nodes/{id}", "Nodes", "inspect"),
    ("DELETE", "/nodes/{id}", "Nodes", "remove"),
    ("POST", "/nodes/{id}/update", "Nodes", "update"),
    *(
        (method, f"/{kind.lower()}{rest}", kind, handler)
        for kind in ("Secrets", "Configs")
        for method, rest, handler in (
            ("GET", "", "list"),
            ("POST", "/create", "create"),
            ("GET", "/{id}", "inspect"),
            ("DELETE", "/{id}", "remove"),
            ("POST", "/{id}/update", "update"),
        )
    ),
)
"""Method, pattern, class, handler of what sees all that was acknowledged by whatever manager before."""
_OWN = (
    ("POST", "/swarm/init", "Cluster", "init"),
    ("POST", "/swarm/join", "Cluster", "join"),
    ("POST", "/swarm/leave", "Cluster", "leave"),
    ("POST", "/swarm/unlock", "Cluster", "unlock"),
)
"""What is about this node."""


class Routes:
    """Finds the handlers; made once by `register`."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._groups: dict[str, Any] = {}

    def add(self, router: Router, row: tuple[str, str, str, str], fresh: bool) -> None:
        """Add one route. `fresh`: see `_FRESH`."""
        method, pattern, group, name = row

        async def run(call: Call) -> Any:
            swarm = await self._front.service()
            if fresh:
                await swarm.fresh()
            if group not in self._groups:
                from scow.api.routes import swarm as handlers

                self._groups[group] = getattr(handlers, group)(swarm)
            answer = getattr(self._groups[group], name)(call)
            return await answer if isawaitable(answer) else answer

        follows = name == "logs"
        router.add(method, pattern, run, cancel=follows, follow=follows)


def register(router: Router, front: Front) -> None:
    """Add the routes."""
    routes = Routes(front)
    for row in _FRESH:
        routes.add(router, row, fresh=True)
    for row in _OWN:
        routes.add(router, row, fresh=False)
