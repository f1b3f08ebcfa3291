"""The labels that ask for automatic scaling (`scow.autoscale.*`; `deploy.x-autoscale` of stacks). Pure; read by managers and by the client.

`.min`, `.max`; one or more targets: `.cpu` (percent of the task's CPU limit, of one CPU without), `.memory` (percent of its memory
limit), `.connections` (per task); `.window` (how long is looked back, 30s) and `.cooldown` (between two steps, 30s).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scow import units
from scow.errors import InvalidArgument
from scow.opts.suggest import nearest

PREFIX = "scow.autoscale."
TARGETS = ("cpu", "memory", "connections")
MAX_REPLICAS = 100_000
_REPLICAS = f"number of replicas from 1 to {MAX_REPLICAS}"
_WINDOW_NS = 30 * 10**9
_COOLDOWN_NS = 30 * 10**9
_LONGEST_NS = 3600 * 10**9
_PERCENT = ("cpu", "memory")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Policy:
    """What a service asks for. `targets`: metric → value at which one replica is just right."""

    least: int
    most: int
    targets: Mapping[str, float]
    window_ns: int = _WINDOW_NS
    cooldown_ns: int = _COOLDOWN_NS


def policy_of(labels: Mapping[str, str]) -> Policy | None:
    """The policy in a service's labels, None without. Raises InvalidArgument with the label's name."""
    given = {key.removeprefix(PREFIX): value for key, value in labels.items() if key.startswith(PREFIX)}
    if not given:
        return None
    known = {"min", "max", "window", "cooldown", *TARGETS}
    if unknown := sorted(set(given) - known):
        near = nearest(unknown[0], known, 1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise InvalidArgument(f"unknown label {PREFIX}{unknown[0]}: {hint}")

    def number(name: str, default: float) -> float:
        text = given.get(name, "")
        if not text and name not in TARGETS:
            return default
        plain = text.removesuffix("%") if name in _PERCENT else text
        value = float(plain) if len(text) < _LONGEST and _NUMBER.fullmatch(plain) else -1.0
        if not 0 < value < 1e9:
            unit = "percentage above 0" if name in _PERCENT else "number above 0" if name in TARGETS else _REPLICAS
            raise InvalidArgument(f"label {PREFIX}{name}={text[:_LONGEST]!r} is no {unit}")
        return value

    def whole(name: str, default: int) -> int:
        value = number(name, default)
        if value != int(value) or value > MAX_REPLICAS:
            raise InvalidArgument(f"label {PREFIX}{name}={given[name]!r} is no {_REPLICAS}")
        return int(value)

    def duration(name: str, default: int, least: int) -> int:
        if not given.get(name):
            return default
        try:
            value = units.parse_duration(given[name])
        except InvalidArgument as error:
            raise InvalidArgument(f"label {PREFIX}{name}: {error.message}") from None
        if not least <= value <= _LONGEST_NS:
            raise InvalidArgument(f"label {PREFIX}{name}={given[name][:_LONGEST]!r} is not between {least // 10**9}s and 1h")
        return value

    targets = {name: number(name, 0) for name in TARGETS if name in given}
    if not targets:
        raise InvalidArgument(f"autoscaling needs a target: one of the labels {', '.join(PREFIX + name for name in TARGETS)}")
    least = whole("min", 1)
    most = whole("max", max(10, least))
    if least > most:
        raise InvalidArgument(f"label {PREFIX}min={least} is above {PREFIX}max={most}")
    return Policy(least, most, targets, duration("window", _WINDOW_NS, 10**9), duration("cooldown", _COOLDOWN_NS, 0))
