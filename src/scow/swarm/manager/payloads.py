"""Secrets and configs of the cluster, which differ in what is shown of them only. `control.py` has one `Payloads` for each.

Each call checks what it is asked and writes it in one transaction.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from scow.filters import Filters
from scow.swarm import specs
from scow.swarm.identity import new_id
from scow.swarm.manager.filtering import passes
from scow.swarm.objects import Config, Secret, Service
from scow.swarm.store.store import OutOfSequence, Store, Tx
from scow.swarm.wording import invalid

Json = dict[str, Any]
P = TypeVar("P", bound=Secret | Config)


class Payloads(Generic[P]):
    """All of one kind."""

    def __init__(self, store: Store, cls: type[P], shown: Callable[[P], Json]) -> None:
        self._store = store
        self._cls = cls
        self._shown = shown

    async def create(self, spec: Mapping[str, Any]) -> str:
        """Make one; its id. Raises InvalidArgument, NameTaken."""
        checked, data = specs.payload(spec, self._cls.kind)
        made = self._cls(id=new_id(), spec=checked, data=data)
        await self._store.update(lambda tx: tx.create(made))
        return made.id

    def inspect(self, ref: str) -> Json:
        """One as Docker's API shows it. Raises NotFound."""
        return self._shown(self._store.find(self._cls, ref))

    def all(self, filters: Filters) -> list[Json]:
        """Those that pass, by name."""
        return [
            self._shown(one)
            for one in sorted(self._store.all(self._cls), key=lambda held: held.name)
            if passes(filters, one.id, one.name, one.spec.get("Labels") or {})
            and ("names" not in filters or one.name in filters.values("names"))
        ]

    async def update(self, ref: str, version: int, spec: Mapping[str, Any]) -> None:
        """Change labels; nothing else may change. Raises NotFound, InvalidArgument, OutOfSequence."""

        def write(tx: Tx) -> None:
            one = tx.find(self._cls, ref)
            if one.unseen(version):
                raise OutOfSequence
            data = spec.get("Data")
            if str(spec.get("Name") or "") != one.name or (data and str(data) != one.data):
                raise invalid("only updates to Labels are allowed")
            tx.update(one.changed(spec={**one.spec, "Labels": dict(spec.get("Labels") or {})}))

        await self._store.update(write)

    async def remove(self, ref: str) -> None:
        """Remove one that no service uses. Raises NotFound, InvalidArgument (in use)."""
        kind = self._cls.kind.capitalize()

        def write(tx: Tx) -> None:
            one = tx.find(self._cls, ref)
            users = {
                service.name
                for service in tx.all(Service)
                for row in (service.task_spec.get("ContainerSpec") or {}).get(f"{kind}s") or ()
                if row.get(f"{kind}ID") == one.id
            }
            if users:
                word = "services" if len(users) > 1 else "service"
                raise invalid(f"{one.kind} '{one.name}' is in use by the following {word}: {', '.join(sorted(users))}")
            tx.delete(self._cls, one.id)

        await self._store.update(write)
