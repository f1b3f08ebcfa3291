"""Devices of a container: nodes to make and rules of the control group, from `--device`, `--device-cgroup-rule` and `--privileged`."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.model.container import DeviceMapping
from scow.opts.devices import check_permissions, parse_rule

_SKIPPED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_MAX_DEVICES = 4096
# What every container may use, whatever nodes it makes: null, zero, full, random, urandom, tty, console, ptmx, pts/*.
_DEFAULT_RULES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))


@dataclass(frozen=True, slots=True)
class Devices:
    """`linux.devices` and `linux.resources.devices`."""

    nodes: list[dict[str, Any]]
    rules: list[dict[str, Any]]


def _node(path: str, shown: str, info: os.stat_result) -> dict[str, Any] | None:
    if stat.S_ISCHR(info.st_mode):
        kind = "c"
    elif stat.S_ISBLK(info.st_mode):
        kind = "b"
    else:
        return None
    return {
        "path": shown, "type": kind, "major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev),
        "fileMode": info.st_mode & 0o7777, "uid": info.st_uid, "gid": info.st_gid,
    }  # fmt: skip


def _walk(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    pending = [directory]
    count = 0
    while pending and count < _MAX_DEVICES:
        here = pending.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda e: e.name)
        except OSError:
            continue
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(info.st_mode):
                if entry.name not in _SKIPPED:
                    pending.append(entry.path)
            elif entry.name != "console":
                count += 1
                yield entry.path, info


def host_devices(directory: str = "/dev") -> list[dict[str, Any]]:
    """Every device node below `directory`, as a privileged container gets them."""
    return [node for path, info in _walk(directory) if (node := _node(path, path, info)) is not None]


def _mapped(device: DeviceMapping) -> list[dict[str, Any]]:
    source = device.path_on_host
    shown = device.path_in_container or source
    try:
        resolved = os.path.realpath(source, strict=True)
        info = os.stat(resolved)
    except (OSError, ValueError):
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{source}": no such file or directory'
        ) from None
    node = _node(resolved, shown, info)
    if node is not None:
        return [node]
    if stat.S_ISDIR(info.st_mode):
        below = [
            node for path, entry in _walk(resolved) if (node := _node(path, os.path.join(shown, os.path.relpath(path, resolved)), entry))
        ]
        if below:
            return below
    raise InvalidArgument(f'error gathering device information while adding custom device "{source}": not a device node')


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def build(mappings: Iterable[DeviceMapping], rules: Iterable[str], privileged: bool) -> Devices:
    """The devices of a container. Raises InvalidArgument: a path that is no device, a mode or rule that cannot be read."""
    if privileged:
        nodes = {node["path"]: node for node in host_devices()}
        for device in mappings:
            # A privileged container has every device; only another name adds something.
            if device.path_in_container and device.path_in_container != device.path_on_host:
                nodes.update((node["path"], node) for node in _mapped(device))
        return Devices(list(nodes.values()), [{"allow": True, "access": "rwm"}])
    allowed: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}, _rule("c", None, None, "m"), _rule("b", None, None, "m")]
    allowed += [_rule("c", major, minor, "rwm") for major, minor in _DEFAULT_RULES]
    nodes = {}
    for device in mappings:
        check_permissions(device.cgroup_permissions)
        for node in _mapped(device):
            nodes[node["path"]] = node
            allowed.append(_rule(node["type"], node["major"], node["minor"], device.cgroup_permissions or "rwm"))
    for text in rules:
        rule = parse_rule(text)
        allowed.append(_rule(rule.kind, rule.major, rule.minor, rule.access))
    return Devices(list(nodes.values()), allowed)
