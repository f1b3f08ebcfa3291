"""Engine events: typed, kept in a ring for `since`, handed to subscribers without ever waiting for one.

Published by the function that committed the change, after the commit. Read by `/events` and by services inside the daemon.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

RING = 256
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `kind` is Docker's Type (container, image, network, volume, daemon…)."""

    kind: str
    action: str
    actor_id: str
    attributes: Mapping[str, str]
    time_ns: int
    scope: str = "local"


class Subscription:
    """An endless async iterator of events; one that falls behind by thousands ends instead of growing."""

    def __init__(self, bus: "EventBus") -> None:
        self._bus = bus
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event) -> None:
        if self._queue.qsize() >= _BACKLOG:
            self.close()
        else:
            self._queue.put_nowait(event)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """Stop receiving; the iterator ends after what is queued."""
        self._bus.drop(self)
        self._queue.put_nowait(None)


class EventBus:
    """Publishes events to all subscribers and remembers the last ones."""

    def __init__(self) -> None:
        self._ring: deque[Event] = deque(maxlen=RING)
        self._subscribers: set[Subscription] = set()
        self._last_ns = 0

    def publish(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None, scope: str = "local") -> None:
        """Tell everybody. Times are strictly increasing, so that `since` never repeats an event."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        event = Event(kind, action, actor_id, dict(attributes or {}), self._last_ns, scope)
        self._ring.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber.put(event)

    def publish_cluster(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:
        """An event of the whole swarm."""
        self.publish(kind, action, actor_id, attributes, "swarm")

    def past(self) -> list[Event]:
        """The remembered events, oldest first."""
        return list(self._ring)

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscribers)

    def subscribe(self) -> Subscription:
        """Receive every event from now on, until `close`."""
        subscription = Subscription(self)
        self._subscribers.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        self._subscribers.discard(subscription)
