"""What a project calls `external`: whether the engine has it, and configs of its swarm. Called by `commands/`."""

from __future__ import annotations

from scow.client.api import quote
from scow.client.transport import ApiError
from scow.compose.records import replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.model.project import FileObject, Project
    from scow.compose.session import Session


def resolved(session: Session, project: Project) -> Project:
    """The project with what the swarm's configs hold that are external. Raises ScowError for networks, volumes and configs that should be
    there and are not."""
    for network in project.networks.values():
        if network.external:
            _there(session, f"/networks/{quote(network.name)}", f"network {network.name} declared as external, but could not be found")
    for volume in project.volumes.values():
        if volume.external:
            _there(session, f"/volumes/{quote(volume.name)}", f'external volume "{volume.name}" not found')
    used = {use.source for service in project.services.values() for use in service.configs}
    external = [key for key, one in project.configs.items() if one.external and key in used]
    if not external:
        return project
    return replace(project, configs={**project.configs, **{key: _config(session, project.configs[key]) for key in external}})


def _there(session: Session, path: str, sentence: str) -> None:
    try:
        session.client.call("GET", path).read()
    except ApiError as exc:
        if exc.status == 404:
            raise ScowError(sentence) from None
        raise


def _config(session: Session, one: FileObject) -> FileObject:
    """An external config with its content: an engine that manages a swarm tells it."""
    import base64
    import binascii

    try:
        found: Any = session.client.get(f"/configs/{quote(one.name)}")
        data = base64.b64decode((found.get("Spec") or {}).get("Data") or "", validate=True)
    except ApiError as exc:
        if exc.status == 404:
            raise ScowError(f"external config {one.name} not found in the swarm") from None
        if exc.status == 503:
            raise ScowError(
                f"unsupported external config {one.name}: the engine manages no swarm that could hold it: give it by `file:` or `content:`"
            ) from None
        raise
    except (binascii.Error, ValueError):
        raise ScowError(f"external config {one.name}: the engine's answer can't be understood") from None
    return replace(one, external=False, content=data.decode("utf-8", "surrogateescape"))
