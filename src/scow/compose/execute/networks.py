"""Operations on networks. Called by `executor.py`."""

from __future__ import annotations

import contextlib

from scow.client.api import container_path, quote
from scow.client.transport import ApiError
from scow.compose import labels
from scow.compose.create import network
from scow.compose.execute.run import Failed, Run, Skipped
from scow.compose.observe import ContainerInfo
from scow.compose.plan import Operation

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


def create(run: Run, one: Operation) -> None:
    """Makes it; where another `up` of the project has just made it, that one is taken."""
    try:
        run.client().post("/networks/create", None, network(run.project, one.key))
    except ApiError as exc:
        if exc.status == 409 and "already exists" in exc.message:
            _check_ours(run, one)  # another `up` of the project may have made it
            return
        raise Failed(f"failed to create network {one.target}: Error response from daemon: {exc.message}") from None


def _check_ours(run: Run, one: Operation) -> None:
    """Raises Failed where the network that has the name is another one of the files or none of compose's."""
    marks = run.client().get(f"/networks/{quote(one.target)}").get("Labels") or {}
    if marks.get(labels.NETWORK) != one.key:
        raise Failed(
            f'network {one.target} was found but has incorrect label {labels.NETWORK} set to "{marks.get(labels.NETWORK, "")}" '
            f'(expected: "{one.key}"): remove it, or say `external: true` to use it as it is'
        )
    if marks.get(labels.PROJECT) != run.project.name:
        raise Skipped(run.made_by_others())


def renew(run: Run, one: Operation) -> None:
    """Makes a network anew and brings back who was in it: the plan makes containers anew, but another `up` may have chosen others."""
    client = run.client()
    path = f"/networks/{quote(one.target)}"
    members = set((client.get(path).get("Containers") or {}).keys())
    members |= {info.id for info in run.observed.containers if one.target in _networks_of(info)}
    held = {}
    for ident in sorted(members):
        try:
            facts = client.get(container_path(ident, "json"))
            held[ident] = ((facts.get("NetworkSettings") or {}).get("Networks") or {}).get(one.target) or {}
            client.post(path + "/disconnect", None, {"Container": ident, "Force": True})
        except ApiError as exc:
            if exc.status not in (404, 409):
                raise
    client.delete(path)
    create(run, one)
    for ident, endpoint in held.items():
        kept = {name: endpoint[name] for name in ("Aliases", "Links", "IPAMConfig", "DriverOpts") if endpoint.get(name)}
        with contextlib.suppress(ApiError):  # a fixed address that the network has no more: that container is made anew
            client.post(path + "/connect", None, {"Container": ident, "EndpointConfig": kept})


def remove(run: Run, one: Operation) -> None:
    """Removes it; gone is fine."""
    try:
        run.client().delete(f"/networks/{quote(one.target)}")
    except ApiError as exc:
        if exc.status == 404:
            return
        if "active endpoints" in exc.message:
            raise Skipped("Resource is still in use") from None
        raise


def _networks_of(one: ContainerInfo) -> dict[str, Any]:
    return (one.summary.get("NetworkSettings") or {}).get("Networks") or {}
