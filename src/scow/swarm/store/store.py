"""What a store promises.

Reading is synchronous and sees the last commit that this node knows of. A write runs a plain function on a transaction; when another
writer was faster it runs again, so it must have no effects besides the transaction. Watchers see every change in the order of commits.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scow.errors import Conflict, InvalidArgument, NotFound, Unavailable
from scow.swarm.objects import Object
from scow.swarm.wording import rpc

T = TypeVar("T")
O = TypeVar("O", bound=Object)  # noqa: E741


class OutOfSequence(InvalidArgument):
    """The writer does not know what is stored: within a transaction any other version, of a client's request see `Object.unseen`."""

    def __init__(self) -> None:
        super().__init__(rpc("Unknown", "update out of sequence"))


class NameTaken(Conflict):
    """Another object of the kind has this name."""


class NoObject(NotFound):
    """No such object."""


class NoLeader(Unavailable):
    """Nobody can commit now."""

    def __init__(self) -> None:
        super().__init__(
            rpc(
                "Unknown",
                "The swarm does not have a leader. It's possible that too few managers are online. "
                "Make sure more than half of the managers are online.",
            )
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One object at one commit: made (`old` None), changed, or removed (`new` None)."""

    old: Object | None
    new: Object | None

    @property
    def kind(self) -> str:
        """The object's kind."""
        return self.object.kind

    @property
    def object(self) -> Object:
        """The object as it is, or was last."""
        found = self.new or self.old
        assert found is not None
        return found


class Reader(Protocol):
    """Objects by kind, id and index. What is given back is frozen; an answer holds until the next await."""

    def get(self, cls: type[O], id: str) -> O | None:
        """The object, or None."""

    def all(self, cls: type[O]) -> list[O]:
        """Every object of a kind."""

    def by(self, cls: type[O], index: str, key: str) -> list[O]:
        """Objects whose `index` (see memory.INDEXES: name, service, node, slot …) is `key`."""

    def find(self, cls: type[O], ref: str) -> O:
        """By id, name or unique id prefix. Raises NoObject, InvalidArgument (ambiguous)."""


class Tx(Reader, Protocol):
    """A transaction: a reader that sees its own writes."""

    def create(self, obj: Object) -> None:
        """Raises NameTaken, Conflict (the id exists)."""

    def update(self, obj: Object) -> None:
        """Replace. Raises OutOfSequence when `obj.version` is not the stored one, NoObject."""

    def delete(self, cls: type[Object], id: str) -> None:
        """Raises NoObject."""


class Subscription(Protocol):
    """Changes from the moment of subscribing. Iteration ends with `close`. A reader that falls far behind gets `Resync` raised."""

    def __aiter__(self) -> AsyncIterator[tuple[Change, ...]]:
        """The changes of a commit at a time."""

    def close(self) -> None:
        """No more changes."""


class Resync(Unavailable):
    """Changes were lost to this watcher: read everything again."""

    def __init__(self) -> None:
        super().__init__("changes came faster than they were read: read everything again")


class Store(Reader, Protocol):
    """The cluster's objects."""

    @property
    def version(self) -> int:
        """Counter of commits."""

    async def fresh(self) -> None:
        """Reading shows from here on what was acknowledged anywhere until now. Raises NoLeader."""

    async def update(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a transaction and commit what it wrote. Raises what `fn` raises (nothing is written then), NoLeader."""

    def watch(self, *kinds: type[Object]) -> Subscription:
        """Subscribe to changes of these kinds, of all without any."""
