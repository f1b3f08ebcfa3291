"""Device rules of the control group: `c 1:3 rwm`."""

import re
from dataclasses import dataclass

from scow.errors import InvalidArgument

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})\Z")


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """A rule that allows; major or minor None = any."""

    kind: str
    major: int | None
    minor: int | None
    access: str


def parse_rule(text: str) -> DeviceRule:
    """Read one rule. Raises InvalidArgument."""
    found = _RULE.match(text)
    if found is None:
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    major, minor = (None if part == "*" else int(part) for part in found.group(2, 3))
    if any(n is not None and n >= 1 << 32 for n in (major, minor)):
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    return DeviceRule(found[1], major, minor, found[4])


def check_permissions(text: str) -> None:
    """Refuse a mode of a device other than letters of `rwm`. Raises InvalidArgument."""
    if any(letter not in "rwm" for letter in text) or len(set(text)) != len(text):
        raise InvalidArgument(f"invalid device mode: {text}")
