"""What `up` and its like do before anything changes: the project is loaded, images are fetched or built, the engine is looked at, and a
plan is made. Called by `up.py`, `attached.py`, `watch.py` and `run.py`."""

from __future__ import annotations

import os

from scow.cli.flags import Options
from scow.compose import changes, drift, externals, images, observe, reconcile
from scow.compose.load.errors import unknown_service
from scow.compose.model.project import Project
from scow.compose.observe import Observed
from scow.compose.plan import Plan
from scow.compose.records import field, record, replace
from scow.compose.session import Session
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


@record(slots=True)
class Prepared:
    """A plan with what it needs to be carried out."""

    project: Project
    observed: Observed
    plan: Plan
    images: images.Found
    options: reconcile.Options
    services: list[str] = field(default_factory=list)  # the named ones


def scales(words: list[str]) -> dict[str, int]:
    """`web=3` words. Raises ScowError."""
    found = {}
    for word in words:
        name, sep, count = word.partition("=")
        if not sep or not name or not count.isdigit() or len(count) > 6:
            raise ScowError(f'invalid scale "{word}": use SERVICE=NUMBER')
        found[name] = int(count)
    return found


def scaled(project: Project, wanted: dict[str, int]) -> Project:
    """The project with other numbers of containers. Raises ScowError for unknown services."""
    services = dict(project.services)
    for name, count in wanted.items():
        if name not in services:
            if name in project.disabled:
                continue
            raise unknown_service(name, services)
        services[name] = replace(services[name], scale=count)
    return project.with_services(services)


def provided(session: Session, project: Project, quiet: bool = False) -> Project:
    """The project of containers: what is external is there, providers have made their services, and models are there; others know by
    variables. Raises ScowError."""
    project = externals.resolved(session, project)
    if not any(service.provider or service.models for service in project.services.values()):
        return project
    from scow.compose import models, providers

    return models.provide(session, providers.up(session, project), quiet)


def prepare(session: Session, options: Options, services: list[str], start: bool) -> Prepared:
    """Loads, fetches, builds, looks and plans."""
    if options.flag("force-recreate") and options.flag("no-recreate"):
        raise ScowError("--force-recreate and --no-recreate are incompatible")
    if options.flag("build") and options.flag("no-build"):
        raise ScowError("--build and --no-build are incompatible")
    if options.flag("always-recreate-deps") and options.flag("no-recreate"):
        raise ScowError("--always-recreate-deps and --no-recreate are incompatible")
    project = scaled(session.project(services, not options.flag("no-deps")), scales(options.list("scale")))
    if not project.services:
        raise ScowError("no service selected")
    project = provided(session, project, options.flag("quiet-pull"))
    found = images.ensure(
        session, project, options.flag("build"), options.flag("no-build"), options.text("pull"), options.flag("quiet-pull")
    )
    observed = changes.recalled(observe.observe(session.client, project.name), project.name, os.environ)
    remove = options.flag("remove-orphans") or session.truth("COMPOSE_REMOVE_ORPHANS")
    left = reconcile.orphans(project, observed)
    if left and not remove and not session.truth("COMPOSE_IGNORE_ORPHANS"):
        names = " ".join(one.name for one in left)
        session.warn(
            f"Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your compose file, you can "
            "run this command with the --remove-orphans flag to clean it up."
        )
    for sentence in drift.volumes(project, observed):
        session.warn(sentence)
    renew = options.flag("renew-anon-volumes")
    named = "never" if options.flag("no-recreate") else "force" if options.flag("force-recreate") or renew else "diverged"
    others = "never" if options.flag("no-recreate") else "force" if options.flag("always-recreate-deps") else "diverged"
    chosen = reconcile.Options(
        recreate=named,
        recreate_others=others,
        services=tuple(services),
        images=found.ids,
        start=start,
        remove_orphans=remove,
        renew_volumes=renew,
        rollout=options.flag("rollout"),
        separator=session.separator,
    )
    return Prepared(project, observed, reconcile.reconcile(project, observed, chosen), found, chosen, services)


def carry_out(session: Session, made: Prepared, **more: Any) -> None:
    """Does what the plan says; `more` is the Run's."""
    session.carry_out(made.plan, made.project, made.observed, image_volumes=made.images.volumes, image_ids=made.images.ids, **more)
