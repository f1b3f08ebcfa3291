"""`run`: a command once, in a new container of a service, with what the service depends on."""

from __future__ import annotations

import secrets

from scow.cli import terminal
from scow.cli.flags import Options
from scow.client.api import container_path
from scow.compose import images, observe, reconcile
from scow.compose.commands.exec import options_of
from scow.compose.commands.preparing import provided
from scow.compose.commands.verb import Verb
from scow.compose.execute.containers import make
from scow.compose.execute.executor import execute
from scow.compose.model.project import Project
from scow.compose.model.service import Mount, Port, Service
from scow.compose.plan import Operation, Plan
from scow.compose.records import replace
from scow.compose.session import Session
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any


def run(session: Session, options: Options, args: list[str]) -> int:
    """The command's exit status is ours."""
    name = args[0]
    project = session.project([name], not options.flag("no-deps"))
    service = project.services[name]
    if service.provider:
        raise ScowError(f"service {name} is made by the provider {service.provider.type}: it has no container to run a command in")
    project = provided(session, project, options.flag("quiet-pull"))
    service = project.services[name]
    found = images.ensure(session, project, options.flag("build"), pull=options.text("pull"), quiet=options.flag("quiet-pull"))
    observed = observe.observe(session.client, project.name)
    others = project.with_services({other: one for other, one in project.services.items() if other != name})
    remove = options.flag("remove-orphans") or session.truth("COMPOSE_REMOVE_ORPHANS")
    wanted = reconcile.Options(images=found.ids, separator=session.separator, remove_orphans=False)
    plan = reconcile.reconcile(others, observed, wanted)
    if remove:
        for one in reconcile.orphans(project, observed):
            plan.add("remove", one.name, "an orphan", old=one)
    _conditions(plan, project, service)
    slug = secrets.token_hex(32)
    made = _service(session, options, args[1:], service, slug)
    if session.dry:
        plan.add("create", made.container_name, "asked for", service=made)
        session.cli.out(plan.text())
        return 0
    if options.flag("quiet"):
        session.quiet()
    started = session.begin(project, observed, image_volumes=found.volumes, image_ids=found.ids)
    try:
        execute(started, plan)
        ident = make(
            started,
            Operation(id=0, kind="create", target=made.container_name, service=made),
            made.container_name,
            oneoff=True,
            slug=slug,
            aliases=options.flag("use-aliases"),
            ports=options.flag("service-ports") or bool(options.list("publish")),
            auto_remove=options.flag("rm"),
            stdin=made.stdin_open and not options.flag("detach"),
        )
    finally:
        started.close()
        session.end()
    return _joined(session, options, ident, made)


def _joined(session: Session, options: Options, ident: str, made: Service) -> int:
    cli = session.cli
    if options.flag("detach"):
        cli.client.call("POST", container_path(ident, "start")).read()
        cli.out(f"{ident}\n")
        return 0
    from scow.cli.commands.container.start import START

    return START.run(cli, options_of(START, attach=True, interactive=made.stdin_open), [ident]) or 0


def _conditions(plan: Plan, project: Project, service: Service) -> None:
    """Adds what the service waits for."""
    from scow.compose.create import container_name

    before = tuple(one.id for one in plan.operations)
    for name, dependency in sorted(service.depends_on.items()):
        kind = {"service_healthy": "wait", "service_completed_successfully": "completed"}.get(dependency.condition)
        other = project.services.get(name)
        if kind is None or other is None:
            continue
        for number in range(1, other.replicas + 1):
            cause = f"{service.name} wants it {'healthy' if kind == 'wait' else 'completed'}"
            plan.add(kind, container_name(project, other, number), cause, before, service=other, required=dependency.required)


