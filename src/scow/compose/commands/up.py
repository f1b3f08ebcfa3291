"""`up`, `create`, `scale` and `diff`: what is wanted against what runs."""

from __future__ import annotations

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.compose import images, observe, reconcile
from scow.compose.commands.preparing import Prepared, carry_out, prepare, provided, scaled, scales
from scow.compose.commands.verb import Verb, grace
from scow.compose.session import Session
from scow.errors import ScowError


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
    carry_out(session, made, timeout=grace(options))
    if wait and not session.dry:
        from scow.compose.commands.ready import wait_services

        wait_services(session, made.project, set(made.services), options.number("wait-timeout"))
    if options.flag("watch") and not session.dry:
        from scow.compose.commands.watch import follow

        return follow(session, made.project, args)
    return 0


def create(session: Session, options: Options, args: list[str]) -> int:
    """Creates containers without starting them."""
    made = prepare(session, options, args, False)
    carry_out(session, made, timeout=grace(options))
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
    carry_out(session, made)
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
