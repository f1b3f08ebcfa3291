"""Short forms become long ones: ports, mounts, dependencies, devices… Works on one file's tree after interpolation; errors are BadValue.

`strict` is off where variables were left in (`config --no-interpolate`): what can't be read then stays as it is.
"""

from __future__ import annotations

from scow.compose.load.errors import BadValue
from scow.compose.load.merge import DEPENDENCY
from scow.compose.load.mounts import parse_mount
from scow.compose.load.numbers import text_of
from scow.compose.load.ports import MAX_PORTS, parse_ports
from scow.compose.load.tries import apply, dotted, trie

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.load.tries import Trie

    Path = tuple[str, ...]


class Room:
    """How much more the long forms of a load may make."""

    __slots__ = ("ports",)

    def __init__(self) -> None:
        self.ports = MAX_PORTS


def canonical(tree: dict[str, Any], room: Room, strict: bool = True) -> dict[str, Any]:
    """The tree in long forms, changed in place. Raises BadValue."""

    def one(rule: Any, value: Any, path: Path) -> Any:
        try:
            return rule(value, path) if rule is not _ports else _ports(value, path, room)
        except ValueError as exc:
            if not strict:
                return value
            raise BadValue(path, f"{dotted(path)}: {exc}") from None

    made: dict[str, Any] = apply(tree, RULES, one)
    return made


def _build(value: Any, path: Path) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _source(value: Any, path: Path) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _pairs(value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        return value
    found = {}
    for item in value:
        name, sep, one = text_of(item).partition("=")
        if not sep:
            raise ValueError(f"invalid value {text_of(item)}, expected key=value")
        found[name] = one
    return found


def _dependencies(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return {text_of(name): dict(DEPENDENCY) for name in value}
    if isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(one, dict):
                raise BadValue((*path, name), f"{dotted((*path, name))}: a mapping with a condition is wanted")
            value[name] = {**DEPENDENCY, **one}
    return value


def _env_files(value: Any, path: Path) -> Any:
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [{"path": one, "required": True} if isinstance(one, str) else {"required": True, **one} for one in items]


def _extends(value: Any, path: Path) -> Any:
    return {"service": value} if isinstance(value, str) else value


def _names(value: Any, path: Path) -> Any:
    return {text_of(name): None for name in value} if isinstance(value, list) else value


def _empty(value: Any, path: Path) -> Any:
    return {text_of(name): {} for name in value} if isinstance(value, list) else value


def _volume(value: Any, path: Path) -> Any:
    return parse_mount(value) if isinstance(value, str) else value


def _list(value: Any, path: Path) -> Any:
    return [value] if isinstance(value, str) else value


def _filled(value: Any, path: Path) -> Any:
    found = _list(value, path)
    return [one for one in found if one not in ("", None)] if isinstance(found, list) else found


def _device(value: Any, path: Path) -> Any:
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if len(parts) > 3:
        raise ValueError(f"confusing device mapping, please use long syntax: {value}")
    target = parts[1] if len(parts) > 1 else ""
    return {"source": parts[0], "target": target or parts[0], "permissions": parts[2] if len(parts) > 2 else "rwm"}


def _ports(value: Any, path: Path, room: Room) -> Any:
    found: list[Any] = []
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            found.append(one)
        else:
            more = parse_ports(text_of(one))
            room.ports -= len(more)
            found += more
        if room.ports < 0:
            raise BadValue(path, f"{dotted(path)}: more than {MAX_PORTS} ports in all")
    return found


def _ssh(value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        return value
    found: dict[str, Any] = {}
    for item in value:
        name, sep, key = text_of(item).partition("=")
        if not sep and name != "default":
            raise ValueError(f'invalid ssh key "{name}"')
        found[name] = key if sep else None
    return found


def _gpus(value: Any, path: Path) -> Any:
    return [{"count": "all"}] if isinstance(value, str) else value


def _text(value: Any, path: Path) -> Any:
    return text_of(value)


def _external(value: Any, path: Path) -> Any:
    """`external: {name: x}` of old files."""
    if not isinstance(value, dict) or not isinstance(value.get("external"), dict):
        return value
    name = value["external"].get("name")
    value["external"] = True
    if name is not None:
        if value.get("name", name) != name:
            raise ValueError("name and external.name conflict; only use name")
        value["name"] = name
    return value


RULES: Trie = trie(
    {
        **{
            f"services.*.{key}": rule
            for key, rule in {
                "build": _build,
                "build.secrets.*": _source,
                "build.additional_contexts": _pairs,
                "build.ssh": _ssh,
                "build.provenance": _text,
                "build.sbom": _text,
                "depends_on": _dependencies,
                "env_file": _env_files,
                "label_file": _list,
                "extends": _extends,
                "gpus": _gpus,
                "networks": _names,
                "models": _empty,
                "volumes.*": _volume,
                "dns": _filled,
                "devices.*": _device,
                "secrets.*": _source,
                "configs.*": _source,
                "ports": _ports,
                "develop.watch.*.ignore": _list,
                "develop.watch.*.include": _list,
            }.items()
        },
        **{f"{kind}.*": _external for kind in ("volumes", "networks", "secrets", "configs")},
    }
)


# ---------------------------------------------------------------- defaults


def defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """What stands for attributes that are not given, in place."""
    made: dict[str, Any] = apply(tree, DEFAULTS, lambda rule, value, path: rule(value))
    return made


def _missing(**given: Any) -> Any:
    def rule(value: Any) -> Any:
        if isinstance(value, dict):
            for key, default in given.items():
                value.setdefault(key, default)
        return value

    return rule


def _secret(value: Any) -> Any:
    if isinstance(value, dict):
        value.setdefault("target", f"/run/secrets/{text_of(value.get('source'))}")
    return value


def _devices(value: Any) -> Any:
    if isinstance(value, dict) and "count" not in value and "device_ids" not in value:
        value["count"] = "all"
    return value


DEFAULTS: Trie = trie(
    {
        "services.*.build": _missing(context="."),
        "services.*.secrets.*": _secret,
        "services.*.ports.*": _missing(protocol="tcp", mode="ingress"),
        "services.*.deploy.resources.reservations.devices.*": _devices,
        "services.*.gpus.*": _devices,
    }
)
