"""`watch`: changes of source files go into the containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.client.api import container_path, filters_param
from scow.compose import building, externals, hooks, images, labels, observe, reconcile, watching
from scow.compose.commands.preparing import Prepared, carry_out, provided
from scow.compose.commands.verb import Verb
from scow.compose.model.project import Project
from scow.compose.records import replace
from scow.compose.session import Session
from scow.errors import ScowError

if TYPE_CHECKING:
    import threading

LOOK_UP = 0.5  # seconds after which a follower sees that it shall end


def run(session: Session, options: Options, args: list[str]) -> int:
    """Until it is interrupted."""
    project = session.project(args)
    for name in args:
        service = project.services[name]
        if not service.develop or not service.develop.watch:
            raise ScowError(f'service "{name}" has no develop.watch section')
    if not any(one.develop and one.develop.watch for one in project.services.values()):
        raise ScowError("none of the selected services is configured for watch, consider setting an 'develop' section")
    if session.would("watch for changes"):
        return 0
    if not options.flag("no-up"):
        project = provided(session, project)
        found = images.ensure(session, project, build=True)
        observed = observe.observe(session.client, project.name)
        chosen = reconcile.Options(images=found.ids, separator=session.separator, services=tuple(args))
        made = Prepared(project, observed, reconcile.reconcile(project, observed, chosen), found, chosen, args)
        carry_out(session, made)
    else:
        project = externals.resolved(session, project)
    return follow(session, project, args, options.flag("quiet"), prune=options.flag("prune"))


def follow(
    session: Session,
    project: Project,
    names: list[str],
    quiet: bool = False,
    stopped: threading.Event | None = None,
    prune: bool = True,
    found: list[watching.Rule] | None = None,
) -> int:
    """Waits and acts, for ever. `found`: the rules, where files were looked at before."""
    if found is None:
        found = watching.rules(project, names)
    news = watching.News(found)
    if news.why:
        session.warn(f"watch: {news.why}: files are looked at again and again instead")
    session.cli.err("Watch enabled\n")
    first = [rule for rule in found if not rule.seen and rule.watch.initial_sync]
    _round(session, project, first, quiet, prune, beginning=True)
    _round(session, project, found, quiet, prune)  # what changed before the kernel was asked
    try:
        while stopped is None or not stopped.is_set():
            why = news.why
            touched = news.wait(None if stopped is None else LOOK_UP)
            if news.why != why:
                session.warn(f"watch: {news.why}: files are looked at again and again instead")
            _round(session, project, touched, quiet, prune)
    finally:
        news.close()
    return 0


def _round(session: Session, project: Project, rules: list[watching.Rule], quiet: bool, prune: bool, beginning: bool = False) -> None:
    """Looks, and does what the rules say; a service is built once, whatever changed."""
    rebuild: dict[str, None] = {}
    for rule in rules:
        changed, gone = rule.changes()
        if not changed and not gone:
            continue
        try:
            if rule.watch.action == "rebuild":
                rebuild[rule.service.name] = None
            else:
                _act(session, project, rule, changed, gone, beginning)
        except (ScowError, OSError) as exc:
            session.warn(f"watch: service {rule.service.name}: {getattr(exc, 'message', exc)}")
    for name in rebuild:
        try:
            _rebuild(session, project, name, quiet, prune)
        except ExitCode as exc:
            session.warn(f"watch: {exc.message}")
        except (ScowError, OSError) as exc:
            session.warn(f"watch: service {name}: {getattr(exc, 'message', exc)}")


def _act(session: Session, project: Project, rule: watching.Rule, changed: list[str], gone: list[str], beginning: bool) -> None:
    """One change in all running containers of the service. The first sync only brings files."""
    name, action = rule.service.name, "sync" if beginning else rule.watch.action
    client = session.dial()
    count = len(changed) + len(gone)
    verb = {"restart": "Restarting", "sync+restart": "Syncing and restarting"}.get(action, "Syncing")
    session.cli.err(f'{verb} service "{name}" after {count} changes were detected\n')
    running = [
        one for one in observe.containers(client, project.name)[0] if one.service == name and not one.oneoff and one.state == "running"
    ]
    for one in running:
        if action.startswith("sync"):
            watching.sync(client, one.id, rule, changed, gone)
        if action.endswith("restart"):
            client.call("POST", container_path(one.id, "restart")).read()
        if action == "sync+exec" and rule.watch.exec:
            hooks.run(client, one.id, rule.watch.exec, name)


def _rebuild(session: Session, project: Project, name: str, quiet: bool, prune: bool) -> None:
    """A new image, and new containers of the one service."""
    session.cli.err(f'Rebuilding service "{name}" after changes were detected...\n')
    building.build_all(session, project, [project.services[name]], quiet)
    only = project.with_services({name: replace(project.services[name], depends_on={})})
    found = images.Found()
    images.look(session, [only.services[name].image or f"{project.name}{session.separator}{name}"], found)
    observed = observe.observe(session.client, project.name)
    chosen = reconcile.Options(images=found.ids, separator=session.separator, services=(name,))
    plan = reconcile.reconcile(only, observed, chosen)
    carry_out(session, Prepared(only, observed, plan, found, chosen, [name]))
    session.cli.err(f'service "{name}" successfully built\n')
    if prune:
        wanted = {"dangling": {"true": True}, "label": {labels.of_project(project.name): True}}
        session.dial().call("POST", "/images/prune", {"filters": filters_param(wanted)}).read()


WATCH = Verb(
    " [SERVICE...]",
    (
        ("no-up", "", "bool", False, "Don't build and start the services first"),
        ("prune", "", "bool", True, "Remove the images that builds leave without a name"),
        ("quiet", "", "bool", False, "Don't show how builds go"),
    ),
    run,
)
