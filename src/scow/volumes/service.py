"""Volumes: their rows (table `volumes`), the drivers that hold the files, who has them mounted.

Users are containers: static use is `References("volume", name, container_id)`, written with the container; a mount is counted from start to
end. A row exists for what was made or used through this engine; plugins may have more, which are listed too. Called by the API,
containers (create, start, end) and system df.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow import aio, ids, log
from scow.errors import Conflict, InvalidArgument, NotFound, ScowError, Unavailable
from scow.events import EventBus
from scow.filters import Filters
from scow.metadata import Database, References
from scow.model.volume import VolumeCreate
from scow.plugins.registry import Plugins
from scow.units import rfc3339nano
from scow.volumes import copyup
from scow.volumes.driver import Found, VolumeDriver
from scow.volumes.local import LocalDriver, tree_size
from scow.volumes.remote import CAPABILITY, PluginDriver, PluginFailed

logger = log.get(__name__)

ANONYMOUS = "com.docker.volume.anonymous"
LIST_FILTERS = frozenset({"dangling", "driver", "label", "name"})
PRUNE_FILTERS = frozenset({"label", "label!", "all"})
_PRUNE_LOCK = "\0prune"
_PROBE_SECONDS = 10.0  # how long a plugin nobody named may take to say whether it has a volume
_SHUN_SECONDS = 30.0  # and how long it is not asked again where it did not answer


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume; labels and options None when none were given. `new`: `ensure` has just made it."""

    name: str
    driver: str
    mountpoint: str
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    created_ns: int = 0
    scope: str = "local"
    status: dict[str, Any] | None = None
    new: bool = False


@dataclass(slots=True)
class _Use:
    """Who has a volume mounted now: for each user its mounts, and whether each was told to the world."""

    users: dict[str, list[bool]] = field(default_factory=dict)


