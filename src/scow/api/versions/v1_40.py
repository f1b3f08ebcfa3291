"""1.40: private IPC by default (before: shareable), non-recursive binds, device requests."""

from typing import Any

from scow.api.versions._tools import child, default, drop, held


def _create(value: Any) -> Any:
    host = held(value, "HostConfig")
    default(host, "IpcMode", "shareable")
    drop(host, "DeviceRequests")
    mounts = host.get("Mounts")
    for mount in mounts if isinstance(mounts, list) else []:
        if isinstance(mount, dict):
            drop(child(mount, "BindOptions"), "NonRecursive")
    return value


def _inspect(value: Any) -> Any:
    child(value, "HostConfig").pop("DeviceRequests", None)
    return value


DOWN = {"container.inspect": _inspect}
UP = {"container.create": _create}
