"""1.41: cgroup namespaces and tmpfs usage: before, containers shared the host's cgroup namespace."""

from typing import Any

from scow.api.versions._tools import child, default, held


def _create(value: Any) -> Any:
    default(held(value, "HostConfig"), "CgroupnsMode", "host")
    return value


def _inspect(value: Any) -> Any:
    child(value, "HostConfig").pop("CgroupnsMode", None)
    return value


DOWN = {"container.inspect": _inspect}
UP = {"container.create": _create}
