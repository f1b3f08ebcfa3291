"""The store in memory: for tests, for the simulation, and as the copy that an etcd store reads from.

Tables are plain dictionaries with indexes beside them; a transaction keeps its writes apart until it commits. All of it runs on one event
loop, so a commit is one step that nobody sees half of.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar, cast

from scow.errors import Conflict, InvalidArgument
from scow.swarm.objects import KINDS, Cluster, Config, Network, Node, Object, Secret, Service, Task
from scow.swarm.store.store import Change, NameTaken, NoObject, OutOfSequence, Reader, Resync, Tx
from scow.swarm.wording import rpc

T = TypeVar("T")
O = TypeVar("O", bound=Object)  # noqa: E741

_MAX_BEHIND = 10_000

INDEXES: dict[str, dict[str, Callable[[Any], Iterable[str]]]] = {
    Task.kind: {
        "service": lambda task: (task.service_id,),
        "node": lambda task: (task.node_id,) if task.node_id else (),
        "slot": lambda task: (task.slot_key,),
        "name": lambda task: (task.name,),
    },
    Service.kind: {"name": lambda service: (service.name,), "network": lambda service: service.network_ids},
    Node.kind: {"name": lambda node: (node.hostname,) if node.hostname else ()},
    Network.kind: {"name": lambda network: (network.name,)},
    Secret.kind: {"name": lambda secret: (secret.name,)},
    Config.kind: {"name": lambda config: (config.name,)},
    Cluster.kind: {},
}
# an update that leaves these as they are leaves an object's keys as they are
_KEYED: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    Task.kind: attrgetter("service_id", "service_name", "node_id", "slot"),
    Node.kind: attrgetter("description", "id"),
    **{kind: attrgetter("spec", "id") for kind in (Service.kind, Network.kind, Secret.kind, Config.kind, Cluster.kind)},
}
_UNIQUE = {Service.kind: "name", Network.kind: "name", Secret.kind: "name", Config.kind: "name"}
_WORDS = {Service.kind: "service", Network.kind: "network", Secret.kind: "secret", Config.kind: "config"}


class Table:
    """The objects of a kind with their indexes."""

    def __init__(self, kind: str) -> None:
        self._indexers = INDEXES[kind]
        self._keyed = _KEYED[kind]
        self.objects: dict[str, Object] = {}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in self._indexers}

    def put(self, obj: Object) -> None:
        """Add or replace."""
        old = self.objects.get(obj.id)
        if old is not None and self._keyed(old) == self._keyed(obj):
            self.objects[obj.id] = obj
            return
        for name, keys_of in self._indexers.items():
            index = self._indexes[name]
            before = tuple(keys_of(old)) if old is not None else ()
            after = tuple(keys_of(obj))
            if before == after:
                continue
            self._drop(index, before, obj.id)
            for key in after:
                index.setdefault(key, {})[obj.id] = None
        self.objects[obj.id] = obj

    def pop(self, id: str) -> None:
        """Remove; absent is fine."""
        old = self.objects.pop(id, None)
        if old is not None:
            for name, keys_of in self._indexers.items():
                self._drop(self._indexes[name], keys_of(old), id)

    @staticmethod
    def _drop(index: dict[str, dict[str, None]], keys: Iterable[str], id: str) -> None:
        for key in keys:
            ids = index.get(key)
            if ids is not None:
                ids.pop(id, None)
                if not ids:
                    del index[key]

    def ids(self, index: str, key: str) -> list[str]:
        """Ids under a key of an index."""
        return list(self._indexes[index].get(key, ()))

    def keys(self, index: str, obj: Object) -> tuple[str, ...]:
        """The keys of an object in an index."""
        return tuple(self._indexers[index](obj))


class Tables:
    """All tables; reading (`store.Reader`)."""

    def __init__(self) -> None:
        self.tables = {kind: Table(kind) for kind in KINDS}

    def get(self, cls: type[O], id: str) -> O | None:
        """See Reader."""
        return self.tables[cls.kind].objects.get(id)  # type: ignore[return-value]

    def all(self, cls: type[O]) -> list[O]:
        """See Reader."""
        return cast("list[O]", list(self.tables[cls.kind].objects.values()))

    def by(self, cls: type[O], index: str, key: str) -> list[O]:
        """See Reader."""
        table = self.tables[cls.kind]
        return cast("list[O]", [table.objects[id] for id in table.ids(index, key)])

    def find(self, cls: type[O], ref: str) -> O:
        """See Reader."""
        return find(self, cls, ref)


def find(reader: Reader, cls: type[O], ref: str) -> O:
    """By id, name or unique id prefix. Raises NoObject, InvalidArgument."""
    found = reader.get(cls, ref)
    if found is not None:
        return found
    if "name" in INDEXES[cls.kind]:
        named = reader.by(cls, "name", ref)
        if len(named) > 1:
            raise InvalidArgument(f"{cls.kind} {ref} is ambiguous ({len(named)} matches found)")
        if named:
            return named[0]
    starts = [one for one in reader.all(cls) if ref and one.id.startswith(ref)]
    if len(starts) > 1:
        raise InvalidArgument(f"{cls.kind} {ref} is ambiguous ({len(starts)} matches found)")
    if not starts:
        raise NoObject(f"{cls.kind} {ref} not found")
    return starts[0]


def _spec_index(before: Object | None, now: Object, version: int) -> int:
    """The version at which the wishes of an object last changed. Of one that was stored without it the version that it had is taken:
    they cannot have changed after that."""
    if before is None or any(getattr(before, name) != getattr(now, name) for name in now.wishes):
        return version
    return before.spec_index or before.version


class Transaction:
    """Writes kept apart from the tables until they are committed (`store.Tx`)."""

    def __init__(self, tables: Tables, now_ns: int) -> None:
        self._tables = tables
        self._now = now_ns
        self.written: dict[tuple[str, str], Object | None] = {}
        self._of_kind: dict[str, dict[str, Object | None]] = {}
        self._staged: dict[tuple[str, str], Object | None] = {}

    def _write(self, kind: str, id: str, obj: Object | None) -> None:
        self.written[kind, id] = obj
        self._of_kind.setdefault(kind, {})[id] = obj

    def get(self, cls: type[O], id: str) -> O | None:
        """See Reader."""
        mine = self._of_kind.get(cls.kind)
        if mine is not None and id in mine:
            return mine[id]  # type: ignore[return-value]
        return self._tables.get(cls, id)

    def all(self, cls: type[O]) -> list[O]:
        """See Reader."""
        mine = self._of_kind.get(cls.kind)
        if mine is None:
            return self._tables.all(cls)
        found = {one.id: one for one in self._tables.all(cls)}
        for id, obj in mine.items():
            if obj is None:
                found.pop(id, None)
            else:
                found[id] = cast("O", obj)
        return list(found.values())

    def by(self, cls: type[O], index: str, key: str) -> list[O]:
        """See Reader."""
        mine = self._of_kind.get(cls.kind)
        if mine is None:
            return self._tables.by(cls, index, key)
        table = self._tables.tables[cls.kind]
        found = {one.id: one for one in self._tables.by(cls, index, key)}
        for id, obj in mine.items():
            found.pop(id, None)
            if obj is not None and key in table.keys(index, obj):
                found[id] = cast("O", obj)
        return list(found.values())

    def find(self, cls: type[O], ref: str) -> O:
        """See Reader."""
        return find(self, cls, ref)

    def _check_name(self, obj: Object) -> None:
        index = _UNIQUE.get(obj.kind)
        if index is None:
            return
        name = str(getattr(obj, "name", ""))
        if any(other.id != obj.id for other in self.by(type(obj), index, name)):
            word = _WORDS[obj.kind]
            if obj.kind == Service.kind:
                raise NameTaken(rpc("AlreadyExists", f"name conflicts with an existing object: service {name} already exists"))
            if obj.kind == Network.kind:
                raise NameTaken(f"network with name {name} already exists")
            raise NameTaken(rpc("AlreadyExists", f"{word} {name} already exists"))

    def create(self, obj: Object) -> None:
        """See Tx."""
        if self.get(type(obj), obj.id) is not None:
            raise Conflict(f"{obj.kind} {obj.id} exists already")
        self._check_name(obj)
        self._write(obj.kind, obj.id, obj.changed(version=0, created_ns=obj.created_ns or self._now))

    def update(self, obj: Object) -> None:
        """See Tx."""
        current = self.get(type(obj), obj.id)
        if current is None:
            raise NoObject(f"{obj.kind} {obj.id} not found")
        if current.version != obj.version:
            raise OutOfSequence
        self._check_name(obj)
        self._write(obj.kind, obj.id, obj)

    def delete(self, cls: type[Object], id: str) -> None:
        """See Tx."""
        if self.get(cls, id) is None:
            raise NoObject(f"{cls.kind} {id} not found")
        self._write(cls.kind, id, None)

    def commit(self, version: int) -> dict[tuple[str, str], Object | None]:
        """What was written, as it is at the commit `version`."""
        return {place: None if obj is None else self._committed(place, obj, version) for place, obj in self.written.items()}

    def _committed(self, place: tuple[str, str], obj: Object, version: int) -> Object:
        if not obj.wishes:
            return obj.changed(version=version, updated_ns=self._now)
        kind, id = place
        before = self._staged[place] if place in self._staged else self._tables.tables[kind].objects.get(id)
        return obj.changed(version=version, updated_ns=self._now, spec_index=_spec_index(before, obj, version))

    def stage(self, version: int) -> dict[tuple[str, str], Object | None]:
        """The same for one of several writers that commit together: the next finds it so, and `written` is the next one's."""
        part = self.commit(version)
        for (kind, id), obj in part.items():
            self._of_kind[kind][id] = obj
        self._staged |= part
        self.written = {}
        return part

    def drop(self) -> None:
        """Forget what was written since the last `stage`."""
        for kind, id in self.written:
            if (kind, id) in self._staged:
                self._of_kind[kind][id] = self._staged[kind, id]
            else:
                del self._of_kind[kind][id]
        self.written = {}


