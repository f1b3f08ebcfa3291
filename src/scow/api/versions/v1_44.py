"""1.44: VirtualSize is gone, DNSNames are there, several networks at create, start intervals, recursive read-only binds."""

from typing import Any

from scow.api.versions._tools import child, default, drop, endpoints, objects
from scow.errors import InvalidArgument


def _sizes(value: Any) -> Any:
    for item in objects(value):
        item["VirtualSize"] = item.get("Size", 0)
    return value


def _usage(value: Any) -> Any:
    _sizes(value.get("Images"))
    return value


def _endpoints(value: Any) -> Any:
    for item in objects(value):
        for endpoint in endpoints(item):
            endpoint.pop("DNSNames", None)
    return value


def _create(value: Any) -> Any:
    wanted = child(value, "NetworkingConfig", "EndpointsConfig")
    if len(wanted) > 1:
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {', '.join(sorted(map(str, wanted)))}")
    drop(child(value, "Healthcheck"), "StartInterval")
    mounts = child(value, "HostConfig").get("Mounts")
    for mount in mounts if isinstance(mounts, list) else []:
        options = child(mount, "BindOptions") if isinstance(mount, dict) else {}
        if isinstance(mount, dict) and mount.get("Type") == "bind":
            drop(options, "ReadOnlyForceRecursive")
            if options:
                default(options, "ReadOnlyNonRecursive", True)
            else:
                drop(mount, "BindOptions")
                mount["BindOptions"] = {"ReadOnlyNonRecursive": True}
    return value


DOWN = {
    "image.inspect": _sizes,
    "image.list": _sizes,
    "system.df": _usage,
    "container.inspect": _endpoints,
    "container.list": _endpoints,
}
UP = {"container.create": _create}
