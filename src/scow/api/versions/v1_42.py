"""1.42: kernel memory limits and the builder's size are gone, ConsoleSize works, anonymous volumes are told apart."""

from typing import Any

from scow.api.versions._tools import child, drop, objects


def _inspect(value: Any) -> Any:
    host = child(value, "HostConfig")
    host.setdefault("KernelMemory", 0)
    host.setdefault("KernelMemoryTCP", 0)
    return value


def _info(value: Any) -> Any:
    value.setdefault("KernelMemory", False)
    value.setdefault("KernelMemoryTCP", False)
    return value


def _usage(value: Any) -> Any:
    cache = value.get("BuildCache") or []
    for item in objects(cache):
        parents = item.pop("Parents", None) or []
        item["Parent"] = parents[0] if parents else ""
    value["BuilderSize"] = sum(item.get("Size", 0) for item in objects(cache) if not item.get("Shared"))
    return value


def _create(value: Any) -> Any:
    drop(child(value, "HostConfig"), "ConsoleSize")
    return value


def _exec(value: Any) -> Any:
    drop(value, "ConsoleSize")
    return value


DOWN = {"container.inspect": _inspect, "info": _info, "system.df": _usage}
UP = {"container.create": _create, "exec.create": _exec, "exec.start": _exec}