class MemorySubscription:
    """A queue of commits (`store.Subscription`)."""

    def __init__(self, kinds: frozenset[str], forget: Callable[["MemorySubscription"], None]) -> None:
        self._kinds = kinds
        self._forget = forget
        self._queue: deque[tuple[Change, ...]] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._lost = False

    def offer(self, changes: tuple[Change, ...], kinds: frozenset[str]) -> None:
        """A commit happened; `kinds`: of what is in it."""
        wanted = changes
        if self._kinds and not kinds <= self._kinds:
            wanted = tuple(change for change in changes if change.kind in self._kinds) if kinds & self._kinds else ()
        if not wanted:
            return
        if len(self._queue) >= _MAX_BEHIND:
            self._queue.clear()
            self._lost = True
        self._queue.append(wanted)
        self._ready.set()

    def pending(self) -> list[tuple[Change, ...]]:
        """What has come so far, at once. Raises Resync."""
        if self._lost:
            self._lost = False
            raise Resync
        found = list(self._queue)
        self._queue.clear()
        self._ready.clear()
        return found

    async def __aiter__(self) -> AsyncIterator[tuple[Change, ...]]:
        while not self._closed:
            await self._ready.wait()
            for changes in self.pending():
                yield changes

    def close(self) -> None:
        """See Subscription."""
        self._closed = True
        self._ready.set()
        self._forget(self)


