"""The labels by which containers, networks and volumes belong to a project: names, writing, reading. They are the compose plugin's, so that
both tools manage one project in turns. Stored by the engine. Used by `create.py` (writes) and `observe.py` (reads). Pure."""

from __future__ import annotations

from scow.compose.model.project import Project
from scow.compose.model.service import Service

PREFIX = "com.docker.compose."
PROJECT = PREFIX + "project"
SERVICE = PREFIX + "service"
NUMBER = PREFIX + "container-number"
ONEOFF = PREFIX + "oneoff"
HASH = PREFIX + "config-hash"
IMAGE = PREFIX + "image"
DEPENDS = PREFIX + "depends_on"
FILES = PREFIX + "project.config_files"
WORKING_DIR = PREFIX + "project.working_dir"
ENV_FILES = PREFIX + "project.environment_file"
NETWORK = PREFIX + "network"
VOLUME = PREFIX + "volume"
REPLACE = PREFIX + "replace"
SLUG = PREFIX + "slug"
VERSION = PREFIX + "version"
CONTENT = "org.scow.compose.content-hash"  # of the configs and secrets a container was made with; the plugin has no such label
TOLD = "org.scow.compose.signal-hash"  # the same of those whose changes are told by a signal
PLAIN = "org.scow.compose.plain-hash"  # HASH without the variables of env files, where their changes do not recreate

# the plugin's version whose labels and hashes these are
SPOKEN = "2.26.1"


def of_project(project: str) -> str:
    """The filter that finds what belongs to a project."""
    return f"{PROJECT}={project}"


def depends_text(service: Service) -> str:
    """`db:service_started:true,…`: name, condition, whether it restarts with it."""
    return ",".join(f"{name}:{one.condition}:{'true' if one.restart else 'false'}" for name, one in sorted(service.depends_on.items()))


def depends_of(text: str) -> dict[str, tuple[str, bool]]:
    """What a container's label says of its dependencies: name -> (condition, restart)."""
    found = {}
    for word in text.split(","):
        name, _, rest = word.partition(":")
        condition, _, restart = rest.partition(":")
        if name:
            found[name] = (condition or "service_started", restart == "true")
    return found


def of_container(
    project: Project, service: Service, number: int, digest: str, image: str, oneoff: bool = False, slug: str = ""
) -> dict[str, str]:
    """All labels of a container: the service's own, and ours over them. `image` is the image's ID."""
    found = {
        **service.labels,
        HASH: digest,
        NUMBER: str(number),
        DEPENDS: depends_text(service),
        IMAGE: image,
        ONEOFF: "True" if oneoff else "False",
        PROJECT: project.name,
        FILES: ",".join(project.files),
        WORKING_DIR: project.working_dir,
        SERVICE: service.name,
        VERSION: SPOKEN,
    }
    if project.env_files:
        found[ENV_FILES] = ",".join(project.env_files)
    if slug:
        found[SLUG] = slug
    return found


def of_network(project: str, key: str, own: dict[str, str]) -> dict[str, str]:
    """All labels of a network."""
    return {**own, NETWORK: key, PROJECT: project, VERSION: SPOKEN}


def of_volume(project: str, key: str, own: dict[str, str]) -> dict[str, str]:
    """All labels of a volume."""
    return {**own, VOLUME: key, PROJECT: project, VERSION: SPOKEN}
