"""`watch`: changes of source files go into the containers."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.client.api import container_path
from scow.compose import building, images, observe, reconcile, watching
from scow.compose.commands.session import Session, Verb
from scow.compose.commands.up import Prepared, carry_out
from scow.compose.project import Project
from scow.errors import ScowError


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
        found = images.ensure(session, project, build=True)
        observed = observe.observe(session.client, project.name)
        chosen = reconcile.Options(images=found.ids, separator=session.separator, services=tuple(args))
        made = Prepared(project, observed, reconcile.reconcile(project, observed, chosen), found, chosen, args)
        carry_out(session, made, made.plan, observed)
    return follow(session, project, args, options.flag("quiet"))


def follow(session: Session, project: Project, names: list[str], quiet: bool = False, stopped: threading.Event | None = None) -> int:
    """Looks and acts, for ever."""
    found = watching.rules(project, names)
    session.cli.err("Watch enabled\n")
    while stopped is None or not stopped.wait(0):
        rebuild: dict[str, None] = {}
        for rule in found:
            changed, gone = rule.changes()
            if not changed and not gone:
                continue
            try:
                if rule.watch.action == "rebuild":
                    rebuild[rule.service.name] = None
                else:
                    _act(session, project, rule, changed, gone)
            except (ScowError, OSError) as exc:
                session.warn(f"watch: service {rule.service.name}: {getattr(exc, 'message', exc)}")
        for name in rebuild:
            try:
                _rebuild(session, project, name, quiet)
            except ExitCode as exc:
                session.warn(exc.message)
            except (ScowError, OSError) as exc:
                session.warn(f"watch: service {name}: {getattr(exc, 'message', exc)}")
        time.sleep(watching.EVERY)
    return 0


def _act(session: Session, project: Project, rule: watching.Rule, changed: list[str], gone: list[str]) -> None:
    name, action = rule.service.name, rule.watch.action
    client = session.dial()
    count = len(changed) + len(gone)
    running = [
        one for one in observe.containers(client, project.name)[0] if one.service == name and not one.oneoff and one.state == "running"
    ]
    for one in running:
        if action.startswith("sync"):
            watching.sync(client, one.id, rule, changed, gone)
        if action.endswith("restart"):
            client.call("POST", container_path(one.id, "restart")).read()
        if action == "sync+exec" and rule.watch.exec:
            watching.execute(client, one.id, list(rule.watch.exec.command or ()), rule.watch.exec.user)
    verb = {"restart": "Restarting", "sync+restart": "Syncing and restarting"}.get(action, "Syncing")
    session.cli.err(f'{verb} service "{name}" after {count} changes were detected\n')


def _rebuild(session: Session, project: Project, name: str, quiet: bool) -> None:
    """A new image, and new containers of the one service."""
    session.cli.err(f'Rebuilding service "{name}" after changes were detected...\n')
    building.build_all(session, project, [project.services[name]], quiet)
    only = project.with_services({name: replace(project.services[name], depends_on={})})
    found = images.Found()
    images.look(session, [only.services[name].image or f"{project.name}{session.separator}{name}"], found)
    observed = observe.observe(session.client, project.name)
    chosen = reconcile.Options(images=found.ids, separator=session.separator, services=(name,))
    plan = reconcile.reconcile(only, observed, chosen)
    carry_out(session, Prepared(only, observed, plan, found, chosen, [name]), plan, observed)
    session.cli.err(f'service "{name}" successfully built\n')


WATCH = Verb(
    " [SERVICE...]",
    (
        ("no-up", "", "bool", False, "Don't build and start the services first"),
        ("prune", "", "bool", True, ""),
        ("quiet", "", "bool", False, "Don't show how builds go"),
    ),
    run,
)
