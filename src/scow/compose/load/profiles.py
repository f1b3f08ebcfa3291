"""Which services of a project are wanted: by profiles, by name with what they depend on; and what else they then need. Pure."""

from __future__ import annotations

from scow.compose.load.errors import unknown_service
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.compose.records import replace

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable


def enabled(service: Service, profiles: Iterable[str]) -> bool:
    """Whether a service is on: it has no profiles, or one that is asked for (`*` asks for all)."""
    wanted = set(profiles)
    return not service.profiles or "*" in wanted or not wanted.isdisjoint(service.profiles)


def with_profiles(project: Project, profiles: Iterable[str]) -> Project:
    """The project with those profiles on and all others off."""
    chosen = tuple(profiles)
    everything = {**project.services, **project.disabled}
    on = {name: everything[name] for name in sorted(everything) if enabled(everything[name], chosen)}
    off = {name: everything[name] for name in sorted(everything) if name not in on}
    return replace(project, services=on, disabled=off, profiles=chosen)


def profiles_for(project: Project, names: Iterable[str]) -> tuple[str, ...]:
    """The profiles that naming services turns on, with those that are on."""
    more = [one for name in names if name not in project.services and name in project.disabled for one in project.disabled[name].profiles]
    return (*project.profiles, *more)


def select(project: Project, names: Iterable[str], dependencies: bool = True) -> Project:
    """Only the named services, and what they depend on; others become disabled. Raises LoadError for a name that is none."""
    wanted = list(names)
    if not wanted:
        return project
    chosen: set[str] = set()
    queue = [(name, True) for name in wanted]
    while queue:
        name, required = queue.pop()
        if name in chosen:
            continue
        service = project.services.get(name)
        if service is None:
            if required:
                raise unknown_service(name, project.services)
            continue
        chosen.add(name)
        if dependencies:
            queue += [(other, one.required) for other, one in service.depends_on.items()]
    on = {}
    for name, service in project.services.items():
        if name in chosen:
            needed = {other: one for other, one in service.depends_on.items() if other in chosen}
            on[name] = service if len(needed) == len(service.depends_on) else replace(service, depends_on=needed)
    off = {name: service for name, service in project.services.items() if name not in chosen}
    return replace(project, services=on, disabled={**project.disabled, **off})


def narrowed(project: Project, names: Iterable[str], dependencies: bool = True, unused: bool = False) -> Project:
    """What a command that names services works with: their profiles on, only they and what they depend on, and (but for `unused`) no
    resource that none of them uses. Raises LoadError."""
    wanted = list(names)
    if any(name in project.disabled for name in wanted):
        project = with_profiles(project, profiles_for(project, wanted))
    project = select(project, wanted, dependencies)
    return project if unused else only_used(project)


def only_used(project: Project) -> Project:
    """Without networks, volumes, secrets and configs that no enabled service uses."""
    networks: set[str] = set()
    volumes: set[str] = set()
    secrets: set[str] = set()
    configs: set[str] = set()
    models: set[str] = set()
    for service in project.services.values():
        networks |= service.networks.keys()
        volumes |= {mount.source for mount in service.volumes if mount.type == "volume"}
        secrets |= {use.source for use in (*service.secrets, *(service.build.secrets if service.build else ()))}
        configs |= {use.source for use in service.configs}
        models |= service.models.keys()
    return replace(
        project,
        networks={name: one for name, one in project.networks.items() if name in networks},
        volumes={name: one for name, one in project.volumes.items() if name in volumes},
        secrets={name: one for name, one in project.secrets.items() if name in secrets},
        configs={name: one for name, one in project.configs.items() if name in configs},
        models={name: one for name, one in project.models.items() if name in models},
    )
