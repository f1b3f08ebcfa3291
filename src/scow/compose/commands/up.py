"""`up`, `create`, `scale` and `diff`: what is wanted against what runs."""

from __future__ import annotations

import os

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.compose import changes, drift, externals, images, observe, reconcile
from scow.compose.commands.session import Session, Verb
from scow.compose.load.errors import unknown_service
from scow.compose.observe import Observed
from scow.compose.plan import Plan
from scow.compose.project import Project
from scow.compose.records import field, record, replace
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


def carry_out(session: Session, made: Prepared, plan: Plan, observed: Observed, **more: Any) -> None:
    """Does what the plan says."""
    session.carry_out(plan, made.project, observed, image_volumes=made.images.volumes, image_ids=made.images.ids, **more)


def grace(options: Options) -> int | None:
    """`--timeout` in seconds, None where it isn't given."""
    return options.number("timeout") if options.given("timeout") else None


def up(session: Session, options: Options, args: list[str]) -> int:
    """Brings what runs to what is wanted; in the foreground shows the logs until all has ended."""
    wait = options.flag("wait")
    detach = options.flag("detach") or wait
    abort = options.flag("abort-on-container-exit") or options.flag("abort-on-container-failure") or bool(options.text("exit-code-from"))
    if abort and detach:
        raise ScowError("--abort-on-container-exit and --exit-code-from can't be used with --detach or --wait")
    if options.list("attach") and options.flag("attach-dependencies"):
        raise ScowError("cannot combine --attach and --attach-dependencies")
    if options.flag("no-start") and (detach or abort):
        raise ScowError("--no-start can't be used with --detach, --wait, --abort-on-container-exit or --exit-code-from")
    if options.flag("no-start"):
        return create(session, options, args)
    foreground = not detach and not session.dry
    made = prepare(session, options, args, not foreground)
    if foreground:
        from scow.compose.commands.attached import Foreground

        return Foreground(session, options, made).run()
    carry_out(session, made, made.plan, made.observed, timeout=grace(options))
    if wait and not session.dry:
        wait_for(session, made, options.number("wait-timeout"))
    if options.flag("watch") and not session.dry:
        from scow.compose.commands.watch import follow

        return follow(session, made.project, args)
    return 0


def wait_for(session: Session, made: Prepared, seconds: int) -> None:
    """`wait_services` for those of an `up`."""
    wait_services(session, made.project, set(made.services), seconds)


def wait_services(session: Session, project: Project, named: set[str], seconds: int = 0) -> None:
    """Until the containers of the services (none named: all) run, and are healthy where they have a check; 0 seconds wait for ever. One
    without a check must have run for SETTLE, and none may have ended while others were waited for. A service that another wants completed
    is ready when it has ended well, as for the plugin. Raises ScowError."""
    import time
    from functools import partial

    from scow.client.api import container_path
    from scow.compose.execute import completed, healthy
    from scow.compose.waiting import AGAIN, SETTLE, Watch

    watch = Watch(session.dial(), project.name)
    begun = time.monotonic()
    end = begun + seconds if seconds else None
    wanted = named or set(project.services)
    chosen = [one for one in observe.containers(session.client, project.name)[0] if not one.oneoff and one.service in wanted]
    ending = {
        name
        for service in project.services.values()
        for name, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }

    def look(one: observe.ContainerInfo) -> bool | None:
        facts = session.client.get(container_path(one.id, "json"))
        if one.service in ending:
            return completed(facts, one.service)
        if not (ready := healthy(facts, one.name, False)):
            return None
        checked = (facts.get("State") or {}).get("Health")
        return ready if checked or time.monotonic() - begun >= SETTLE else None

    try:
        for one in chosen:
            label = f"Container {one.name}"
            session.progress.event(label, "Waiting")
            try:
                left = None if end is None else max(0.0, end - time.monotonic())
                watch.until(partial(look, one), left, again=AGAIN if one.health else SETTLE)
            except ScowError as exc:
                session.progress.event(label, "Error", "", True, True)
                raise ScowError("application not healthy after " + _seconds(seconds) if "timeout" in exc.message else exc.message) from None
            session.progress.event(label, "Exited" if one.service in ending else "Healthy", "", True)
        for one in [one for one in chosen[:-1] if one.service not in ending]:
            healthy(session.client.get(container_path(one.id, "json")), one.name, False)
    finally:
        watch.close()
        session.end()


def _seconds(count: int) -> str:
    return f"{count // 60}m{count % 60}s" if count >= 60 else f"{count}s"


