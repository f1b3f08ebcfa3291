"""Small steps used by several versions. Everything tolerates replies and bodies of unexpected shape: those are judged elsewhere."""

from collections.abc import Callable, Iterator
from typing import Any

Change = Callable[[Any], Any]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list, or the one object."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def key_of(body: dict[str, Any], name: str) -> str | None:
    """The key as the client spelled it (keys match without regard to case)."""
    lower = name.lower()
    return next((key for key in body if key.lower() == lower), None)


def child(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """A nested object, {} when it is not there."""
    value: Any = body
    for name in names:
        key = key_of(value, name)
        value = value.get(key) if key is not None else None
        if not isinstance(value, dict):
            return {}
    return value if isinstance(value, dict) else {}


def held(body: dict[str, Any], name: str) -> dict[str, Any]:
    """A nested object, made when it is missing or null (one of a wrong type stays, for the decoder to refuse)."""
    key = key_of(body, name) or name
    if body.get(key) is None:
        body[key] = {}
    value = body[key]
    return value if isinstance(value, dict) else {}


def drop(body: dict[str, Any], *names: str) -> None:
    """Remove keys, however spelled."""
    for name in names:
        while (key := key_of(body, name)) is not None:
            del body[key]


def default(body: dict[str, Any], name: str, value: Any) -> None:
    """Set a key that is absent, null or empty."""
    key = key_of(body, name)
    if key is None or not body[key]:
        body[key or name] = value


def endpoints(reply: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The endpoint settings of an inspect reply or of an entry of the container list."""
    networks = child(reply, "NetworkSettings", "Networks")
    yield from (endpoint for endpoint in networks.values() if isinstance(endpoint, dict))


def without(*names: str) -> Change:
    """A change that removes top-level keys from every object."""

    def change(value: Any) -> Any:
        for item in objects(value):
            for name in names:
                item.pop(name, None)
        return value

    return change
