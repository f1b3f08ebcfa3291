"""`config`: checks the files and prints what they come to, whole or one aspect of it, as the plugin does."""

from __future__ import annotations

from scow import fastjson
from scow.cli import terminal
from scow.cli.flags import Options
from scow.cli.format.table import layout
from scow.compose import documents
from scow.compose import hash as hashing
from scow.compose.commands.verb import Verb
from scow.compose.create import image_name
from scow.compose.model.project import Project
from scow.compose.order import ordered
from scow.compose.records import replace
from scow.compose.session import Session
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

WIDTH = 20  # of a column of `--variables`


def run(session: Session, options: Options, args: list[str]) -> int:
    """Prints the model, or what a flag asks for."""
    form = options.text("format") or "yaml"
    if options.flag("variables"):
        return _variables(session, form, _tree(session, options, interpolate=False)[0])
    if options.flag("no-interpolate"):
        return _uninterpolated(session, options, form, args)
    project = _project(session, options, [] if any(options.flag(one) for one in _OF_ALL) else args)
    if options.given("hash"):
        return _hashes(session, project, options.text("hash"))
    if options.flag("quiet"):
        return 0
    for aspect, listed in _ASPECTS.items():
        if options.flag(aspect):
            return _lines(session, listed(project))
    if form not in ("yaml", "json"):
        raise ScowError(f'unsupported format "{form}"')
    locked = options.flag("lock-image-digests")
    if locked or options.flag("resolve-image-digests"):
        project = project.with_services({name: replace(one, image=pinned(session, one.image)) for name, one in project.services.items()})
    if locked:
        document: Any = {"services": {name: {"image": one.image} for name, one in sorted(project.services.items()) if one.image}}
    else:
        document = documents.of_project(project, form == "json")
    return _document(session, options, documents.text(document, form).replace("$", "$$"))


def _load_flags(options: Options) -> dict[str, Any]:
    return {
        "normalize": not options.flag("no-normalize"),
        "resolve_paths": not options.flag("no-path-resolution"),
        "consistency": not options.flag("no-consistency"),
        # the plugin's `config --hash` does not read env_file, though the hash of a container does
        "resolve_environment": not options.flag("no-env-resolution") and not options.given("hash"),
    }


def _project(session: Session, options: Options, names: list[str], interpolate: bool = True) -> Project:
    from scow.compose.load import profiles

    project = session.load(**_load_flags(options), interpolate=interpolate)
    if any(name in project.disabled for name in names):
        project = profiles.with_profiles(project, profiles.profiles_for(project, names))
    # the plugin prints what any service uses, whichever services are named
    kept = project if session.given.flag("all-resources") else profiles.only_used(project)
    return profiles.select(kept, names)


def _tree(session: Session, options: Options, interpolate: bool) -> tuple[dict[str, Any], Project]:
    from scow.cli import libraries

    libraries.load()
    from scow.compose.load.loader import load_tree

    tree, shell = load_tree(session.load_options(**_load_flags(options), interpolate=interpolate))
    for sentence in shell.warnings:
        session.warn(sentence)
    return tree, shell


def _uninterpolated(session: Session, options: Options, form: str, args: list[str]) -> int:
    """What `--no-interpolate` prints: the tree, because a variable may stand where the model has a number."""
    tree, shell = _tree(session, options, interpolate=False)
    services = {name: one or {} for name, one in (tree.get("services") or {}).items()}
    for name in args:
        if name not in services:
            raise ScowError(f"no such service: {name}")
    if options.given("hash"):
        return _hashes(session, _project(session, options, [], interpolate=False), options.text("hash"))
    if options.flag("quiet"):
        return 0
    chosen = {name: one for name, one in services.items() if (name in args if args else _on(one, shell.profiles))}
    if options.flag("services"):
        return _lines(session, sorted(chosen))
    if options.flag("environment"):
        return _lines(session, _environment(shell))
    if options.flag("images"):
        return _lines(session, sorted({one.get("image") or f"{shell.name}-{name}" for name, one in chosen.items()}))
    if options.flag("profiles"):
        return _lines(session, sorted({str(word) for one in services.values() for word in one.get("profiles") or []}))
    for kind in ("volumes", "networks", "models"):
        if options.flag(kind):
            return _lines(session, sorted(tree.get(kind) or {}))
    if form not in ("yaml", "json"):
        raise ScowError(f'unsupported format "{form}"')
    locked = options.flag("lock-image-digests")
    if locked or options.flag("resolve-image-digests"):
        for one in (chosen if args else services).values():
            if "$" not in str(one.get("image", "$")):
                one["image"] = pinned(session, one["image"])
    if locked:
        tree = {"services": {name: {"image": one["image"]} for name, one in chosen.items() if "image" in one}}
    elif args:
        tree = {**tree, "services": chosen}
    return _document(session, options, documents.text(documents.of_tree(tree, form == "json"), form))


