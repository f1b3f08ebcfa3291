"""What older API versions saw and sent differently: one module per version that changed something, applied as a chain.

`v1_NN.DOWN[kind](reply)` turns a reply of version NN into what NN-1 answered; `v1_NN.UP[kind](body)` turns a body of NN-1 into one of NN.
Both get values of their own and may change them in place.
"""

import functools
import importlib
import json
from collections.abc import Callable
from typing import Any

import orjson

from scow.api import MAX_VERSION, MIN_VERSION

CHANGED = (50, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 25)

Change = Callable[[Any], Any]


@functools.cache
def _module(minor: int) -> tuple[dict[str, Change], dict[str, Change]]:
    module = importlib.import_module(f"scow.api.versions.v1_{minor}")
    return getattr(module, "DOWN", {}), getattr(module, "UP", {})


@functools.cache
def _down(kind: str, version: int) -> tuple[Change, ...]:
    steps = [_module(minor)[0].get(kind) for minor in CHANGED if minor > version]
    return tuple(step for step in steps if step is not None)


@functools.cache
def _up(kind: str, version: int) -> tuple[Change, ...]:
    steps = [_module(minor)[1].get(kind) for minor in reversed(CHANGED) if minor > version]
    return tuple(step for step in steps if step is not None)


def _own(value: Any) -> Any:
    """A copy to change: replies may be shared with later requests."""
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError):
        return json.loads(json.dumps(value, default=str))


def same(kind: str, version: int) -> bool:
    """Whether `version` knew the reply as it is now."""
    return not _down(kind, version)


def downgrade(kind: str, value: Any, version: int) -> Any:
    """The reply as `version` (minor, below the newest) knew it."""
    assert MIN_VERSION <= version <= MAX_VERSION
    steps = _down(kind, version)
    if not steps:
        return value
    value = _own(value)
    for step in steps:
        value = step(value)
    return value


def upgrade(kind: str, value: Any, version: int) -> Any:
    """A request body of `version` as the newest version would write it."""
    if not isinstance(value, dict):
        return value
    for step in _up(kind, version):
        value = step(value)
    return value