class VolumeService:
    """All volumes of this engine. `root` is <data>/volumes."""

    def __init__(self, root: Path, db: Database, refs: References, bus: EventBus, plugins: Plugins) -> None:
        self._table = db.table("volumes")
        self._refs = refs
        self._bus = bus
        self._local = LocalDriver(root)
        self._plugins = plugins
        self._remote: dict[str, PluginDriver] = {}
        self._shunned: dict[str, float] = {}
        self._locks = aio.KeyedLock()
        self._uses: dict[str, _Use] = {}
        self._tasks = aio.Supervisor("volumes")

    async def close(self) -> None:
        """End what goes on behind answers."""
        await self._tasks.close()

    # --------------------------------------------------------------- drivers

    async def _driver(self, name: str) -> VolumeDriver:
        """Raises NotFound, and what is wrong with a plugin."""
        if name == LocalDriver.name:
            return self._local
        plugin = await self._plugins.get(name, CAPABILITY)
        driver = self._remote.get(name)
        if driver is None or driver.plugin is not plugin:
            driver = self._remote[name] = PluginDriver(plugin)
        return driver

    def drivers(self) -> Sequence[str]:
        """The drivers in use, for /info."""
        return sorted({LocalDriver.name, *self._remote})

    async def _ask(self, plugin: str, name: str) -> Found | None:
        """Whether a plugin has a volume; one that does not answer is left in peace for a while."""
        if self._shunned.get(plugin, 0.0) > time.monotonic():
            return None
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await (await self._driver(plugin)).get(name)
        except (ScowError, TimeoutError) as error:
            if not isinstance(error, NotFound):
                logger.warning("plugin %s was not asked for volume %s: %s", plugin, name, error or "no answer")
            self._shunned[plugin] = time.monotonic() + _SHUN_SECONDS
            return None

    async def _probe(self, name: str) -> Volume | None:
        """A volume without a row that a plugin has."""
        names = self._plugins.names()
        if not names:
            return None
        for plugin, found in zip(names, await asyncio.gather(*(self._ask(plugin, name) for plugin in names)), strict=True):
            if found is not None:
                return await self._foreign(plugin, found)
        return None

    async def _foreign(self, plugin: str, found: Found) -> Volume:
        scope = await (await self._driver(plugin)).scope()
        return Volume(found.name, plugin, found.mountpoint, None, None, found.created_ns, scope, found.status)

    # ------------------------------------------------------------------ rows

    def _load(self, name: str, row: Mapping[str, Any]) -> Volume:
        driver = row["driver"]
        place = str(self._local.path(name)) if driver == LocalDriver.name else row.get("mountpoint", "")
        return Volume(name, driver, place, row.get("labels"), row.get("options"), row["created"], row.get("scope", "local"))

    def _store(self, volume: Volume) -> None:
        row: dict[str, Any] = {"driver": volume.driver, "labels": volume.labels, "options": volume.options, "created": volume.created_ns}
        self._table.put(volume.name, row if volume.scope == "local" else row | {"scope": volume.scope})

    def get(self, name: str) -> Volume:
        """One volume that has a row. Raises NotFound `get x: no such volume`."""
        row = self._table.get(name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return self._load(name, row)

    def known(self, name: str) -> bool:
        """Whether a volume of that name has a row."""
        return name in self._table

    async def find(self, name: str) -> Volume:
        """One volume, of a plugin with what that knows now. Raises NotFound, Unavailable."""
        row = self._table.get(name)
        if row is None:
            if (foreign := await self._probe(name)) is None:
                raise NotFound(f"get {name}: no such volume")
            return foreign
        volume = self._load(name, row)
        if volume.driver == LocalDriver.name:
            return volume
        found = await (await self._driver(volume.driver)).get(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume: plugin {volume.driver} does not know it any more")
        return Volume(
            name,
            volume.driver,
            found.mountpoint,
            volume.labels,
            volume.options,
            found.created_ns or volume.created_ns,
            volume.scope,
            found.status,
        )

    def all(self) -> list[Volume]:
        """Every volume that has a row, by name."""
        return [self._load(name, row) for name, row in sorted(self._table.all().items())]

    async def ensure(
        self, name: str = "", driver: str = "", options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> Volume:
        """The volume of that name, made if it is missing; "" makes an anonymous one.

        Raises InvalidArgument (name, options), NotFound (driver), Conflict (another driver has the name), what a plugin says.
        """
        all_labels = dict(labels) if labels is not None else None
        if not name:
            name = ids.new_id()
            all_labels = {**(all_labels or {}), ANONYMOUS: ""}
        async with self._locks(name):
            known = self._table.get(name)
            if known is not None:
                if driver and known["driver"] != driver:
                    raise Conflict(f"create {name}: driver '{known['driver']}' already has volume '{name}': volume name must be unique")
                return self._load(name, known)
            if not driver and (foreign := await self._probe(name)) is not None:
                self._store(foreign)
                return foreign
            return await self._make(name, driver or LocalDriver.name, options, all_labels)

    async def _make(self, name: str, driver: str, options: Mapping[str, str] | None, labels: dict[str, str] | None) -> Volume:
        try:
            holder = await self._driver(driver)
        except NotFound as error:
            raise NotFound(f"create {name}: error looking up volume plugin {driver}: {error.message}") from None
        holder.check(name, options or {})
        try:
            await holder.create(name, options or {})
        except (PluginFailed, Unavailable) as error:
            raise type(error)(f"create {name}: {error.message}") from None
        # Whole seconds, as Docker takes it from the directory.
        created = time.time_ns() // 1_000_000_000 * 1_000_000_000
        place = str(self._local.path(name)) if driver == LocalDriver.name else ""
        given = dict(options) if options is not None else None
        volume = Volume(name, driver, place, labels, given, created, await holder.scope(), new=True)
        self._store(volume)
        self._bus.publish("volume", "create", name, {"driver": driver})
        return volume

    async def create(self, request: VolumeCreate) -> dict[str, Any]:
        """POST /volumes/create: the view of the new or existing volume."""
        if request.cluster_volume_spec is not None:
            raise InvalidArgument("volume of cluster type cannot be created: this node is not a swarm manager")
        return self.view(await self.ensure(request.name, request.driver, request.driver_opts, request.labels))

    def view(self, volume: Volume) -> dict[str, Any]:
        """As inspect shows it."""
        shown = {
            "CreatedAt": rfc3339nano(volume.created_ns), "Driver": volume.driver, "Labels": volume.labels, "Mountpoint": volume.mountpoint,
            "Name": volume.name, "Options": volume.options, "Scope": volume.scope,
        }  # fmt: skip
        return shown if volume.status is None else shown | {"Status": volume.status}

    async def inspect(self, name: str) -> dict[str, Any]:
        """GET /volumes/{name}. Raises NotFound."""
        return self.view(await self.find(name))

    async def list(self, filters: Filters | str | None = None) -> dict[str, Any]:
        """GET /volumes. Raises InvalidArgument for a bad filter; what a plugin cannot tell is a warning."""
        wanted = _filters(filters, LIST_FILTERS)
        dangling = wanted.boolean("dangling", False) if "dangling" in wanted else None
        used = self._refs.used("volume")
        volumes, warnings = self.all(), []
        for plugin, answer in await self._plugin_lists():
            if isinstance(answer, str):
                warnings.append(f"list {plugin}: {answer}")
                continue
            has = {one.name: one for one in answer}
            volumes = [one for one in volumes if one.driver != plugin or one.name in has or used.get(one.name)]
            known = {one.name for one in volumes}
            volumes += [await self._foreign(plugin, one) for name, one in has.items() if name not in known]
        found = [
            self.view(volume)
            for volume in volumes
            if (dangling is None or dangling != bool(used.get(volume.name)))
            and wanted.match("driver", volume.driver)
            and wanted.match_labels(volume.labels)
            and (not wanted.values("name") or any(part in volume.name for part in wanted.values("name")))
        ]
        return {"Volumes": found, "Warnings": warnings or None}

    async def _plugin_lists(self) -> Sequence[tuple[str, Sequence[Found] | str]]:
        async def ask(plugin: str) -> Sequence[Found] | str:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    return await (await self._driver(plugin)).list()
            except NotFound:
                return ()
            except TimeoutError:
                return f"no answer within {_PROBE_SECONDS:g} seconds"
            except ScowError as error:
                return error.message

        names = self._plugins.names()
        return list(zip(names, await asyncio.gather(*(ask(name) for name in names)), strict=True)) if names else []

    # --------------------------------------------------------------- removal

    async def remove(self, name: str, force: bool = False) -> None:
        """Remove a volume nobody uses. Raises NotFound (unless `force`), Conflict while containers use it."""
        async with self._locks(name):
            try:
                volume = self.get(name) if name in self._table else await self.find(name)
            except NotFound:
                if force:
                    return
                raise
            users = sorted(self._refs.users("volume", name) | self._mounted_by(name))
            if users:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            try:
                await (await self._driver(volume.driver)).remove(name)
            except (PluginFailed, Unavailable, NotFound) as error:
                raise type(error)(f"remove {name}: {error.message}") from None
            self._table.delete(name)
            self._uses.pop(name, None)
            self._bus.publish("volume", "destroy", name, {"driver": volume.driver})

    async def prune(self, filters: Filters | str | None = None, anonymous_only: bool = True) -> dict[str, Any]:
        """Remove unused volumes: the anonymous ones, or all with the filter `all` (API < 1.42: `anonymous_only` False).

        As in Docker volumes with options and those of plugins stay: their files are elsewhere.

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
                if (anonymous_only and ANONYMOUS not in labels) or not _here(volume):
                    continue
                if not wanted.match_labels(labels) or _excluded(wanted, labels):
                    continue
                if self._refs.users("volume", volume.name) or self._mounted_by(volume.name):
                    continue
                size = await aio.in_pool(tree_size, self._local.path(volume.name))
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
            if (row := self._table.get(name)) is None:
                self._store(await self.find(name))
                row = self._table.get(name) or {}
            volume = self._load(name, row)
            use = self._uses.get(name) or _Use()
            place = await self._place(volume, user, use)
            if destination:
                facts = {"container": user, "destination": destination, "driver": volume.driver, "propagation": propagation}
                self._bus.publish("volume", "mount", name, facts | {"read/write": "true" if rw else "false"})
            use.users.setdefault(user, []).append(bool(destination))
            self._uses[name] = use
            return place

    async def _place(self, volume: Volume, user: str, use: _Use) -> Path:
        """Where the files are; the driver mounts at the first use (local) or at each user's first (plugins)."""
        name, local = volume.name, volume.driver == LocalDriver.name
        if use.users if local else user in use.users:
            return Path(volume.mountpoint)
        place = await (await self._driver(volume.driver)).mount(name, volume.options or {}, user)
        if not local and (row := self._table.get(name)) is not None:
            self._table.put(name, {**row, "mountpoint": str(place), "mounted": sorted({*row.get("mounted", ()), user})})
        return place

    async def unmount(self, name: str, user: str) -> None:
        """Give back one mount; the last one unmounts. A volume or user unknown here is fine; what a driver says no to is logged."""
        async with self._locks(name):
            use = self._uses.get(name)
            if use is None or user not in use.users:
                return
            told = use.users[user].pop()
            ended = not use.users[user]
            if ended:
                del use.users[user]
            if not use.users:
                del self._uses[name]
            row = self._table.get(name)
            if row is not None and ended:
                await self._give_back(self._load(name, row), user, last=not use.users)
            if told:
                self._bus.publish("volume", "unmount", name, {"container": user, "driver": row["driver"] if row else "local"})

    async def _give_back(self, volume: Volume, user: str, last: bool) -> None:
        name = volume.name
        try:
            await (await self._driver(volume.driver)).unmount(name, volume.options or {}, user, last)
        except (ScowError, OSError) as error:
            logger.warning("volume %s stays mounted for %s: %s", name, ids.short(user), error)
            return
        if volume.driver != LocalDriver.name and (row := self._table.get(name)) is not None:
            users = sorted({*row.get("mounted", ())} - {user})
            self._table.put(name, {**row, "mounted": users} | ({} if users else {"mountpoint": ""}))

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
            elif row["driver"] == LocalDriver.name and row.get("options"):
                try:
                    await aio.in_pool(self._local.unmount_all, name)
                except OSError as error:
                    logger.warning("volume %s stays mounted: %s", name, error)
            for user in sorted(set(row.get("mounted", ())) - users):
                # a plugin may be slow to answer, and boot waits for nobody
                self._tasks.start(self._late(name, user), f"unmount {name}")
        await aio.in_pool(self._local.sweep)

    async def _late(self, name: str, user: str) -> None:
        async with self._locks(name):
            row, use = self._table.get(name), self._uses.get(name)
            if row is not None and (use is None or user not in use.users):
                await self._give_back(self._load(name, row), user, last=use is None)

    async def copy_up(self, volume_path: Path | str, rootfs: Path | str, path: str) -> None:
        """Fill an empty volume with what the image has at `path`, owners, modes, times and attributes included.

        Raises InvalidArgument when a file is there.
        """
        await aio.in_pool(copyup.copy_up, str(volume_path), str(rootfs), path)

    async def disk_usage(self) -> Sequence[dict[str, Any]]:
        """Views with UsageData, for system df: the volumes whose files take this host's disk."""
        used = self._refs.used("volume")
        rows = []
        for volume in filter(_here, self.all()):
            size = await aio.in_pool(tree_size, self._local.path(volume.name))
            rows.append(self.view(volume) | {"UsageData": {"RefCount": len(used.get(volume.name, ())), "Size": size}})
        return rows


def _here(volume: Volume) -> bool:
    """Whether the files take this host's disk."""
    return volume.driver == LocalDriver.name and not volume.options


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
