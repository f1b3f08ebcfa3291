"""Volumes: their rows (table `volumes`), the driver that holds the files, who has them mounted.

Users are containers: static use is `References("volume", name, container_id)`, written with the container; a mount is counted from start to
end. Called by the API, containers (create, start, end) and system df.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow import aio, ids, log
from scow.errors import Conflict, InvalidArgument, NotFound
from scow.events import EventBus
from scow.filters import Filters
from scow.metadata import Database, References
from scow.model.volume import VolumeCreate
from scow.units import rfc3339nano
from scow.volumes import copyup
from scow.volumes.local import LocalDriver, check_options

logger = log.get(__name__)

ANONYMOUS = "com.docker.volume.anonymous"
LIST_FILTERS = frozenset({"dangling", "driver", "label", "name"})
PRUNE_FILTERS = frozenset({"label", "label!", "all"})
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_PRUNE_LOCK = "\0prune"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as stored; labels and options None when none were given."""

    name: str
    driver: str
    mountpoint: str
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    created_ns: int = 0


@dataclass(slots=True)
class _Use:
    """Who has a volume mounted now: for each user its mounts, and whether each was told to the world."""

    users: dict[str, list[bool]] = field(default_factory=dict)


def check_name(name: str) -> None:
    """Docker's rules for names. Raises InvalidArgument."""
    if len(name) == 1:
        raise InvalidArgument("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.match(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path"
        )
    if len(name) > 255:
        raise InvalidArgument(f"create {name[:40]}…: volume name is too long, 255 characters are allowed")


