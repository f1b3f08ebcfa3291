"""/events: the past from the bus's ring, then what happens, filtered, one JSON object a line."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from scow.api.call import Call
from scow.api.wire import dumps
from scow.errors import InvalidArgument
from scow.events import Event, EventBus
from scow.filters import Filters
from scow.http.messages import Response
from scow.units import parse_timestamp

ACCEPTED = {
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume",
}  # fmt: skip
_PREFIX_ACTIONS = ("exec_create", "exec_start", "health_status", "exec_die")
_OWN_NAMES = ("container", "daemon", "plugin", "volume", "network", "node", "service", "secret", "config")


def document(event: Event) -> dict[str, Any]:
    """The wire form, with the fields that clients below 1.52 need."""
    attributes = dict(event.attributes)
    out: dict[str, Any] = {}
    if event.kind == "container":
        out = {"status": event.action, "id": event.actor_id, "from": attributes.get("image", "")}
    elif event.kind == "image":
        out = {"status": event.action, "id": event.actor_id}
    out |= {
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": attributes},
        "scope": event.scope,
        "time": event.time_ns // 1_000_000_000,
        "timeNano": event.time_ns,
    }
    return out


def matches(event: Event, filters: Filters) -> bool:
    """Whether the event passes the filters."""
    if not filters:
        return True
    return (
        _action(event, filters)
        and filters.match("type", event.kind)
        and filters.match("scope", event.scope)
        and all(_named(event, kind, filters) for kind in _OWN_NAMES)
        and _image(event, filters)
        and filters.match_labels(event.attributes)
    )


def _action(event: Event, filters: Filters) -> bool:
    if filters.match("event", event.action):
        return True
    head = event.action.partition(":")[0]
    return head in _PREFIX_ACTIONS and filters.match("event", head)


def _named(event: Event, kind: str, filters: Filters) -> bool:
    """A filter like container= takes the id, its beginning, or the name, of events of that kind only (networks also match their own)."""
    wanted = filters.values(kind)
    if not wanted:
        return True
    if event.kind != kind:
        return False
    return _same(wanted, event.actor_id, event.attributes)


def _same(wanted: frozenset[str], actor_id: str, attributes: Mapping[str, str]) -> bool:
    name = attributes.get("name", "")
    return any(value and (actor_id.startswith(value) or name == value.removeprefix("/") or name.startswith(value)) for value in wanted)


def _image(event: Event, filters: Filters) -> bool:
    wanted = filters.values("image")
    if not wanted:
        return True
    name = event.attributes.get("image" if event.kind != "image" else "name", "")
    candidates = {event.actor_id, name, _untagged(name)} if event.kind == "image" else {name, _untagged(name)}
    return any(value in candidates or (_untagged(value) in candidates and ":" not in value.rpartition("/")[2]) for value in wanted)


def _untagged(name: str) -> str:
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition("@")[0].partition(":")[0]


def _moment(call: Call, name: str) -> int | None:
    """Nanoseconds, None when not given. Raises InvalidArgument."""
    text = call.query.text(name)
    return parse_timestamp(text) if text else None


async def stream(call: Call, bus: EventBus) -> Response | None:
    """Answer /events."""
    filters = call.query.filters(ACCEPTED)
    since, until = _moment(call, "since"), _moment(call, "until")
    if until is not None and until < (since or 0):
        raise InvalidArgument(f"`since` time ({call.query.text('since')}) cannot be after `until` time ({call.query.text('until')})")
    only_past = until is not None and until <= time.time_ns()
    subscription = None if only_past else bus.subscribe()
    past: list[Event] = []
    if since is not None or until is not None:  # an `until` of 0 cuts nothing off, as in Docker
        past = [event for event in bus.past() if event.time_ns >= (since or 0) and (not until or event.time_ns <= until)]
    last = past[-1].time_ns if past else 0
    try:
        writer = await call.stream()
        text = b"".join(dumps(document(event)) for event in past if matches(event, filters))
        await writer.write(text)
        if subscription is not None:
            deadline = None if until is None else asyncio.get_running_loop().time() + (until - time.time_ns()) / 1e9
            try:
                async with asyncio.timeout_at(deadline):
                    async for event in subscription:
                        if event.time_ns > last and matches(event, filters):
                            await writer.write(dumps(document(event)))
            except TimeoutError:
                pass
        await writer.end()
    finally:
        if subscription is not None:
            subscription.close()
    return None
