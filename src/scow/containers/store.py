"""All containers of the engine: rows in table `containers`, live objects in memory, names in one place.

A row is `codec.encode` of the parts of `Container` that must survive; its schema number is `SCHEMA`. Called by every container service.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from scow import ids, log
from scow.containers.container import Container
from scow.containers.lifecycle import State
from scow.errors import Conflict, InvalidArgument, NotFound, ScowError
from scow.events import EventBus
from scow.model import codec
from scow.model.container import ContainerConfig, HostConfig
from scow.model.network import EndpointSettings
from scow.volumes.mounts import MountPoint

logger = log.get(__name__)

SCHEMA = 1
_GONE_SECONDS = 60.0
_MAX_GONE = 1000


class Table(Protocol):
    """The part of `metadata.Table` used here."""

    def put(self, key: str, doc: dict[str, Any]) -> None: ...
    def delete(self, key: str) -> None: ...
    def all(self) -> dict[str, dict[str, Any]]: ...


class NoSuchContainer(NotFound):
    """A reference names no container."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such container: {ref}")


class NameInUse(Conflict):
    """Another container has the name. Clients match the text."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


class Containers:
    """The store: lookups by reference, names, rows."""

    def __init__(self, table: Table, bus: EventBus, data: Path, bundles: Path) -> None:
        """`data` holds a directory for each container, `bundles` (below run) a bundle for each running one."""
        self._table = table
        self._bus = bus
        self._data = data
        self._bundles = bundles
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._gone: OrderedDict[str, tuple[float, str, int]] = OrderedDict()

    # --- names

    def reserve(self, name: str, container_id: str) -> None:
        """Take `name` (no leading slash; a legacy link's `a/b` too) for a container. Raises NameInUse."""
        holder = self._names.get(name)
        if holder is not None and holder != container_id:
            raise NameInUse(name, holder)
        self._names[name] = container_id

    def release(self, name: str, container_id: str) -> None:
        """Free `name` if `container_id` holds it."""
        if self._names.get(name) == container_id:
            del self._names[name]

    def taken(self, name: str) -> bool:
        return name in self._names

    def names_of(self, container_id: str) -> list[str]:
        """Every name of a container with its leading slash: its own and those of legacy links."""
        return sorted((f"/{name}" for name, holder in self._names.items() if holder == container_id), key=lambda n: (n.count("/"), n))

    def extra_names(self) -> dict[str, list[str]]:
        """Names of legacy links (`/web/db`) by the container they lead to; containers without any are absent."""
        if len(self._names) == len(self._by_id):
            return {}
        out: dict[str, list[str]] = {}
        for name, holder in self._names.items():
            if "/" in name:
                out.setdefault(holder, []).append(f"/{name}")
        return out

    def link(self, owner: Container, alias: str, target_id: str) -> None:
        """Add the legacy link name `owner/alias` for the container `target_id`. Raises NameInUse."""
        self.reserve(f"{owner.name}/{alias}", target_id)

    def unlink(self, name: str) -> None:
        """Remove a legacy link by its name `/owner/alias`. Raises NotFound, Conflict for a name that is no link."""
        bare = name.removeprefix("/")
        if "/" not in bare:
            raise Conflict(f"Cannot remove default name of container: {name}" if bare in self._names else f"No such container: {name}")
        if bare not in self._names:
            raise NoSuchContainer(name)
        owner_name, alias = bare.split("/", 1)
        del self._names[bare]
        owner = self.find(owner_name)
        if owner is not None:
            owner.drop_link(alias)

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name, with the row. Raises NameInUse and changes nothing."""
        self.reserve(name, container.id)
        old = container.name
        links = {key: holder for key, holder in self._names.items() if key.startswith(f"{old}/")}
        container.name = name
        try:
            self.save(container)
        except BaseException:
            container.name = old
            self.release(name, container.id)
            raise
        self.release(old, container.id)
        for key, holder in links.items():
            del self._names[key]
            self._names[f"{name}/{key.split('/', 1)[1]}"] = holder

    # --- lookups

    def by_id(self, container_id: str) -> Container | None:
        """By full id, also one that is still being created."""
        return self._by_id.get(container_id)

    def get(self, ref: str) -> Container:
        """By full id, exact name (with or without slash), unique id prefix. Raises NoSuchContainer, ids.Ambiguous."""
        found = self.find(ref)
        if found is None:
            raise NoSuchContainer(ref)
        return found

    def find(self, ref: str) -> Container | None:
        """As `get`, with None for nothing. Raises ids.Ambiguous."""
        if not ref:
            raise InvalidArgument("no container name or ID supplied")
        if ref in self._by_id:
            return self._visible(self._by_id[ref])
        holder = self._names.get(ref.removeprefix("/"))
        if holder is None:
            holder = ids.by_prefix((key for key, value in self._by_id.items() if not value.hold), ref)
        return self._visible(self._by_id.get(holder)) if holder else None

    @staticmethod
    def _visible(container: Container | None) -> Container | None:
        return container if container is not None and not container.hold else None

    def all(self) -> list[Container]:
        """Every container, newest first. One that is still being created isn't shown."""
        return sorted((c for c in self._by_id.values() if not c.hold), key=lambda c: c.created_ns, reverse=True)

    def __len__(self) -> int:
        return len(self._by_id)

    # --- rows (the Ledger of Container)

    def put(self, container: Container) -> None:
        """Take a new container in; its name must have been reserved. Nothing is written before `save`."""
        self._by_id[container.id] = container

    def save(self, container: Container) -> None:
        container.version += 1
        self._table.put(container.id, to_row(container))

    def erase(self, container: Container) -> None:
        self._table.delete(container.id)
        self.drop(container)
        if container.host.auto_remove and container.state.started_ns:
            self._gone[container.id] = (time.monotonic(), container.name, container.state.exit_code)
            if len(self._gone) > _MAX_GONE:
                self._gone.popitem(last=False)

    def code_of_gone(self, ref: str) -> int | None:
        """The exit code of a --rm container that went a moment ago, by its id or name.

        A client that waits for it may be cut off by the engine's end: the next engine removes the container before it can be asked.
        """
        limit = time.monotonic() - _GONE_SECONDS
        while self._gone and next(iter(self._gone.values()))[0] < limit:
            self._gone.popitem(last=False)
        if ref in self._gone:
            return self._gone[ref][2]
        return next((code for _, name, code in reversed(self._gone.values()) if name == ref.removeprefix("/")), None)

    def drop(self, container: Container) -> None:
        """Forget the live object and its names; the row is `erase`'s matter."""
        self._by_id.pop(container.id, None)
        for name in [name for name, holder in self._names.items() if holder == container.id]:
            del self._names[name]

    def publish(self, container: Container, action: str, attributes: Mapping[str, str]) -> None:
        base = {**container.config.labels, "image": container.image_ref, "name": container.name}
        self._bus.publish("container", action, container.id, {**base, **attributes})

    def paths(self, container_id: str) -> tuple[Path, Path]:
        """(directory, bundle) of a container."""
        return self._data / container_id, self._bundles / container_id

    def directories(self) -> set[str]:
        """Ids that have a directory or a bundle, with or without a row."""
        found: set[str] = set()
        for parent in (self._data, self._bundles):
            if parent.is_dir():
                found.update(entry.name for entry in parent.iterdir())
        return found

    def load(self) -> Iterable[Container]:
        """Read all rows at boot. A row that can't be read is logged and left alone. Names are reserved as they were."""
        for key, row in self._table.all().items():
            try:
                container = from_row(key, row, self)
            except (ScowError, KeyError, TypeError, ValueError):
                logger.exception("container row cannot be read: %s", key)
                continue
            self.put(container)
            try:
                self.reserve(container.name, key)
            except NameInUse:
                container.name = container.id[:12]
                self.reserve(container.name, key)
        for container in self._by_id.values():
            for link in container.host.links:
                target, _, alias = link.partition(":")
                holder = self.find(target)
                if holder is not None and alias:
                    self._names.setdefault(f"{container.name}/{alias}", holder.id)
        return list(self._by_id.values())


def to_row(container: Container) -> dict[str, Any]:
    """The stored form of a container."""
    return {
        "schema": SCHEMA,
        "name": container.name,
        "created": container.created_ns,
        "image": container.image_id,
        "imageRef": container.image_ref,
        "config": codec.encode(container.config),
        "host": codec.encode(container.host),
        "path": container.path,
        "args": list(container.args),
        "mounts": [codec.encode(mount) for mount in container.mounts],
        "networks": codec.encode(container.networks),
        "state": codec.encode(container.state),
        "driver": container.driver,
        "platform": container.platform,
        "hold": container.hold,
    }


def from_row(container_id: str, row: Mapping[str, Any], store: Containers) -> Container:
    """A container from its stored form. Raises KeyError, ValueError, InvalidArgument for a damaged row."""
    directory, bundle = store.paths(container_id)
    state = codec.decode(State, row["state"])
    return Container(
        id=container_id,
        name=row["name"],
        created_ns=row["created"],
        image_id=row["image"],
        image_ref=row["imageRef"],
        config=codec.decode(ContainerConfig, row["config"]),
        host=codec.decode(HostConfig, row["host"]),
        path=row["path"],
        args=tuple(row["args"]),
        dir=directory,
        bundle=bundle,
        ledger=store,
        mounts=tuple(codec.decode(MountPoint, mount) for mount in row["mounts"]),
        networks={name: codec.decode(EndpointSettings, value) for name, value in row["networks"].items()},
        state=state,
        driver=row["driver"],
        platform=row["platform"],
        hold=row.get("hold", ""),
    )
