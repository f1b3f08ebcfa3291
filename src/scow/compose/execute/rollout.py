"""Replacing a container without a gap: the new one starts beside the old, without its names and ports; when it is healthy it takes them
over in one step, the old one gets time for what it has begun, and goes. A new one that does not get healthy goes, and the old one stays.

Ports and names move by an endpoint of Scow's engine. On other engines names are given by connecting the new container anew, before it is
asked anything; published ports can't move there. Called by `executor.py`.
"""

from __future__ import annotations

import time

from scow.client.api import container_path, quote
from scow.client.transport import ApiError
from scow.compose.execute.conditions import healthy
from scow.compose.execute.containers import begin, forget, make_beside, stop
from scow.compose.execute.run import Failed, Run
from scow.compose.model.service import Service
from scow.compose.plan import Operation
from scow.compose.records import replace
from scow.errors import ScowError, Unsupported
from scow.units import parse_duration

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


DRAIN = 1.0  # seconds that the old container gets for requests it has begun
SETTLE = 1.0  # seconds that a container without a health check must run


def rollout(run: Run, one: Operation) -> None:
    """Replaces the container. Raises ScowError; then the old one serves as before."""
    run.known(one, _replaced(run, one))


def _replaced(run: Run, one: Operation) -> str:
    """The ID of the container that has taken the place."""
    service, old = one.service, one.old
    assert service is not None and old is not None
    client = run.client()
    ours = _is_scow(client)
    if service.ports and not ours:
        raise Unsupported(
            f"service {service.name}: published ports can only move from container to container on Scow's engine: leave x-rollout and "
            "--rollout out, or let a proxy publish the port and reach the service by its name"
        )
    if one.key:
        return _take_place(run, one, one.key, ours)
    bare = replace(service, networks={key: replace(end, aliases=()) if end else None for key, end in service.networks.items()})
    inherited = () if one.renew else old.mounts
    ident, made = make_beside(
        run,
        one,
        replace(one, service=bare),
        name="",
        hashed=service,
        replaces=old.id,
        inherit=inherited,
        aliases=False,
        ports=False,
        expose=True,
    )
    if not made:
        return ident
    try:
        begin(run, ident, service)
        _until_ready(run, ident, service)
    except BaseException as exc:
        forget(run, ident)
        if isinstance(exc, (ScowError, OSError)):
            raise Failed(f"service {service.name}: the new container did not get ready, the old one goes on: {exc}") from None
        raise
    return _take_place(run, one, ident, ours)


def _take_place(run: Run, one: Operation, ident: str, ours: bool) -> str:
    """Moves names and ports, and ends the old one. Its name says first who follows it, so that the run after one that was cut off goes on
    from here (`reconcile.py`, `_followed`): each step may be done twice. Raises ScowError."""
    service, old = one.service, one.old
    assert service is not None and old is not None
    client = run.client()
    names = _names(run, service, one.target)
    marked = f"{ident[:12]}_{one.target}"
    if old.name != marked:
        client.call("POST", container_path(old.id, "rename"), {"name": marked}).read()
    try:
        if ours:
            client.call("POST", f"/scow/containers/{ident}/takeover", None, {"From": old.id, "Names": names}).read()
        else:
            _reconnect(run, ident, names)
    except ApiError as exc:
        client.call("POST", container_path(old.id, "rename"), {"name": one.target}).read()
        forget(run, ident)
        raise Failed(f"service {service.name}: the new container could not take over, the old one goes on: {exc}") from None
    client.call("POST", container_path(ident, "rename"), {"name": one.target}).read()
    time.sleep(_drain(service))
    stop(run, one)
    try:
        client.delete(container_path(old.id))
    except ApiError as exc:
        if exc.status != 404:
            raise
    return ident


def _is_scow(client: Any) -> bool:
    found = client.get("/version") or {}
    names = [str(part.get("Name")) for part in found.get("Components") or []]
    return "scow" in " ".join([*names, str((found.get("Platform") or {}).get("Name"))]).lower()


def _drain(service: Service) -> float:
    asked = service.extensions.get("x-rollout")
    text = asked.get("drain") if isinstance(asked, dict) else None
    try:
        return min(parse_duration(str(text)) / 1e9, 3600.0) if text is not None else DRAIN
    except ScowError:
        raise ScowError(f"service {service.name}: x-rollout.drain {text!r} is no duration: write 10s or 1m") from None


def _until_ready(run: Run, ident: str, service: Service) -> None:
    """Until it is healthy; one without a check must go on running for a moment."""

    def look() -> bool | None:
        facts = run.client().get(container_path(ident, "json"))
        return healthy(facts, service.name, False)

    if run.watch().until(look, stopped=run.stopped.is_set) is None:
        raise ScowError("interrupted")
    facts = run.client().get(container_path(ident, "json"))
    if not (facts.get("State") or {}).get("Health"):
        time.sleep(SETTLE)
        if look() is None:
            raise ScowError(f"container {service.name} is {(facts.get('State') or {}).get('Status')}")


def _names(run: Run, service: Service, target: str) -> dict[str, list[str]]:
    """Network -> the names of the service's containers there."""
    found = {}
    for key, end in service.networks.items():
        network = run.project.networks[key].name if key in run.project.networks else key
        found[network] = list(dict.fromkeys([target, service.name, *(end.aliases if end else ())]))
    return found


def _reconnect(run: Run, ident: str, names: dict[str, list[str]]) -> None:
    client = run.client()
    facts = (client.get(container_path(ident, "json")).get("NetworkSettings") or {}).get("Networks") or {}
    for network, aliases in names.items():
        own = facts.get(network) or {}
        config = {"Aliases": aliases, "IPAMConfig": own.get("IPAMConfig"), "DriverOpts": own.get("DriverOpts"), "Links": own.get("Links")}
        client.post(f"/networks/{quote(network)}/disconnect", None, {"Container": ident, "Force": True})
        client.post(f"/networks/{quote(network)}/connect", None, {"Container": ident, "EndpointConfig": config})
