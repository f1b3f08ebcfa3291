"""1.43: images without a name have empty lists (before: `<none>`); annotations."""

from typing import Any

from scow.api.versions._tools import child, drop, objects


def _names(value: Any) -> Any:
    for item in objects(value):
        if not item.get("RepoTags") and not item.get("RepoDigests"):
            item["RepoTags"], item["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]
    return value


def _inspect(value: Any) -> Any:
    child(value, "HostConfig").pop("Annotations", None)
    return value


def _create(value: Any) -> Any:
    drop(child(value, "HostConfig"), "Annotations")
    return value


DOWN = {"image.list": _names, "container.inspect": _inspect}
UP = {"container.create": _create}
