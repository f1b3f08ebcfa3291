"""`pull`, `push` and `build`: images of services."""

from __future__ import annotations

from scow.cli.flags import Options
from scow.compose import create, images
from scow.compose.commands.verb import Verb
from scow.compose.model.service import Service
from scow.compose.session import Session
from scow.errors import ScowError


def pull(session: Session, options: Options, args: list[str]) -> int:
    """Fetches the images that services name."""
    policy = options.text("policy")
    if policy not in ("", "missing", "always"):
        raise ScowError(f'invalid --policy "{policy}": use missing or always')
    project = session.project(args, options.flag("include-deps"))
    wanted: dict[str, Service] = {}
    for service in project.services.values():
        if not service.image or (service.build and options.flag("ignore-buildable")) or service.pull_policy in ("never", "build"):
            session.progress.event(service.name, "Skipped", "No image to be pulled" if not service.image else "", True)
            continue
        wanted.setdefault(service.image, service)
    found = images.Found()
    missing = [name for name, service in wanted.items() if (policy or service.pull_policy) in ("missing", "if_not_present")]
    images.look(session, missing, found)
    todo = [(name, service) for name, service in wanted.items() if name not in found.ids]
    if session.dry:
        for name, _ in todo:
            session.would(f"pull image {name}")
        return 0
    if options.flag("quiet"):
        session.quiet()
    buildable = {name for name, service in todo if service.build}
    optional = {name for name, _ in todo} if options.flag("ignore-pull-failures") else buildable
    failed = images.fetch_all(session, todo, options.flag("quiet"), optional)
    session.end()
    if failed & buildable:
        names = sorted(service.name for name, service in todo if name in failed)
        session.warn(f"Some service image(s) must be built from source by running: docker compose build {' '.join(names)}")
    return 0


def push(session: Session, options: Options, args: list[str]) -> int:
    """Sends the images of services that are built."""
    project = session.project(args, options.flag("include-deps"))
    if options.flag("quiet"):
        session.quiet()
    for service in project.services.values():
        if not service.build or not service.image:
            session.progress.event(service.name, "Skipped", "", True)
            continue
        if session.would(f"push image {service.image}"):
            continue
        for name in (service.image, *service.build.tags):
            try:
                images.push_one(session, name, service)
            except ScowError:
                if not options.flag("ignore-push-failures"):
                    raise
    return 0


def build(session: Session, options: Options, args: list[str]) -> int:
    """Builds images."""
    from scow.compose.records import replace

    project = session.project(args, options.flag("with-dependencies"))
    everything = session.load() if args and not options.flag("with-dependencies") else project
    wanted = [service for service in project.services.values() if service.build]
    if session.dry or options.flag("print"):
        for service in wanted:
            session.cli.out(f"would build image {create.image_name(project, service, session.separator)}\n")
        return 0
    if not wanted:
        session.cli.err("No services to build\n")
        return 0
    flags: dict[str, object] = {flag: True for flag in ("no-cache", "pull", "push", "check") if options.flag(flag)}
    if options.number("memory"):
        flags["memory"] = options.number("memory")
    flags |= {name: options.text(name) for name in ("provenance", "sbom") if options.text(name)}
    if options.text("ssh"):
        flags["ssh"] = [options.text("ssh")]
    arguments = {
        key: value if sep else session.environ.get(key) for key, sep, value in (word.partition("=") for word in options.list("build-arg"))
    }
    if arguments:
        wanted = [replace(one, build=replace(one.build, args={**one.build.args, **arguments})) for one in wanted if one.build]
    progress = options.text("progress")
    quiet = options.flag("quiet") or progress == "quiet"
    from scow.compose import building

    building.build_all(session, replace(project, services={**everything.services, **project.services}), wanted, quiet, flags=flags)
    return 0


PULL = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("ignore-buildable", "", "bool", False, "Leave images out that can be built"),
        ("ignore-pull-failures", "", "bool", False, "Fetch what can be had, ignore the rest"),
        ("include-deps", "", "bool", False, "The images of dependencies, too"),
        ("no-parallel", "", "bool", True, ""),
        ("parallel", "", "bool", True, ""),
        ("policy", "", "string", "", 'When to fetch ("missing", "always")'),
        ("quiet", "q", "bool", False, "Don't show how it goes"),
    ),
    pull,
)
PUSH = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("ignore-push-failures", "", "bool", False, "Send what can be sent, ignore the rest"),
        ("include-deps", "", "bool", False, "The images of dependencies, too"),
        ("quiet", "q", "bool", False, "Don't show how it goes"),
    ),
    push,
)
BUILD = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("build-arg", "", "stringArray", (), "Set arguments of the builds"),
        ("builder", "", "string", "", "Accepted; the engine builds"),
        ("check", "", "bool", False, "Only check the Dockerfiles"),
        ("compress", "", "bool", True, ""),
        ("force-rm", "", "bool", True, ""),
        ("memory", "m", "bytes", 0, "Memory that a step may use"),
        ("no-cache", "", "bool", False, "Don't use the cache"),
        ("no-rm", "", "bool", False, ""),
        ("parallel", "", "bool", True, ""),
        ("print", "", "bool", False, "Say what would be built"),
        ("progress", "", "string", "", ""),
        ("provenance", "", "string", "", "Attest how the images were made"),
        ("pull", "", "bool", False, "Fetch newer base images"),
        ("push", "", "bool", False, "Send the images to their registries"),
        ("quiet", "q", "bool", False, "Print nothing"),
        ("sbom", "", "string", "", "Attest what the images hold"),
        ("ssh", "", "string", "", "Agents for the steps (default, name=socket)"),
        ("with-dependencies", "", "bool", False, "The images of dependencies, too"),
    ),
    build,
)
