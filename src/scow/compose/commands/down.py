"""`down`: stops and removes what a project has."""

from __future__ import annotations

from scow.cli.flags import Options
from scow.compose import create, observe
from scow.compose.commands.verb import Verb, grace
from scow.compose.load.errors import unknown_service
from scow.compose.model.project import Project
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.reconcile import teardown
from scow.compose.session import Session, of_containers, with_resources
from scow.errors import ScowError

_LOCAL = "local"


def down(session: Session, options: Options, args: list[str]) -> int:
    """Removes containers, networks and, where asked for, volumes and images."""
    rmi = options.text("rmi")
    if rmi not in ("", _LOCAL, "all"):
        raise ScowError(f'invalid value for --rmi: "{rmi}": use local or all')
    known, name = session.known()
    observed = observe.observe(session.client, name)
    project = known or with_resources(of_containers(name, observed.containers), observed)
    remove = options.flag("remove-orphans") or session.truth("COMPOSE_REMOVE_ORPHANS")
    services = {*project.services, *project.disabled}
    for one in args:
        if one not in services:
            raise unknown_service(one, services)
    wanted = _with_dependents(observed, set(args))
    chosen = [
        one
        for one in observed.containers
        if (one.service in wanted if args else one.service in project.services or (remove and one.service not in services))
    ]
    networks = [one.name for one in project.networks.values() if not one.external and one.name in observed.networks]
    volumes = [one.name for one in project.volumes.values() if not one.external] if options.flag("volumes") else []
    volumes = [one for one in volumes if one in observed.volumes]
    images = _images(session, project, chosen, rmi)
    plan = teardown(chosen, networks, volumes, images=images)
    provided = _providers(session, known, args) if not plan.operations else 0
    if not plan.operations and not provided:
        session.cli.err(f'Warning: No resource found to remove for project "{name}".\n')
        return 0
    if plan.operations:
        session.carry_out(plan, project, observed, timeout=grace(options), volumes=options.flag("volumes"))
        _providers(session, known, args)
    return 0


def _providers(session: Session, project: Project | None, args: list[str]) -> int:
    """Providers release what they made; how many."""
    from scow.compose import providers

    return providers.down(session, project, "down", args)


def _with_dependents(observed: Observed, names: set[str]) -> set[str]:
    """The services and all that depend on them."""
    found = set(names)
    while True:
        more = {one.service for one in observed.containers if found & one.depends.keys()} - found
        if not more:
            return found
        found |= more


def _images(session: Session, project: Project, containers: list[ContainerInfo], rmi: str) -> list[str]:
    """The images to remove: those that were built for the project, or all."""
    if not rmi:
        return []
    found: dict[str, None] = {}
    for service in project.services.values():
        if not service.provider and (rmi == "all" or not service.image):
            found[create.image_name(project, service, session.separator)] = None
    for one in containers:
        name = str(one.summary.get("Image") or "")
        if name and (rmi == "all" or name == f"{project.name}{session.separator}{one.service}"):
            found[name] = None
    if not session.given.list("file") and rmi == _LOCAL:
        made = {f"{project.name}{session.separator}{name}" for name in project.services}
        return [name for name in found if name in made]
    return list(found)


DOWN = Verb(
    " [OPTIONS] [SERVICES]",
    (
        ("remove-orphans", "", "bool", False, "Remove containers of services that the files don't know, too"),
        ("rmi", "", "string", "", 'Remove images: "local" those without a name of their own, "all" all'),
        ("timeout", "t", "int", 0, "Seconds that containers get to stop"),
        ("volumes", "v", "bool", False, "Remove the volumes of the files, and anonymous ones"),
    ),
    down,
)