class MemoryStore(Tables):
    """A store of one process (`store.Store`)."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__()
        self._now = now_ns
        self._version = 0
        self._subscriptions: list[MemorySubscription] = []

    @property
    def version(self) -> int:
        """See Store."""
        return self._version

    def begin(self) -> Transaction:
        """A transaction on what is stored now; `show` makes visible what its `commit` gives."""
        return Transaction(self, self._now())

    async def fresh(self) -> None:
        """See Store."""

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """See Store."""
        tx = self.begin()
        result = fn(tx)
        if tx.written:
            version = self._version + 1
            self.show(tx.commit(version), version)
        return result

    def show(self, written: Mapping[tuple[str, str], Object | None], version: int) -> None:
        """Make objects, which have their versions, visible as they are at the commit `version`, and tell the watchers."""
        self._version = version
        changes: list[Change] = []
        for (kind, id), obj in written.items():
            table = self.tables[kind]
            old = table.objects.get(id)
            if obj is None:
                table.pop(id)
                if old is not None:
                    changes.append(Change(old, None))
            else:
                table.put(obj)
                changes.append(Change(old, obj))
        told = tuple(changes)
        kinds = frozenset(change.kind for change in told)
        for subscription in list(self._subscriptions):
            subscription.offer(told, kinds)

    def watch(self, *kinds: type[Object]) -> MemorySubscription:
        """See Store."""
        made = MemorySubscription(frozenset(cls.kind for cls in kinds), self._forget)
        self._subscriptions.append(made)
        return made

    def _forget(self, subscription: MemorySubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
