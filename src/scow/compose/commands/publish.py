"""`publish`: the compose files as an artifact in a registry, for `-f oci://…` and `include`."""

from __future__ import annotations

import hashlib
import os
import re
import sys

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.compose import emit
from scow.compose.commands.verb import Verb
from scow.compose.model.project import Project
from scow.compose.session import Session
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.registryclient import RegistryClient
    from scow.compose.artifact import Layer
    from scow.compose.load.yaml import Document

MAX_FILES = 200
_SENSITIVE = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|api_?key|private_?key|access_?key", re.IGNORECASE)


def publish(session: Session, options: Options, args: list[str]) -> int:
    """Pushes images that are built, then the files."""
    from scow.reference import Reference

    version = options.text("oci-version")
    if version not in ("", "1.0", "1.1"):
        raise ScowError(f"unsupported OCI version: {version}: use 1.0 or 1.1")
    reference = Reference.parse(args[0]).tagged()
    project = session.load(profiles=("*",))
    without = [service.name for service in project.services.values() if service.build and not service.image]
    if without:
        names = "".join(f'- "{name}"\n' for name in without)
        raise ScowError(f"your Compose stack cannot be published as it only contains a build section for service(s):\n{names}")
    files = Files(options.flag("with-env"))
    for file in project.files:
        files.add(file)
    _ask(session, options, _warnings(project, files))
    _images(session, project)
    layers = files.layers
    if options.flag("resolve-image-digests") and not session.dry:
        layers.append(_pins(session, project))
    if session.would(f"publish {len(layers)} file(s) as {reference.familiar()}"):
        return 0
    from scow.cli import libraries

    libraries.load()
    from scow.cli import registryclient
    from scow.compose import artifact

    insecure = options.flag("insecure-registry") or reference.domain in session.given.list("insecure-registry")
    session.progress.event(args[0], "Publishing")
    client = registryclient.of(session.cli, reference, insecure, True)
    try:
        made = artifact.push(client, reference.tag, layers, version)
        if options.flag("app"):
            artifact.push_images(client, made, _copied(session, project, client))
    except ScowError:
        session.progress.event(args[0], "Error", "", True, True)
        raise
    session.progress.event(args[0], "Published", made["digest"], True)
    session.end()
    return 0


class Files:
    """The files of an application as they are published: text as it is written, but for the names of files that come along."""

    def __init__(self, with_env: bool) -> None:
        self.layers: list[Layer] = []
        self.env_files: dict[str, str] = {}  # service -> a file that it names
        self.sensitive: dict[str, str] = {}  # service -> variables whose values look as if they were secret
        self.contents: list[str] = []  # configs with their content
        self.with_env = with_env
        self._seen: set[str] = set()

    def add(self, file: str, name: str = "") -> None:
        """A compose file, and what it names. Raises ScowError."""
        from scow.compose.artifact import Layer
        from scow.compose.load.files import read
        from scow.compose.load.yaml import documents

        if file == "-":
            raise ScowError("what comes from standard input can't be published: give files with -f")
        if file in self._seen:
            return
        self._seen.add(file)
        if len(self._seen) > MAX_FILES:
            raise ScowError(f"more than {MAX_FILES} files would be published")
        data = read(file)
        text = data.decode("utf-8-sig", "surrogateescape")
        changes: dict[tuple[int, int], str] = {}
        extended: dict[str, str] = {}
        for document in documents(data, file):
            self._document(document, file, changes, extended)
        for (begin, end), word in sorted(changes.items(), reverse=True):
            text = text[:begin] + emit.yaml(word).strip() + text[end:]
        made = Layer(name=name or os.path.basename(file), data=text.encode("utf-8", "surrogateescape"), extended=bool(name))
        self.layers.append(made)
        for path, other in extended.items():
            self.add(path, other)

    def _document(self, document: Document, file: str, changes: dict[tuple[int, int], str], extended: dict[str, str]) -> None:
        from scow.compose.load.paths import is_remote

        tree = document.tree if isinstance(document.tree, dict) else {}
        folder = os.path.dirname(file)

        def renamed(path: tuple[str, ...], written: Any, ending: str) -> tuple[str, str] | None:
            """(the file's path, its name in the artifact) for one that comes along."""
            if not isinstance(written, str) or "$" in written or is_remote(written):
                return None
            there = os.path.normpath(os.path.join(folder, os.path.expanduser(written)))
            span = document.span(path)
            if not os.path.isfile(there) or span is None:
                return None
            name = hashlib.sha256(there.encode("utf-8", "surrogateescape")).hexdigest() + ending
            changes[span] = name
            return there, name

        for entry in tree.get("include") or []:
            named = entry.get("path") if isinstance(entry, dict) else entry
            for one in named if isinstance(named, list) else [named]:
                if isinstance(one, str) and not is_remote(one):
                    raise ScowError(f"cannot publish compose file with local includes: {file} includes {one}")
        services = tree.get("services")
        for key, service in services.items() if isinstance(services, dict) else ():
            if not isinstance(service, dict):
                continue
            path = ("services", str(key))
            if isinstance(service.get("extends"), dict):
                found = renamed((*path, "extends", "file"), service["extends"].get("file"), ".yaml")
                if found:
                    extended[found[0]] = found[1]
            self._environment(str(key), service)
            listed = service.get("env_file")
            for at, one in enumerate(listed if isinstance(listed, list) else [listed] if listed else []):
                where = (*path, "env_file", str(at)) if isinstance(listed, list) else (*path, "env_file")
                written = one.get("path") if isinstance(one, dict) else one
                self.env_files[str(key)] = str(written)
                if self.with_env and (found := renamed((*where, "path") if isinstance(one, dict) else where, written, ".env")):
                    self._env_file(*found)
        configs = tree.get("configs")
        for key, config in configs.items() if isinstance(configs, dict) else ():
            content = config.get("content") if isinstance(config, dict) else None
            if isinstance(content, str) and content.strip() and not content.startswith("$"):
                self.contents.append(str(key))

    def _environment(self, name: str, service: dict[str, Any]) -> None:
        given = service.get("environment")
        listed = [str(one).partition("=")[::2] for one in given] if isinstance(given, list) else []
        for variable, value in given.items() if isinstance(given, dict) else listed:
            if value and not str(value).startswith("$") and _SENSITIVE.search(str(variable)):
                self.sensitive[name] = ", ".join(filter(None, (self.sensitive.get(name), str(variable))))

    def _env_file(self, path: str, name: str) -> None:
        from scow.compose.artifact import ENV_FILE, Layer
        from scow.compose.load import env

        if path not in self._seen:
            self._seen.add(path)
            self.layers.append(Layer(name=name, data=env.read(path).encode("utf-8", "surrogateescape"), kind=ENV_FILE))


