"""A project as the document that `config` prints. Called by `commands/config.py` and `stack/deploy.py`."""

from __future__ import annotations

from scow.compose import emit
from scow.compose.codec import encode, ordered
from scow.compose.model.project import FileObject, Project
from scow.compose.records import replace

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

_NAME = frozenset({"name"})
KINDS = ("networks", "volumes", "secrets", "configs", "models")


def of_project(project: Project, json: bool = False) -> dict[str, Any]:
    """The document, in the order in which it is printed."""
    found: dict[str, Any] = {"name": project.name}
    services = {name: encode(project.services[name], json, _NAME) for name in ordered(project.services, json)}
    found["services"] = services
    for kind in KINDS:
        resources = getattr(project, kind)
        if resources:
            found[kind] = {name: encode(_shown(kind, resources[name]), json) for name in ordered(resources, json)}
    found |= _extensions(project.extensions, json)
    return {key: found[key] for key in sorted(found)} if json else found


def _shown(kind: str, resource: Any) -> Any:
    """What a secret's variable holds is not printed; nor a config's."""
    if isinstance(resource, FileObject) and (kind == "secrets" or resource.environment):
        return replace(resource, content="")
    return resource


def _extensions(value: Any, json: bool) -> Any:
    return of_tree(value, json) if value else {}


def of_tree(value: Any, json: bool = False) -> Any:
    """A loader's tree with sorted keys."""
    if isinstance(value, dict):
        return {key: of_tree(value[key], json) for key in ordered(value, json)}
    return [of_tree(one, json) for one in value] if isinstance(value, list) else value


def text(document: Any, form: str) -> str:
    """A document as `yaml` or `json` text; JSON has no line break at its end, as the plugin's."""
    return emit.json(document, "  ") if form == "json" else emit.yaml(document)