def _service(session: Session, options: Options, command: list[str], service: Service, slug: str) -> Service:
    """The service as the command wants it."""
    from scow.compose.codec import decode
    from scow.compose.load.mounts import parse_mount
    from scow.compose.load.ports import parse_ports

    no_tty = options.flag("no-TTY") or options.flag("no-tty") or (options.given("tty") and not options.flag("tty"))
    detach = options.flag("detach")
    terminals = terminal.is_terminal(0) and terminal.is_terminal(1)
    changes: dict[str, Any] = {
        "container_name": options.text("name") or f"{_project_name(session, service)}{session.separator}run{session.separator}{slug[:12]}",
        "scale": 1,
        "deploy": None if service.deploy is None else replace(service.deploy, replicas=1),
        "restart": "",
        "tty": not no_tty and (terminals or detach) and not (detach and not service.tty),
        "stdin_open": options.flag("interactive") and not detach,
    }
    if command:
        changes["command"] = tuple(command)
    if options.given("entrypoint"):
        from scow.compose.load.shellwords import split

        changes["entrypoint"] = tuple(split(options.text("entrypoint")))
        if not command:
            changes["command"] = ()
    environment = dict(service.environment)
    for path in options.list("env-from-file"):
        from scow.compose.load import env

        environment |= env.parse(env.read(path), session.environ.get, path)
    for word in options.list("env"):
        key, sep, value = word.partition("=")
        if sep or key in session.environ:
            environment[key] = value if sep else session.environ[key]
    changes["environment"] = environment
    pairs = [word.partition("=") for word in options.list("label")]
    if any(not sep for _, sep, _ in pairs):
        raise ScowError("label must be set as KEY=VALUE")
    changes["labels"] = {**service.labels, **{key: value for key, _, value in pairs}}
    changes["cap_add"] = (*service.cap_add, *options.list("cap-add"))
    changes["cap_drop"] = (*service.cap_drop, *options.list("cap-drop"))
    changes |= {field: options.text(flag) for field, flag in (("user", "user"), ("working_dir", "workdir")) if options.text(flag)}
    try:
        if options.list("publish"):
            own = service.ports if options.flag("service-ports") else ()
            given = [decode(Port, row, ("ports",)) for word in options.list("publish") for row in parse_ports(word)]
            changes["ports"] = (*own, *given)
        if options.list("volume"):
            mounts = [_mount(decode(Mount, parse_mount(word), ("volumes",))) for word in options.list("volume")]
            targets = {one.target for one in mounts}
            changes["volumes"] = (*(one for one in service.volumes if one.target not in targets), *mounts)
    except ValueError as exc:
        raise ScowError(str(exc)) from None
    return replace(service, **changes)


def _mount(mount: Mount) -> Mount:
    """Paths of the command line are relative to where the user is."""
    import os

    if mount.type != "bind":
        return mount
    return replace(mount, source=os.path.abspath(os.path.expanduser(mount.source)))


def _project_name(session: Session, service: Service) -> str:
    return f"{session.name}{session.separator}{service.name}"


RUN = Verb(
    " [OPTIONS] SERVICE [COMMAND] [ARGS...]",
    (
        ("build", "", "bool", False, "Build the image first"),
        ("cap-add", "", "list", (), "Add capabilities"),
        ("cap-drop", "", "list", (), "Take capabilities away"),
        ("detach", "d", "bool", False, "Run in the background and print the container's ID"),
        ("entrypoint", "", "string", "", "In place of the image's entrypoint"),
        ("env", "e", "stringArray", (), "Set variables of its environment"),
        ("env-from-file", "", "stringArray", (), "Read variables of its environment from files"),
        ("interactive", "i", "bool", True, "Keep standard input open"),
        ("label", "l", "stringArray", (), "Add labels"),
        ("name", "", "string", "", "Name of the container"),
        ("no-TTY", "T", "bool", False, "Without a terminal (default: with one where there is one)"),
        ("no-tty", "", "bool", False, ""),
        ("no-deps", "", "bool", False, "Leave dependencies alone"),
        ("publish", "p", "stringArray", (), "Publish ports of the container"),
        ("pull", "", "string", "policy", 'When to fetch images ("always", "missing", "never")'),
        ("quiet", "q", "bool", False, "Don't show how it goes"),
        ("quiet-build", "", "bool", False, "Don't show how builds go"),
        ("quiet-pull", "", "bool", False, "Don't show how pulls go"),
        ("remove-orphans", "", "bool", False, "Remove containers of services that the files don't know"),
        ("rm", "", "bool", False, "Remove the container when it ends"),
        ("service-ports", "P", "bool", False, "Publish the service's ports"),
        ("tty", "t", "bool", True, ""),
        ("use-aliases", "", "bool", False, "With the service's names in its networks"),
        ("user", "u", "string", "", "User to run it as"),
        ("volume", "v", "stringArray", (), "Mount more volumes"),
        ("workdir", "w", "string", "", "Directory to run it in"),
    ),
    run,
    1,
    interspersed=False,
)
