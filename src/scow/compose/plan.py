"""A plan: operations with their causes and what must come before them. Made by `reconcile.py`, carried out by `execute/`, printed by
`up --dry-run`. Pure."""

from __future__ import annotations

from scow.compose.model.service import Service
from scow.compose.observe import ContainerInfo
from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# kinds of operations, and the words of the display while they run and when they are done
WORDS = {
    "network": ("Creating", "Created"),
    "renew-network": ("Recreate", "Recreated"),
    "volume": ("Creating", "Created"),
    "create": ("Creating", "Created"),
    "recreate": ("Recreate", "Recreated"),
    "rollout": ("Rolling", "Rolled"),
    "start": ("Starting", "Started"),
    "restart": ("Restarting", "Started"),
    "signal": ("Signalling", "Signalled"),
    "stop": ("Stopping", "Stopped"),
    "remove": ("Removing", "Removed"),
    "remove-network": ("Removing", "Removed"),
    "remove-volume": ("Removing", "Removed"),
    "wait": ("Waiting", "Healthy"),
    "completed": ("Waiting", "Exited"),
    "rename": ("Renaming", "Renamed"),
    "keep": ("", "Running"),
    "kill": ("Killing", "Killed"),
    "pause": ("Pausing", "Paused"),
    "unpause": ("Unpausing", "Unpaused"),
    "remove-image": ("Removing", "Removed"),
}


@record(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step. `target` is the name of what it acts on; `after` the ids of the operations that must be done before."""

    id: int
    kind: str
    target: str
    cause: str = ""
    after: tuple[int, ...] = ()
    service: Service | None = None
    key: str = ""
    number: int = 1
    old: ContainerInfo | None = None
    required: bool = True
    renew: bool = False

    @property
    def label(self) -> str:
        """`Container p-web-1`, as the display calls it."""
        nouns = {"network": "Network", "volume": "Volume", "image": "Image"}
        kind = nouns.get(self.kind.removeprefix("remove-").removeprefix("renew-"), "Container")
        return f"{kind} {self.target}"


@record(slots=True)
class Plan:
    """Operations in an order in which they could be carried out one by one."""

    operations: list[Operation] = field(default_factory=list)

    def add(self, kind: str, target: str, cause: str = "", after: Iterable[int] = (), **more: Any) -> int:
        """One more operation, `more` are its other fields; its id."""
        ident = len(self.operations) + 1
        self.operations.append(Operation(id=ident, kind=kind, target=target, cause=cause, after=tuple(sorted(set(after))), **more))
        return ident

    def text(self) -> str:
        """A line for each operation: what, on what, why, after which."""
        lines = []
        for one in self.operations:
            line = f"{one.id:>3} {one.kind} {one.target}"
            if one.cause:
                line += f": {one.cause}"
            if one.after:
                line += f" [after {', '.join(map(str, one.after))}]"
            lines.append(line + "\n")
        return "".join(lines)


def side_by_side(kind: str, containers: list[ContainerInfo], key: str = "") -> Plan:
    """The same for each container, none before another."""
    plan = Plan()
    for one in containers:
        plan.add(kind, one.name, "asked for", old=one, key=key)
    return plan
