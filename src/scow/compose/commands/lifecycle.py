"""`start`, `stop`, `restart`, `kill`, `pause`, `unpause` and `rm`: containers that are there."""

from __future__ import annotations

import sys

from scow.cli.flags import Options
from scow.compose import reconcile
from scow.compose.commands.verb import Verb, grace
from scow.compose.model.project import Project
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.plan import Plan, side_by_side
from scow.compose.session import Session
from scow.errors import ScowError


def start(session: Session, options: Options, args: list[str]) -> int:
    """Starts containers, dependencies first."""
    from scow.compose.load.profiles import select

    project, observed, _ = session.acting(args)
    chosen = select(project, args)
    if not any(not one.oneoff and one.service in chosen.services for one in observed.containers):
        if args:
            return 0  # as the plugin: nothing to start
        missing = next(iter(chosen.services), project.name)
        raise ScowError(f'service "{missing}" has no container to start')
    session.carry_out(reconcile.starting(chosen, observed), chosen, observed)
    if options.flag("wait") and not session.dry:
        from scow.compose.commands.ready import wait_services

        wait_services(session, chosen, set(args), options.number("wait-timeout"))
    return 0


def stop(session: Session, options: Options, args: list[str]) -> int:
    """Stops containers, dependents first."""
    project, observed, chosen = session.acting(args, enabled=True)
    session.carry_out(reconcile.teardown(chosen, (), (), remove=False), project, observed, timeout=grace(options))
    if any(service.provider for service in project.services.values()):
        from scow.compose import providers

        providers.down(session, project, "stop", args)
    return 0


def restart(session: Session, options: Options, args: list[str]) -> int:
    """Restarts containers, dependencies first."""
    project, observed, chosen = session.acting(args)
    names = {one.service for one in chosen}
    if not options.flag("no-deps"):
        names |= _restarted_with(project, names)
    chosen = [one for one in observed.containers if not one.oneoff and one.service in names and one.service in project.services]
    if not chosen:
        session.cli.err("no container to restart\n")
        return 0
    session.carry_out(_restarts(project, observed, chosen), project, observed, timeout=grace(options))
    return 0


def _restarted_with(project: Project, names: set[str]) -> set[str]:
    """Services that say `restart: true` of one of these."""
    return {
        name
        for name, service in project.services.items()
        if any(one.restart and other in names for other, one in service.depends_on.items())
    }


def _restarts(project: Project, observed: Observed, chosen: list[ContainerInfo]) -> Plan:
    plan = Plan()
    by: dict[str, list[int]] = {}
    for name in reconcile.order(project.services):
        service = project.services[name]
        after = [ident for other in service.depends_on for ident in by.get(other, [])]
        mine = [one for one in chosen if one.service == name]
        by[name] = [plan.add("restart", one.name, "asked for", after, service=service, old=one) for one in mine]
    return plan


def kill(session: Session, options: Options, args: list[str]) -> int:
    """Sends a signal to running containers, those of `run`, too."""
    project, observed, chosen = session.acting(args, everything=True, enabled=True)
    if options.flag("remove-orphans"):
        chosen = [*chosen, *(one for one in reconcile.orphans(project, observed) if one not in chosen)]
    running = [one for one in chosen if one.running]
    if not running:
        session.cli.err("no container to kill\n")
        return 0
    session.carry_out(side_by_side("kill", running, options.text("signal")), project, observed)
    return 0


def pause(session: Session, options: Options, args: list[str]) -> int:
    """Freezes running containers."""
    project, observed, chosen = session.acting(args, enabled=True)
    session.carry_out(side_by_side("pause", [one for one in chosen if one.state == "running"]), project, observed)
    return 0


def unpause(session: Session, options: Options, args: list[str]) -> int:
    """Thaws paused containers."""
    project, observed, chosen = session.acting(args, enabled=True)
    session.carry_out(side_by_side("unpause", [one for one in chosen if one.state == "paused"]), project, observed)
    return 0


def rm(session: Session, options: Options, args: list[str]) -> int:
    """Removes stopped containers; with --stop stops them first."""
    project, observed, chosen = session.acting(args, enabled=True)
    if not options.flag("stop"):
        chosen = [one for one in chosen if not one.running]
    if not chosen:
        session.cli.err("No stopped containers\n")
        return 0
    if not session.dry and not _sure(session, chosen, options.flag("force")):
        return 0
    plan = reconcile.teardown(chosen, (), ())
    session.carry_out(plan, project, observed, volumes=options.flag("volumes"))
    return 0


def _sure(session: Session, chosen: list[ContainerInfo], force: bool) -> bool:
    names = ", ".join(one.name for one in chosen)
    if force:
        session.cli.out(f"Going to remove {names}\n")
        return True
    session.cli.out(f"? Going to remove {names} (y/N) ")
    session.cli.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


_TIMEOUT = ("timeout", "t", "int", 0, "Seconds that containers get to stop")
START = Verb(
    " [SERVICE...]",
    (
        ("wait", "", "bool", False, "Wait until services run and are healthy"),
        ("wait-timeout", "", "int", 0, "Seconds to wait at most"),
    ),
    start,
)
STOP = Verb(" [OPTIONS] [SERVICE...]", (_TIMEOUT,), stop)
RESTART = Verb(" [OPTIONS] [SERVICE...]", (_TIMEOUT, ("no-deps", "", "bool", False, "Leave dependents alone")), restart)
KILL = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("remove-orphans", "", "bool", False, "Kill containers of services that the files don't know, too"),
        ("signal", "s", "string", "SIGKILL", "Signal to send"),
    ),
    kill,
)
PAUSE = Verb(" [SERVICE...]", (), pause)
UNPAUSE = Verb(" [SERVICE...]", (), unpause)
RM = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("all", "a", "bool", False, ""),
        ("force", "f", "bool", False, "Don't ask"),
        ("stop", "s", "bool", False, "Stop containers first"),
        ("volumes", "v", "bool", False, "Remove anonymous volumes, too"),
    ),
    rm,
)