class VolumeService:
    """All volumes of this engine. `root` is <data>/volumes."""

    def __init__(self, root: Path, db: Database, refs: References, bus: EventBus) -> None:
        self._table = db.table("volumes")
        self._refs = refs
        self._bus = bus
        self._driver = LocalDriver(root)
        self._locks = aio.KeyedLock()
        self._uses: dict[str, _Use] = {}

    # ------------------------------------------------------------------ rows

    def _load(self, name: str, row: Mapping[str, Any]) -> Volume:
        return Volume(name, row["driver"], str(self._driver.path(name)), row.get("labels"), row.get("options"), row["created"])

    def get(self, name: str) -> Volume:
        """One volume. Raises NotFound `get x: no such volume`."""
        row = self._table.get(name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return self._load(name, row)

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        return [self._load(name, row) for name, row in sorted(self._table.all().items())]

    def ensure(
        self, name: str = "", driver: str = "", options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> Volume:
        """The volume of that name, made if it is missing; "" makes an anonymous one.

        Raises InvalidArgument (name, options), NotFound (driver), Conflict (another driver has the name).
        """
        driver = driver or "local"
        all_labels = dict(labels) if labels is not None else None
        if not name:
            name = ids.new_id()
            all_labels = {**(all_labels or {}), ANONYMOUS: ""}
        known = self._table.get(name)
        if known is not None:
            if known["driver"] != driver:
                raise Conflict(f"create {name}: driver '{known['driver']}' already has volume '{name}': volume name must be unique")
            return self._load(name, known)
        if driver != LocalDriver.name:
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        check_name(name)
        try:
            check_options(options or {})
        except InvalidArgument as error:
            raise InvalidArgument(f"create {name}: {error.message}") from None
        try:
            self._driver.create(name)
        except OSError as error:
            raise InvalidArgument(f"create {name}: {error.strerror}") from None
        # Whole seconds, as Docker takes it from the directory.
        created = time.time_ns() // 1_000_000_000 * 1_000_000_000
        row = {"driver": driver, "labels": all_labels, "options": dict(options) if options is not None else None, "created": created}
        self._table.put(name, row)
        self._bus.publish("volume", "create", name, {"driver": driver})
        return self._load(name, row)

    def create(self, request: VolumeCreate) -> dict[str, Any]:
        """POST /volumes/create: the view of the new or existing volume."""
        if request.cluster_volume_spec is not None:
            raise InvalidArgument("volume of cluster type cannot be created: this node is not a swarm manager")
        return self.view(self.ensure(request.name, request.driver, request.driver_opts, request.labels))

    def view(self, volume: Volume) -> dict[str, Any]:
        """As inspect shows it."""
        return {
            "CreatedAt": rfc3339nano(volume.created_ns), "Driver": volume.driver, "Labels": volume.labels, "Mountpoint": volume.mountpoint,
            "Name": volume.name, "Options": volume.options, "Scope": "local",
        }  # fmt: skip

    def inspect(self, name: str) -> dict[str, Any]:
        """GET /volumes/{name}. Raises NotFound."""
        return self.view(self.get(name))

    def list(self, filters: Filters | str | None = None) -> dict[str, Any]:
        """GET /volumes. Raises InvalidArgument for a bad filter."""
        wanted = _filters(filters, LIST_FILTERS)
        dangling = wanted.boolean("dangling", False) if "dangling" in wanted else None
        used = self._refs.used("volume")
        found = [
            self.view(volume)
            for volume in self.all()
            if (dangling is None or dangling != bool(used.get(volume.name)))
            and wanted.match("driver", volume.driver)
            and wanted.match_labels(volume.labels)
            and (not wanted.values("name") or any(part in volume.name for part in wanted.values("name")))
        ]
        return {"Volumes": found, "Warnings": None}

    # --------------------------------------------------------------- removal

    async def remove(self, name: str, force: bool = False) -> None:
        """Remove a volume nobody uses. Raises NotFound (unless `force`), Conflict while containers use it."""
        async with self._locks(name):
            try:
                volume = self.get(name)
            except NotFound:
                if force:
                    return
                raise
            users = sorted(self._refs.users("volume", name) | self._mounted_by(name))
            if users:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            await aio.in_pool(self._driver.remove, name)
            self._table.delete(name)
            self._uses.pop(name, None)
            self._bus.publish("volume", "destroy", name, {"driver": volume.driver})

    async def prune(self, filters: Filters | str | None = None, anonymous_only: bool = True) -> dict[str, Any]:
        """Remove unused volumes: the anonymous ones, or all with the filter `all` (API < 1.42: `anonymous_only` False).

        Raises InvalidArgument for a bad filter, Conflict while another prune runs.
        """
        wanted = _filters(filters, PRUNE_FILTERS)
        if "all" in wanted:
            anonymous_only = not wanted.boolean("all", False)
        if self._locks.locked(_PRUNE_LOCK):
            raise Conflict("a prune operation is already running")
        deleted: list[str] = []
        reclaimed = 0
        async with self._locks(_PRUNE_LOCK):
            for volume in self.all():
                labels = volume.labels or {}
                if anonymous_only and ANONYMOUS not in labels:
                    continue
                if not wanted.match_labels(labels) or _excluded(wanted, labels):
                    continue
                if self._refs.users("volume", volume.name) or self._mounted_by(volume.name):
                    continue
                size = await aio.in_pool(self._driver.size, volume.name)
                try:
                    await self.remove(volume.name)
                except (Conflict, NotFound):
                    continue
                except OSError as error:
                    logger.warning("volume %s was not removed: %s", volume.name, error)
                    continue
                deleted.append(volume.name)
                reclaimed += max(size, 0)
        self._bus.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return {"VolumesDeleted": deleted, "SpaceReclaimed": reclaimed}

    # ----------------------------------------------------------------- mounts

    def _mounted_by(self, name: str) -> set[str]:
        use = self._uses.get(name)
        return set(use.users) if use else set()

    async def mount(self, name: str, user: str, destination: str = "", rw: bool = True, propagation: str = "") -> Path:
        """Count a mount by `user` (a container id) and mount what the options say at the first. Raises NotFound, MountFailed.

        Without a destination (filling a volume) nobody is told of this mount and its end.
        """
        async with self._locks(name):
            volume = self.get(name)
            use = self._uses.setdefault(name, _Use())
            if not use.users:
                await aio.in_pool(self._driver.mount, name, volume.options or {})
            use.users.setdefault(user, []).append(bool(destination))
            if destination:
                facts = {"container": user, "destination": destination, "driver": volume.driver, "propagation": propagation}
                self._bus.publish("volume", "mount", name, facts | {"read/write": "true" if rw else "false"})
            return self._driver.path(name)

    async def unmount(self, name: str, user: str) -> None:
        """Give back one mount; the last one unmounts. A volume or user unknown here is fine."""
        async with self._locks(name):
            use = self._uses.get(name)
            if use is None or user not in use.users:
                return
            told = use.users[user].pop()
            if not use.users[user]:
                del use.users[user]
            row = self._table.get(name)
            if not use.users:
                del self._uses[name]
                if row is not None and row.get("options"):
                    await aio.in_pool(self._driver.unmount, name)
            if told:
                self._bus.publish("volume", "unmount", name, {"container": user, "driver": row["driver"] if row else "local"})

    def farewell(self, user: str, names: Iterable[str]) -> None:
        """Tell of the end of all mounts of a container that has ended; the `unmount` that follows tells nothing more."""
        for name in names:
            use = self._uses.get(name)
            for index, told in enumerate(use.users.get(user, ()) if use else ()):
                if told and use:
                    use.users[user][index] = False
                    row = self._table.get(name)
                    self._bus.publish("volume", "unmount", name, {"container": user, "driver": row["driver"] if row else "local"})

    async def recover(self, live: Iterable[str]) -> None:
        """At boot: volumes of running containers stay mounted and counted, all others are unmounted; interrupted removals are finished."""
        running = set(live)
        used = self._refs.used("volume")
        for name, row in self._table.all().items():
            users = used.get(name, set()) & running
            if users:
                self._uses[name] = _Use({user: [True] for user in users})
            elif row.get("options"):
                try:
                    await aio.in_pool(self._driver.unmount, name)
                except OSError as error:
                    logger.warning("volume %s stays mounted: %s", name, error)
        await aio.in_pool(self._driver.sweep)

    async def copy_up(self, volume_path: Path | str, rootfs: Path | str, path: str) -> None:
        """Fill an empty volume with what the image has at `path`, owners, modes, times and attributes included.

        Raises InvalidArgument when a file is there.
        """
        await aio.in_pool(copyup.copy_up, str(volume_path), str(rootfs), path)

    async def disk_usage(self) -> Sequence[dict[str, Any]]:
        """Views with UsageData, for system df."""
        used = self._refs.used("volume")
        rows = []
        for volume in self.all():
            size = await aio.in_pool(self._driver.size, volume.name)
            rows.append(self.view(volume) | {"UsageData": {"RefCount": len(used.get(volume.name, ())), "Size": size}})
        return rows


def _filters(filters: Filters | str | None, accepted: frozenset[str]) -> Filters:
    if filters is None or isinstance(filters, str):
        return Filters.parse(filters, accepted)
    for key in filters.keys():  # noqa: SIM118
        if key not in accepted:
            raise InvalidArgument(f"invalid filter '{key}'")
    return filters


def _excluded(filters: Filters, labels: Mapping[str, str]) -> bool:
    for wanted in filters.values("label!"):
        name, sep, value = wanted.partition("=")
        if name in labels and (not sep or labels[name] == value):
            return True
    return False
