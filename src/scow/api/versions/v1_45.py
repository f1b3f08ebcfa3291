"""1.45: aliases no longer hold the short id; image inspect loses the container it came from; volume subpaths."""

from typing import Any

from scow.api.versions._tools import child, drop

_SHORT = 12


def _inspect(value: Any) -> Any:
    short = str(value.get("Id", ""))[:_SHORT]
    networks = child(value, "NetworkSettings", "Networks")
    for name, endpoint in networks.items():
        if isinstance(endpoint, dict) and name not in ("bridge", "host", "none") and short:
            aliases = endpoint.get("Aliases") or []
            endpoint["Aliases"] = aliases if short in aliases else [*aliases, short]
    return value


def _image(value: Any) -> Any:
    value.setdefault("Container", "")
    value.setdefault("ContainerConfig", {})
    return value


def _create(value: Any) -> Any:
    mounts = child(value, "HostConfig").get("Mounts")
    for mount in mounts if isinstance(mounts, list) else []:
        if isinstance(mount, dict):
            drop(child(mount, "VolumeOptions"), "Subpath")
    return value


DOWN = {"container.inspect": _inspect, "image.inspect": _image}
UP = {"container.create": _create}
