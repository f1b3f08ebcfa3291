"""What a deployment would change, as lines: `+ service`, `- service`, `~ service` with each field's old and new value, and `!` before what
would stop it. Content of secrets is neither asked for nor shown. Called by `deploy.py`; nothing is changed."""

from __future__ import annotations

from scow import fastjson
from scow.cli.commands.swarm.tasks import image_name
from scow.compose.stack.convert import IMAGE
from scow.compose.stack.objects import keep_scaled, name_of, of_stack

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scow.cli.command import Cli
    from scow.compose.stack.convert import Stack


# what the engine puts into a spec that does not say it; and what only it knows
_DEFAULTS: dict[str, Any] = {
    "EndpointSpec.Mode": "vip",
    "TaskTemplate.Runtime": "container",
    "TaskTemplate.ContainerSpec.Isolation": "default",
    "TaskTemplate.ContainerSpec.StopGracePeriod": 10_000_000_000,
    "TaskTemplate.RestartPolicy.Condition": "any",
    "TaskTemplate.RestartPolicy.Delay": 5_000_000_000,
    **{
        f"{config}.{key}": value
        for config in ("UpdateConfig", "RollbackConfig")
        for key, value in (("FailureAction", "pause"), ("Order", "stop-first"), ("Monitor", 5_000_000_000))
    },
}
_OWN = ("TaskTemplate.ForceUpdate", "TaskTemplate.Placement.Platforms", "Labels." + IMAGE)
_MISSING = object()


def text(cli: Cli, stack: Stack, prune: bool) -> str:
    """The lines; "" where nothing would change."""
    lines = []
    there = {name_of(one) for one in of_stack(cli, "networks", stack.name)}
    lines += [f"+ network {name}" for name in sorted(stack.networks) if name not in there]
    for kind in ("secrets", "configs"):
        lines += _objects(cli, kind, getattr(stack, kind))
    services = {name_of(one): one for one in of_stack(cli, "services", stack.name)}
    names = {one["Id"]: one["Name"] for one in cli.client.get("/networks") or []}
    for name, spec in stack.services.items():
        if name not in services:
            lines.append(f"+ service {name}  image {spec['TaskTemplate']['ContainerSpec']['Image']}")
            continue
        keep_scaled(spec, services[name]["Spec"])
        changes = list(_changes("", _plain(services[name]["Spec"], names), _plain(spec, names)))
        if changes:
            lines += [f"~ service {name}", *changes]
    gone = sorted(set(services) - set(stack.services))
    lines += [f"- service {name}" for name in gone] if prune else [f"  service {name} is no longer in the files (--prune)" for name in gone]
    return "".join(line + "\n" for line in lines)


def fails(lines: str) -> bool:
    """Whether one of the lines says that deploying would fail."""
    return any(line.startswith("!") for line in lines.splitlines())


def _objects(cli: Cli, kind: str, wanted: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Secrets or configs, which `deploy` finds by their names, whoever made them."""
    there = {name_of(one): one for one in cli.client.get(f"/{kind}") or []} if wanted else {}
    for name, body in sorted(wanted.items()):
        if name not in there:
            yield f"+ {kind[:-1]} {name}"
            continue
        before = there[name]["Spec"]
        if kind == "configs" and (before.get("Data") or "") != (body.get("Data") or ""):
            yield f"! config {name} has other content, which can't be changed: give the new one another name"
        changes = list(_changes("Labels", before.get("Labels") or {}, body["Labels"]))
        if changes:
            yield from (f"~ {kind[:-1]} {name}", *changes)


def _plain(spec: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    """A spec to be compared: networks, secrets and configs by name, images without digest."""
    copy: dict[str, Any] = fastjson.loads(fastjson.dumps(spec))
    task = copy.get("TaskTemplate") or {}
    container = task.get("ContainerSpec") or {}
    image = image_name(container.get("Image") or "")
    container["Image"] = image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
    task["Networks"] = {
        networks.get(one["Target"], one["Target"]): sorted(one.get("Aliases") or [])
        for one in task.get("Networks") or copy.get("Networks") or []
    }
    copy.pop("Networks", None)
    for key, kind in (("Secrets", "Secret"), ("Configs", "Config")):
        container[key] = {one.get(f"{kind}Name"): one.get("File") for one in container.get(key) or []}
    container["Env"] = {one.partition("=")[0]: one.partition("=")[2] for one in container.get("Env") or []}
    container["Mounts"] = {one.get("Target"): one for one in container.get("Mounts") or []}
    if container.get("Init") is False:
        del container["Init"]
    return copy


def _empty(value: Any) -> bool:
    """Whether a value says nothing."""
    if isinstance(value, dict):
        return all(map(_empty, value.values()))
    return value is _MISSING or value in (None, "", [], 0, False)


def _changes(path: str, old: Any, new: Any) -> Iterator[str]:
    if path in _OWN or old == new or (_empty(old) and _empty(new)):
        return
    if (isinstance(old, dict) or old is _MISSING) and (isinstance(new, dict) or new is _MISSING):
        before, after = old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
        for key in sorted({*before, *after}, key=str):
            yield from _changes(f"{path}.{key}" if path else str(key), before.get(key, _MISSING), after.get(key, _MISSING))
        return
    if _empty(new) and (path in _DEFAULTS and _DEFAULTS[path] == old):
        return
    yield f"    {path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    return "(none)" if value is _MISSING or value is None else str(fastjson.dumps(value))
