"""What a project means beyond its words: the default network, names of resources, dependencies that links and shared namespaces bring,
values of variables that are only named. Works on the merged tree, in place. Called by `loader.py`."""

from __future__ import annotations

from scow.compose.load.mounts import clean
from scow.compose.load.numbers import text_of

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Tree = dict[str, Any]

NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def normalize(tree: Tree, environ: Mapping[str, str]) -> Tree:
    """The tree, completed. It is valid already."""
    _networks(tree)
    for service in (tree.get("services") or {}).values():
        if isinstance(service, dict):
            _service(service, environ)
    for kind in ("networks", "volumes", "configs", "secrets"):
        resources: Tree = tree.get(kind) or {}
        for key in resources:
            resource = resources[key] = resources[key] or {}
            if isinstance(resource, dict) and resource.get("name") is None:
                resource["name"] = key if resource.get("external") is True else f"{tree['name']}_{key}"
    for key, model in (tree.get("models") or {}).items():
        if isinstance(model, dict) and model.get("name") is None:
            model["name"] = key
    return tree


def _networks(tree: Tree) -> None:
    networks = tree.get("networks") or {}
    for service in (tree.get("services") or {}).values():
        if not isinstance(service, dict) or "network_mode" in service or "provider" in service:
            continue
        if not service.get("networks"):
            service["networks"] = {"default": None}
        if "default" in service["networks"]:
            networks.setdefault("default", None)
    if networks:
        tree["networks"] = networks


def _service(service: Tree, environ: Mapping[str, str]) -> None:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    build = service.get("build")
    if isinstance(build, dict):
        if build.get("context") is None:
            build["context"] = "."
        if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
            build["dockerfile"] = "Dockerfile"
        if "args" in build:
            build["args"] = named(build["args"], environ, keep=False)
    if "environment" in service:
        service["environment"] = named(service["environment"], environ, keep=True)
    needed: dict[str, bool] = {}  # service -> whether it is restarted with the other
    for link in service.get("links") or []:
        needed.setdefault(text_of(link).split(":")[0], True)
    for key in NAMESPACES:
        shared = text_of(service.get(key))
        if shared.startswith("service:"):
            needed.setdefault(shared.removeprefix("service:"), True)
    for mount in service.get("volumes") or []:
        if isinstance(mount, dict) and isinstance(mount.get("target"), str):
            mount["target"] = clean(mount["target"])
    for source in service.get("volumes_from") or []:
        if not text_of(source).startswith("container:"):
            needed.setdefault(text_of(source).split(":")[0], False)
    image = service.get("image")
    for hook in service.get("pre_start") or []:
        if isinstance(hook, dict) and image:
            hook.setdefault("image", image)
    if needed:
        dependencies = service.setdefault("depends_on", {})
        for name, restart in needed.items():
            dependencies.setdefault(name, {"condition": "service_started", "restart": restart, "required": True})


def named(value: Any, environ: Mapping[str, str], keep: bool) -> Any:
    """Variables without a value get the environment's; those that are not there stay without where `keep` says so, else they go."""
    if isinstance(value, dict):
        found = {}
        for key, one in value.items():
            if one is not None:
                found[key] = one
            elif key in environ:
                found[key] = environ[key]
            elif keep:
                found[key] = None
        return found
    if isinstance(value, list):
        items = []
        for item in value:
            text = text_of(item)
            if "=" in text:
                items.append(item)
            elif text in environ:
                items.append(f"{text}={environ[text]}")
            elif keep:
                items.append(item)
        return items
    return value
