"""`--device`, `--gpus`, the blkio and device-rate flags."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import InvalidArgument
from scow.opts.mounts import fields_of
from scow.units import parse_size


def is_cdi(text: str) -> bool:
    """Whether a --device names a CDI device (`vendor.com/class=name`)."""
    head, sep, name = text.partition("=")
    vendor, slash, kind = head.partition("/")
    return bool(sep and slash and name and vendor and kind) and not text.startswith("/")


def parse_device(text: str) -> dict[str, str]:
    """The API's DeviceMapping of `host[:container[:rwm]]`. Raises InvalidArgument."""
    parts = text.split(":")

    def is_mode(word: str) -> bool:
        return bool(word) and not word.strip("rwm") and len(set(word)) == len(word)

    if len(parts) > 3 or not parts[0]:
        raise InvalidArgument(f"invalid device specification: {text}")
    source, target, mode = parts[0], "", "rwm"
    if len(parts) == 3:
        target, mode = parts[1], parts[2]
    elif len(parts) == 2:
        target, mode = ("", parts[1]) if is_mode(parts[1]) else (parts[1], "rwm")
    if not is_mode(mode):
        raise InvalidArgument(f"bad mode specified: {mode}")
    target = target or source
    if not target.startswith("/") or not source.startswith("/"):
        raise InvalidArgument(f"{target if not target.startswith('/') else source} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode}


def parse_gpus(text: str) -> dict[str, Any]:
    """The API's DeviceRequest of one --gpus. Raises InvalidArgument."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [], "Options": {}}
    seen = set()
    for field in fields_of(text):
        key, sep, value = field.partition("=")
        if key in seen:
            raise InvalidArgument(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not sep:
            key, value = "count", key
        if key == "driver":
            request["Driver"] = value
        elif key == "count":
            if value != "all" and not value.lstrip("-").isdigit():
                raise InvalidArgument(f'invalid count ({value}): value must be either "all" or an integer: invalid syntax')
            if value != "all" and not -(1 << 63) <= int(value) < 1 << 63:
                raise InvalidArgument(f'invalid count ({value}): value must be either "all" or an integer: value out of range')
            request["Count"] = -1 if value == "all" else int(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            request["Options"] = dict(pair.partition("=")[::2] for pair in value.split(","))
        else:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
    if not seen & {"count", "device"} and request["DeviceIDs"] is None and request["Count"] == 0:
        request["Count"] = 1
    if not request["Capabilities"]:
        request["Capabilities"] = [["gpu"]]
    return request


def parse_rate(text: str, sized: bool) -> dict[str, Any]:
    """A ThrottleDevice of `path:rate`. Raises InvalidArgument."""
    path, sep, rate = text.rpartition(":")
    if not sep or not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format: {text}" if not sep else f"bad format for device path: {text}")
    try:
        value = parse_size(rate) if sized else int(rate)
        if value < 0:
            raise ValueError
    except (InvalidArgument, ValueError):
        form = "<number>[<unit>]" if sized else "<number>"
        detail = f"The correct format is <device-path>:{form}. Number must be a positive integer" + (
            ". Unit is optional and can be kb, mb, or gb" if sized else ""
        )
        raise InvalidArgument(f"invalid rate for device: {text}. {detail}") from None
    return {"Path": path, "Rate": value}


def parse_weight(text: str) -> dict[str, Any]:
    """A WeightDevice of `path:weight`. Raises InvalidArgument."""
    path, sep, weight = text.rpartition(":")
    if not sep or not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format: {text}" if not sep else f"bad format for device path: {text}")
    if not weight.isdigit() or (int(weight) != 0 and not 10 <= int(weight) <= 1000):
        raise InvalidArgument(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}