def _on(service: dict[str, Any], profiles: tuple[str, ...]) -> bool:
    own = service.get("profiles") or []
    return not own or "*" in profiles or any(one in profiles for one in own)


def _document(session: Session, options: Options, text: str) -> int:
    path = options.text("output")
    if not path:
        session.cli.out(text)
        if not text.endswith("\n") and terminal.is_terminal(1):
            session.cli.out("\n")
        return 0
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise ScowError(f"open {path}: {(exc.strerror or str(exc)).lower()}") from None
    return 0


def _lines(session: Session, lines: Iterable[str]) -> int:
    session.cli.out("".join(f"{line}\n" for line in lines))
    return 0


# ---------------------------------------------------------------- aspects


def _services(project: Project) -> list[str]:
    """Names, what others depend on first."""

    def before(name: str) -> list[str]:
        return sorted(other for other in project.services[name].depends_on if other in project.services)

    return ordered(sorted(project.services), before, circles=True)


def _images(project: Project) -> list[str]:
    return [image_name(project, project.services[name]) for name in sorted(project.services)]


def _profiles(project: Project) -> list[str]:
    return sorted({one for service in (*project.services.values(), *project.disabled.values()) for one in service.profiles})


def _environment(project: Project) -> list[str]:
    return [f"{name}={project.environment[name]}" for name in sorted(project.environment)]


_ASPECTS = {
    "services": _services,
    "volumes": lambda project: sorted(project.volumes),
    "networks": lambda project: sorted(project.networks),
    "models": lambda project: sorted(one.model for one in project.models.values()),
    "profiles": _profiles,
    "images": _images,
    "environment": _environment,
}


_OF_ALL = ("services", "volumes", "networks", "models", "profiles", "environment")  # whichever services are named


def _hashes(session: Session, project: Project, wanted: str) -> int:
    names = sorted(project.services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in project.services:
            raise ScowError(f"no such service: {name}: not found")
    return _lines(session, [f"{name} {hashing.digest(project.services[name])}" for name in sorted(names)])


def _variables(session: Session, form: str, tree: dict[str, Any]) -> int:
    from scow.compose.load.interpolate import variables_of

    found = variables_of(tree)
    if form == "json":
        rows = {
            name: {"Name": name, "DefaultValue": default, "PresenceValue": alternate, "Required": bool(required)}
            for name, (required, default, alternate) in sorted(found.items())
        }
        session.cli.out(fastjson.dumps(rows) + "\n")
        return 0
    table = [["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]]
    table += [[name, "true" if found[name][0] else "false", *found[name][1:]] for name in sorted(found)]
    session.cli.out(layout(table, minimum=WIDTH))
    return 0


def pinned(session: Session, image: str) -> str:
    """The name of an image with its digest. Raises ScowError."""
    from urllib.parse import quote

    from scow.cli.commands.service.requests import authority
    from scow.reference import Reference

    if not image or "@" in image:
        return image
    reference = Reference.parse(image).tagged().full()
    headers = authority(session.cli, image)
    answer: Any = session.client.call("GET", f"/distribution/{quote(reference, '/:@')}/json", None, None, headers).json()
    digest = (answer.get("Descriptor") or {}).get("digest") or ""
    if not digest:
        raise ScowError(f"{image}: the registry told no digest")
    return f"{reference}@{digest}"


CONFIG = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("environment", "", "bool", False, "Print the variables that the files are read with"),
        ("format", "", "string", "", "Format of the output (yaml, json)"),
        ("hash", "", "string", "", 'Print the hashes of services, by their names or "*"'),
        ("images", "", "bool", False, "Print the names of images"),
        ("lock-image-digests", "", "bool", False, "Print an override file that pins images by digest"),
        ("models", "", "bool", False, "Print the names of models"),
        ("networks", "", "bool", False, "Print the names of networks"),
        ("no-consistency", "", "bool", False, "Don't check that everything fits together"),
        ("no-env-resolution", "", "bool", False, "Don't read the services' env_file"),
        ("no-interpolate", "", "bool", False, "Leave variables as they are written"),
        ("no-normalize", "", "bool", False, "Leave out what the files only imply"),
        ("no-path-resolution", "", "bool", False, "Leave paths relative"),
        ("output", "o", "string", "", "Write to a file"),
        ("profiles", "", "bool", False, "Print the names of profiles"),
        ("quiet", "q", "bool", False, "Check only"),
        ("resolve-image-digests", "", "bool", False, "Name images with their digests, which the registries tell"),
        ("services", "", "bool", False, "Print the names of services"),
        ("variables", "", "bool", False, "Print the variables that the files name, and their defaults"),
        ("volumes", "", "bool", False, "Print the names of volumes"),
    ),
    run,
)
