"""`GET /containers/json`: choosing containers by filters, in Docker's order (newest first) and with its errors.

Reads the live objects of the store; nothing is stored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from scow import ids
from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.containers.view import View
from scow.errors import InvalidArgument, NotFound
from scow.filters import Filters

ACCEPTED = frozenset(
    {
        *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation"),
        *("label", "name", "network", "publish", "since", "status", "volume"),
    }
)
_HEALTH = frozenset({"starting", "healthy", "unhealthy", "none"})
_NUMBER = re.compile(r"[+-]?\d{1,10}\Z", re.ASCII)
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Parameters of the list: `all` also those that don't run, `limit` the newest n of any state (0 = no limit), `size` with sizes."""

    all: bool = False
    limit: int = 0
    size: bool = False
    filters: Filters = Filters()


class Image(Protocol):
    """The part of an Image used here."""

    @property
    def id(self) -> str: ...
    @property
    def diff_ids(self) -> list[str] | tuple[str, ...]: ...


class Images(Protocol):
    """The part of ImageService used here. `get` raises NotFound."""

    def get(self, ref: str, /) -> Image: ...
    def leads_to(self, ref: str, id: str) -> bool: ...


class Store(Protocol):
    """The part of the container store used here."""

    def all(self) -> list[Container]: ...
    def get(self, ref: str) -> Container: ...
    def extra_names(self) -> dict[str, list[str]]: ...


Test = Callable[[Container], bool]


class Listing:
    """Lists containers for the API."""

    def __init__(self, store: Store, images: Images, view: View) -> None:
        self._store = store
        self._images = images
        self._view = view

    def encoded(self, query: ListQuery) -> bytes:
        """The reply of a list without sizes, encoded. Raises InvalidArgument, NotFound (before, since)."""
        extra = self._store.extra_names()
        shown: dict[tuple[str, str], str] = {}
        summary = self._view.summary_bytes
        return b"[%b]" % b",".join([summary(found, self._shown_image(found, shown), extra.get(found.id)) for found in self.select(query)])

    async def entries(self, query: ListQuery) -> list[dict[str, Any]]:
        """The reply as dicts, with sizes if asked for. Raises as `encoded`."""
        if not query.size:
            rows: list[dict[str, Any]] = orjson.loads(self.encoded(query))
            return rows
        extra = self._store.extra_names()
        shown: dict[tuple[str, str], str] = {}
        out = []
        for found in self.select(query):
            try:
                out.append(await self._view.summary_sized(found, self._shown_image(found, shown), extra.get(found.id)))
            except NotFound:  # removed while the others were measured
                continue
        return out

    def _shown_image(self, container: Container, shown: dict[tuple[str, str], str]) -> str:
        """The name the image was asked by, while it still leads there; else the id."""
        key = (container.image_ref, container.image_id)
        found = shown.get(key)
        if found is None:
            found = container.image_id
            try:
                if container.image_ref and self._images.leads_to(container.image_ref, container.image_id):
                    found = container.image_ref
            except (NotFound, InvalidArgument):
                pass
            shown[key] = found
        return found

    def select(self, query: ListQuery) -> list[Container]:
        """The containers that a query means, newest first."""
        containers = self._store.all()
        filters = query.filters
        if not filters:
            if not query.all and query.limit <= 0:
                containers = [found for found in containers if found.state.running]
            return containers[: query.limit] if query.limit > 0 else containers
        every = query.all or query.limit > 0 or "status" in filters
        tests = self._tests(filters)
        containers = self._span(filters, containers)
        chosen: list[Container] = []
        for found in containers:
            if query.limit > 0 and len(chosen) == query.limit:
                break
            if (every or found.state.running) and all(test(found) for test in tests):
                chosen.append(found)
        return chosen

    def _span(self, filters: Filters, containers: list[Container]) -> list[Container]:
        """Those between `since` and `before`."""
        for ref in sorted(filters.values("before")):
            created = self._store.get(ref).created_ns
            containers = [found for found in containers if found.created_ns < created]
        for ref in sorted(filters.values("since")):
            created = self._store.get(ref).created_ns
            containers = [found for found in containers if found.created_ns > created]
        return containers

    def _tests(self, filters: Filters) -> list[Test]:
        makers: Mapping[str, Callable[[Filters], Test]] = {
            "ancestor": self._ancestor,
            "exited": _exited,
            "expose": _expose,
            "health": _health,
            "id": _id,
            "is-task": _is_task,
            "label": lambda given: lambda found: given.match_labels(found.config.labels),
            "name": self._name,
            "network": _network,
            "publish": self._publish,
            "status": _status,
            "volume": _volume,
        }
        return [maker(filters) for key, maker in makers.items() if key in filters]

    def _publish(self, filters: Filters) -> Test:
        wanted = _ports(filters, "publish")
        return lambda found: not wanted.isdisjoint(self._view.published(found))

    def _name(self, filters: Filters) -> Test:
        filters.match_regex("name", "")  # a bad pattern is refused even where no container is
        extra = self._store.extra_names()

        def test(found: Container) -> bool:
            if filters.match_regex("name", found.name) or filters.match_regex("name", f"/{found.name}"):
                return True
            return any(filters.match_regex("name", name) for name in extra.get(found.id, ()))

        return test

    def _ancestor(self, filters: Filters) -> Test:
        wanted: set[str] = set()
        chains: list[tuple[str, ...]] = []
        for ref in filters.values("ancestor"):
            try:
                image = self._images.get(ref)
            except (NotFound, InvalidArgument):
                continue
            wanted.add(image.id)
            if image.diff_ids:
                chains.append(tuple(image.diff_ids))
        known: dict[str, bool] = {}

        def descends(image_id: str) -> bool:
            try:
                layers = tuple(self._images.get(image_id).diff_ids)
            except (NotFound, InvalidArgument):
                return False
            return any(len(layers) > len(chain) and layers[: len(chain)] == chain for chain in chains)

        def test(found: Container) -> bool:
            if found.image_id in wanted:
                return True
            if found.image_id not in known:
                known[found.image_id] = descends(found.image_id)
            return known[found.image_id]

        return test