def create(session: Session, options: Options, args: list[str]) -> int:
    """Creates containers without starting them."""
    made = prepare(session, options, args, False)
    carry_out(session, made, made.plan, made.observed, timeout=grace(options))
    return 0


def scale(session: Session, options: Options, args: list[str]) -> int:
    """Changes how many containers services have."""
    wanted = scales(args)
    project = scaled(session.project(wanted, not options.flag("no-deps")), wanted)
    project = provided(session, project)
    found = images.ensure(session, project)
    observed = observe.observe(session.client, project.name)
    chosen = reconcile.Options(
        recreate="never", recreate_others="never", services=tuple(wanted), images=found.ids, separator=session.separator
    )
    made = Prepared(project, observed, reconcile.reconcile(project, observed, chosen), found, chosen, list(wanted))
    carry_out(session, made, made.plan, observed)
    return 0


def diff(session: Session, options: Options, args: list[str]) -> int:
    """Prints the plan of an `up`; status 1 where it would change something and --exit-code is given."""
    session.dry = True
    made = prepare(session, options, args, True)
    changes = [one for one in made.plan.operations if one.kind != "keep"]
    for one in made.plan.operations:
        if one.kind != "keep" or not options.flag("quiet"):
            session.cli.out(f"{one.kind:<9} {one.target}: {one.cause}\n")
    if changes and options.flag("exit-code"):
        raise ExitCode(1)
    return 0


_MAKING = (
    ("build", "", "bool", False, "Build images first"),
    ("force-recreate", "", "bool", False, "Make containers anew although nothing changed"),
    ("no-build", "", "bool", False, "Build no image, even if one is missing"),
    ("no-recreate", "", "bool", False, "Leave existing containers as they are"),
    ("pull", "", "string", "policy", 'When to fetch images ("always", "missing", "never", "build")'),
    ("quiet-build", "", "bool", False, "Don't show how builds go"),
    ("quiet-pull", "", "bool", False, "Don't show how pulls go"),
    ("remove-orphans", "", "bool", False, "Remove containers of services that the files don't know"),
    ("scale", "", "stringArray", (), "How many containers a service has (SERVICE=NUMBER)"),
    ("yes", "y", "bool", False, "Answer yes to all questions"),
)
UP = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        *_MAKING,
        ("abort-on-container-exit", "", "bool", False, "Stop all containers when one stops"),
        ("abort-on-container-failure", "", "bool", False, "Stop all containers when one fails"),
        ("always-recreate-deps", "", "bool", False, "Make dependencies anew, too"),
        ("attach", "", "stringArray", (), "Show the output of these services only"),
        ("attach-dependencies", "", "bool", False, "Show the output of dependencies, too"),
        ("detach", "d", "bool", False, "Leave the containers running in the background"),
        ("exit-code-from", "", "string", "", "End with the exit status of this service; stops all when a container stops"),
        ("menu", "", "bool", False, ""),
        ("no-attach", "", "stringArray", (), "Don't show the output of these services"),
        ("no-color", "", "bool", False, "Logs without colours"),
        ("no-deps", "", "bool", False, "Leave dependencies alone"),
        ("no-log-prefix", "", "bool", False, "Logs without the containers' names"),
        ("no-start", "", "bool", False, "Create containers only"),
        ("renew-anon-volumes", "V", "bool", False, "New anonymous volumes in place of those of the former containers"),
        ("rollout", "", "bool", False, "Replace containers without a gap: the new one takes over when it is healthy"),
        ("timeout", "t", "int", 0, "Seconds that containers get to stop"),
        ("timestamps", "", "bool", False, "Logs with times"),
        ("wait", "", "bool", False, "Wait until services run and are healthy; implies --detach"),
        ("wait-timeout", "", "int", 0, "Seconds to wait at most"),
        ("watch", "w", "bool", False, "Follow changes of source files"),
    ),
    up,
)
CREATE = Verb(" [OPTIONS] [SERVICE...]", _MAKING, create)
SCALE = Verb(" [SERVICE=REPLICAS...]", (("no-deps", "", "bool", False, "Leave dependencies alone"),), scale, 1)
DIFF = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        *_MAKING,
        ("exit-code", "", "bool", False, "End with status 1 where something would change"),
        ("no-deps", "", "bool", False, "Leave dependencies alone"),
        ("quiet", "q", "bool", False, "Show changes only"),
    ),
    diff,
)
