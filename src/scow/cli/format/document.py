"""`--format` of the commands that print whole documents: inspect, info, version."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

from scow.cli.command import ExitCode
from scow.gotemplate import Template, TemplateError, go_print

# fields of Docker's types whose keys are the user's: a key that is not there is no error
MAPS = frozenset(
    (
        *(
            "Annotations",
            "Attributes",
            "Data",
            "DriverOpts",
            "Endpoints",
            "ExposedPorts",
            "Labels",
        ),
        *("Options", "PortBindings", "Ports", "Status", "StorageOpt", "Sysctls", "Tmpfs", "Volumes"),
    )
)
# fields that may be null in JSON, which Go prints by their type
_LISTS: tuple[str, ...] = (
    "Aliases",
    "Binds",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "Devices",
    "Dns",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
)
_LISTS += ("Links", "Mounts", "OnBuild", "RepoDigests", "RepoTags", "SecurityOpt", "Shell", "Ulimits", "VolumesFrom", "DeviceRequests")
_STRUCTS = {"RestartPolicy": ("Name", "MaximumRetryCount"), "LogConfig": ("Type", "Config")}
USAGE = 64  # the exit status for a template that can't be read


def _shown(field: str, value: Any) -> str | None:
    """How Go prints a field whose type says more than its JSON."""
    if value is None:
        return "[]" if field in _LISTS else "map[]" if field in MAPS else None
    if field in _STRUCTS and isinstance(value, dict):
        return "{" + " ".join(go_print(value.get(key)) for key in _STRUCTS[field]) + "}"
    return None


def render(documents: list[Any], fmt: str, optional: Mapping[str, Any], kind: str = "", missing: str = "error") -> tuple[str, str]:
    """(text, error): one line for each document. An error ends the text, as in docker, with an empty line. Raises ExitCode for a
    template that can't be read."""
    try:
        template = Template("{{json .}}" if fmt == "json" else fmt)
    except TemplateError as exc:
        raise ExitCode(USAGE, exc.message) from None
    text = ""
    for one in documents:
        try:
            text += template.render(one, missing, optional, kind, MAPS, _shown) + "\n"
        except TemplateError as exc:
            return text + "\n", exc.message
    return text, ""