def _bad(key: str, value: str) -> InvalidArgument:
    return InvalidArgument(f"invalid filter '{key}={value[:200]}'")


def _exited(filters: Filters) -> Test:
    codes = set()
    for value in filters.values("exited"):
        if not _NUMBER.match(value):
            raise _bad("exited", value)
        codes.add(int(value))
    return lambda found: not found.state.running and found.state.finished_ns != 0 and found.state.exit_code in codes


def _status(filters: Filters) -> Test:
    wanted = filters.values("status")
    for value in wanted:
        if value not in set(Status):
            raise _bad("status", value)
    return lambda found: str(found.state.status) in wanted


def _health(filters: Filters) -> Test:
    wanted = filters.values("health")
    for value in wanted:
        if value not in _HEALTH:
            raise _bad("health", value)
    return lambda found: (found.state.health.status if found.state.health is not None else "none") in wanted


def _is_task(filters: Filters) -> Test:
    wanted = filters.boolean("is-task", False)
    return lambda found: ("com.docker.swarm.task.id" in found.config.labels) == wanted


def _id(filters: Filters) -> Test:
    wanted = filters.values("id")
    if all(re.fullmatch(r"[0-9a-f]{1,64}", value) for value in wanted):
        return lambda found: any(value in found.id for value in wanted)
    filters.match_regex("id", ids.short(""))
    return lambda found: filters.match_regex("id", found.id)


def _ports(filters: Filters, key: str) -> frozenset[str]:
    out: set[str] = set()
    for value in filters.values(key):
        if ":" in value:
            raise InvalidArgument(f"filter for '{key}' should not contain ':': {value[:200]}")
        match = _PORTS.match(value)
        if match is None:
            raise InvalidArgument(f"error while looking up for {key} {value[:200]}: invalid port")
        low, high, protocol = int(match[1]), int(match[2] or match[1]), match[3] or "tcp"
        if not low <= high <= 65535:
            raise InvalidArgument(f"error while looking up for {key} {value[:200]}: invalid port range")
        out.update(f"{port}/{protocol}" for port in range(low, high + 1))
    return frozenset(out)


def _expose(filters: Filters) -> Test:
    wanted = _ports(filters, "expose")
    return lambda found: not wanted.isdisjoint(found.config.exposed_ports)


def _volume(filters: Filters) -> Test:
    wanted = filters.values("volume")

    def test(found: Container) -> bool:
        return any(mount.destination in wanted or (mount.name or mount.source) in wanted for mount in found.mounts)

    return test


def _network(filters: Filters) -> Test:
    wanted = filters.values("network")

    def test(found: Container) -> bool:
        for name, value in found.networks.items():
            if name in wanted or (value.network_id and any(want and value.network_id.startswith(want) for want in wanted)):
                return True
        return False

    return test
