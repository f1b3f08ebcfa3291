"""Events of swarm scope, made of what changes in the store: every manager tells the same."""

from collections.abc import Callable, Mapping

from scow.swarm.objects import Config, Network, Node, Object, Secret, Service
from scow.swarm.store.store import Change

Publish = Callable[[str, str, str, Mapping[str, str]], None]
"""`publish(kind, action, id, attributes)`."""


class EventFeed:
    """The loop (`loop.Loop`)."""

    kinds: tuple[type[Object], ...] = (Service, Node, Secret, Config, Network)

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    def setup(self) -> None:
        """See Loop."""

    def handle(self, change: Change) -> None:
        """See Loop."""
        old, new = change.old, change.new
        action = "create" if old is None else "remove" if new is None else "update"
        attributes = {"name": _name(change.object)}
        if old is not None and new is not None:
            said = _differences(old, new)
            if not said and not _spec_changed(old, new):
                return
            attributes |= said
        self._publish(change.kind, action, change.object.id, attributes)

    async def tick(self) -> None:
        """See Loop."""


def _name(one: Object) -> str:
    return one.hostname if isinstance(one, Node) else str(getattr(one, "name", ""))


def _spec_changed(old: Object, new: Object) -> bool:
    return bool(getattr(old, "spec", None) != getattr(new, "spec", None))


def _image(one: Service) -> str:
    return str((one.task_spec.get("ContainerSpec") or {}).get("Image") or "")


def _replicas(one: Service) -> str:
    return str(one.replicas) if one.mode == "replicated" else ""


def _update(one: Service) -> str:
    return str((one.update_status or {}).get("State") or "")


def _scaling(one: Service, key: str) -> str:
    return str((one.scaling or {}).get(key) or "")


def _differences(old: Object, new: Object) -> dict[str, str]:
    """What Docker's events name with `.old` and `.new`."""
    rows: list[tuple[str, str, str]] = []
    if isinstance(old, Service) and isinstance(new, Service):
        rows = [
            ("image", _image(old), _image(new)),
            ("replicas", _replicas(old), _replicas(new)),
            ("updatestate", _update(old), _update(new)),
            ("autoscaleheld", _scaling(old, "Held"), _scaling(new, "Held")),
        ]
        if old.mode.endswith("-job"):
            rows.append(("jobiteration", str(old.job_iteration), str(new.job_iteration)))
        if _scaling(old, "At") != _scaling(new, "At"):
            said = _scaling(new, "Reason")  # told with each decision, also where it is that of the one before
            return _changed(rows) | ({"autoscale.new": said} if said else {})
    elif isinstance(old, Node) and isinstance(new, Node):
        for name, before, after in (
            ("state", old.status_state, new.status_state),
            ("availability", old.availability, new.availability),
            ("role", old.role, new.role),
            ("leader", str(bool((old.manager or {}).get("Leader"))).lower(), str(bool((new.manager or {}).get("Leader"))).lower()),
            ("reachability", str((old.manager or {}).get("Reachability") or ""), str((new.manager or {}).get("Reachability") or "")),
        ):
            rows.append((name, before, after))
    return _changed(rows)


def _changed(rows: list[tuple[str, str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, before, after in rows:
        if before != after:
            if before:
                found[f"{name}.old"] = before
            found[f"{name}.new"] = after
    return found