def _warnings(project: Project, files: Files) -> list[str]:
    """What a user should know before others can read it."""
    found = []
    binds = [f"  {service.name}: {one.source}\n" for service in project.services.values() for one in service.volumes if one.type == "bind"]
    if binds:
        found.append(
            "you are about to publish bind mounts declaration within your OCI artifact.\nThe files themselves are not published:\n"
            f"{''.join(binds)}Are you ok to publish these bind mount declarations?"
        )
    if not files.with_env and (files.env_files or files.sensitive):
        rows = "".join(f"  {name}: env_file {path}\n" for name, path in files.env_files.items())
        rows += "".join(f"  {name}: value of {words}\n" for name, words in files.sensitive.items())
        found.append(f"you are about to publish what may be secret within your OCI artifact:\n{rows}Are you ok to publish it?")
    if files.contents:
        found.append(f"you are about to publish the content of configs: {', '.join(files.contents)}\nAre you ok to publish it?")
    return found


def _ask(session: Session, options: Options, questions: list[str]) -> None:
    """Raises ExitCode where the user does not want it."""
    for question in questions if not options.flag("yes") and not session.dry else ():
        session.cli.err(f"{question} (y/N) ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ExitCode(130, "canceled: nothing was published (--yes answers yes to all questions)")


def _images(session: Session, project: Project) -> None:
    """Pushes the images that are built here; one that can't be sent is told of, for it may be there already."""
    from scow.compose import images

    for service in project.services.values():
        if service.build and service.image and not session.would(f"push image {service.image}"):
            try:
                images.push_one(session, service.image, service)
            except ScowError as exc:
                session.warn(f"service {service.name}: its image was not pushed: {exc.message}")


def _copied(session: Session, project: Project, client: RegistryClient) -> list[dict[str, Any]]:
    """Brings the images of services into the application's repository; their descriptors. Raises ScowError."""
    from scow.cli import registryclient
    from scow.reference import Reference

    found = []
    for name in dict.fromkeys(service.image for _, service in sorted(project.services.items()) if service.image):
        image = Reference.parse(name).tagged()
        session.progress.event(name, "Copying")
        source = registryclient.of(session.cli, image, image.domain in session.given.list("insecure-registry"))
        found.append(client.copy(source, image.digest or image.tag))
        session.progress.event(name, "Copied", "", True)
    return found


def _pins(session: Session, project: Project) -> Layer:
    from scow.compose.artifact import Layer
    from scow.compose.commands.config import pinned

    services = {name: {"image": pinned(session, service.image)} for name, service in sorted(project.services.items()) if service.image}
    return Layer(name="image-digests.yaml", data=emit.yaml({"services": services}).encode())


PUBLISH = Verb(
    " [OPTIONS] REPOSITORY[:TAG]",
    (
        ("app", "", "bool", False, "Copy the images into the repository, too"),
        ("insecure-registry", "", "bool", False, ""),
        ("oci-version", "", "string", "", "Version of the OCI specification (1.0, 1.1; default: what the registry takes)"),
        ("resolve-image-digests", "", "bool", False, "Pin images to their digests"),
        ("with-env", "", "bool", False, "Env files come along"),
        ("yes", "y", "bool", False, "Answer yes to all questions"),
    ),
    publish,
    1,
    1,
)
