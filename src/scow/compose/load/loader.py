"""Compose files to a `Project`: `load(LoadOptions)`. The steps of one file: YAML, variables, `extends`, `!reset`, `include`, merge over
what was read before, schema, long forms; then of the whole: defaults, paths, names, classes, profiles, consistency, variables of services.

Called by `commands/` and by swarm's stack commands (`dialect="stack"`: no `.env`, `include`, `extends`, profiles or default network).
Everything that is wrong is a LoadError with file, line and column.
"""

from __future__ import annotations

import gc
import os

from scow.compose.codec import decode
from scow.compose.load import canonical, consistency, env, files, interpolate, merge, normalize, paths, profiles, validate
from scow.compose.load.errors import BadValue, InvalidProject, LoadError
from scow.compose.load.extends import Extender, reset
from scow.compose.load.options import LoadOptions
from scow.compose.load.places import Places
from scow.compose.load.yaml import Document, documents
from scow.compose.model.project import FileObject, Model, Network, Project, Volume
from scow.compose.model.service import EnvFile, Service
from scow.compose.records import replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

    Tree = dict[str, Any]
    Path = tuple[str, ...]

MAX_INCLUDES = 256
OBSOLETE = "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"


def load(options: LoadOptions) -> Project:
    """The project of compose files, with the services of the asked profiles enabled. Raises LoadError."""
    return _loaded(options, lambda loader: loader.project(loader.tree()))


def load_tree(options: LoadOptions) -> tuple[Tree, Project]:
    """(the merged tree in long forms, a project of nothing but name, files, environment and warnings): what `config --no-interpolate`
    prints. Raises LoadError."""
    return _loaded(options, lambda loader: (loader.tree(), loader.shell()))


def _loaded(options: LoadOptions, make: Callable[[_Loader], T]) -> T:
    collecting = gc.isenabled()
    gc.disable()  # a sixth of the time went into looking for cycles in trees, which have none
    try:
        loader = _Loader(options)
        try:
            return make(loader)
        except BadValue as exc:
            raise loader.places.error(exc) from None
        except RecursionError:
            raise LoadError("values are nested too deeply") from None
    finally:
        if collecting:
            gc.enable()


class _Loader:
    """The state of one load."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.places = Places()
        self.warnings: dict[str, None] = {}
        unset: dict[str, None] = {}
        self.found = files.find(options, unset)
        self.environ: dict[str, str] = self.found.environ
        self.profiles = self.found.profiles
        self.variables = interpolate.Variables(self.environ.get)
        self.variables.unset.update(unset)
        self.includes = 0
        self.room = canonical.Room()
        self.bases: dict[tuple[str, interpolate.Variables], tuple[Tree, str, list[Path]]] = {}  # files that `extends` names
        self.name = ""

    # ------------------------------------------------ the whole

    def tree(self) -> Tree:
        """The merged tree."""
        parsed = [(file, self._parse(file)) for file in self.found.files]
        self.name = self._name([one for _, found in parsed for one in found])
        self.environ["COMPOSE_PROJECT_NAME"] = self.name
        directory = self.found.directory
        tree = self._merged(parsed, directory, self.variables, [])
        if not tree:
            raise LoadError("empty compose file")
        if not self.name:
            raise LoadError("project name must not be empty")
        if self.options.resolve_paths:
            paths.resolve(tree, directory, self._home())
        _named_variables(tree, self.environ)
        if self.options.normalize and self.options.dialect == "compose":
            tree["name"] = self.name
            tree = normalize.normalize(tree, self.environ)
        return tree

    def shell(self) -> Project:
        """A project without content."""
        for name in self.variables.unset:
            self.warnings.setdefault(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return Project(
            name=self.name,
            working_dir=self.found.directory,
            files=tuple(self.found.files),
            env_files=tuple(self.found.env_files),
            environment=self.environ,
            profiles=self.profiles,
            warnings=tuple(self.warnings),
        )

    def project(self, tree: Tree) -> Project:
        """The classes of a tree, checked."""
        services = {name: decode(Service, one, ("services", name), name=name) for name, one in sorted((tree.get("services") or {}).items())}
        project = replace(
            self.shell(),
            services=services,
            networks=_all(tree, "networks", Network),
            volumes=_all(tree, "volumes", Volume),
            secrets={name: self._content(one) for name, one in _all(tree, "secrets", FileObject).items()},
            configs={name: self._content(one) for name, one in _all(tree, "configs", FileObject).items()},
            models=_all(tree, "models", Model),
            extensions={key: value for key, value in tree.items() if key.startswith("x-")},
        )
        if self.options.dialect == "compose":
            project = profiles.with_profiles(project, self.profiles)
        if self.options.consistency:
            try:
                consistency.check(project)
            except BadValue as exc:
                raise InvalidProject(exc.message, self.places.find(exc.path, exc.key)) from None
            project = _same_scale(project)
        if self.options.dialect == "compose":
            for sentence in consistency.warnings(project):
                self.warnings.setdefault(sentence)
            project = replace(project, warnings=tuple(self.warnings))
        return resolve_environment(project) if self.options.resolve_environment else project

    def _content(self, one: FileObject) -> FileObject:
        if one.environment and one.environment in self.environ:
            return replace(one, content=self.environ[one.environment])
        return one

    def _home(self) -> str:
        return self.options.environ.get("HOME") or "/root"

    def _name(self, parsed: list[Document]) -> str:
        """The project's name: asked for, else of the files, else the directory's."""
        asked = self.found.name
        if asked:
            if files.project_name(asked) != asked:
                raise LoadError(files.bad_name(asked), code=1)
            return asked
        name = ""
        for document in parsed:
            value = document.tree.get("name") if isinstance(document.tree, dict) else None
            if isinstance(value, str) and value:
                name = value
        if name and self.options.interpolate:
            name = interpolate.tree(name, self.variables, None, ("name",))
        return files.project_name(name) or files.project_name(os.path.basename(self.found.base))

    # ------------------------------------------------ files

    def _parse(self, file: str) -> list[Document]:
        if file == "-":
            data = self.options.stdin if self.options.stdin is not None else files.read_stdin()
        else:
            data = files.read(file)
        found = list(documents(data, file))
        self.places.documents += found
        return found

    def _merged(self, parsed: list[tuple[str, list[Document]]], directory: str, variables: interpolate.Variables, chain: list[str]) -> Tree:
        """Files put on each other, with defaults."""
        tree: Tree = {}
        for file, found in parsed:
            for document in found:
                tree = self._file(tree, document, file, directory, variables, chain)
        canonical.defaults(tree)
        validate.check_rules(tree)
        return tree

    def _file(self, base: Tree, document: Document, file: str, directory: str, variables: interpolate.Variables, chain: list[str]) -> Tree:
        """One document put on what was read before."""
        own = self._interpolated(document, variables)
        resets = document.resets
        compose = self.options.dialect == "compose"
        services = own.get("services")
        if services is not None and not isinstance(services, dict):
            raise BadValue(("services",), "services must be a mapping")
        if compose and services:
            Extender(services, file, resets, lambda other, path: self._extended(other, path, directory, variables)).all()
        reset(base, resets)
        if compose and "include" in own:
            self._include(own, directory, variables, [*chain, file])
        tree = merge.unique(merge.merge(base, own))
        validate.check_schema(tree)
        if "version" in tree:
            del tree["version"]
            if compose:
                self.warnings.setdefault(f"{file}: {OBSOLETE}")
        canonical.canonical(tree, self.room, self.options.interpolate)
        return merge.unique(tree)

    def _interpolated(self, document: Document, variables: interpolate.Variables) -> Tree:
        tree = document.tree
        if tree is None:
            return {}
        if not isinstance(tree, dict):
            raise LoadError("Top-level object must be a mapping", document.place(())[1])
        if self.options.interpolate:
            interpolate.tree(tree, variables)
        return tree

    def _base(self, directory: str) -> str:
        """What paths of a file in that directory are put below."""
        return directory if self.options.resolve_paths else os.path.relpath(directory, self.found.directory)

    def _local(self, written: str, path: Path, directory: str) -> str:
        if paths.is_remote(written):
            if self.options.remote is None:
                raise BadValue(path, f"{written}: remote files are not supported here")
            try:
                return self.options.remote(written)
            except ScowError as exc:
                raise BadValue(path, f"{written}: {exc.message}") from None
        return paths.join(directory, paths.expand_user(written, self._home()))

    def _extended(self, written: str, path: Path, directory: str, variables: interpolate.Variables) -> tuple[Tree, str, list[Path]]:
        """The services of a file that `extends` names."""
        file = self._local(written, path, directory)
        known = self.bases.get((file, variables))
        if known:
            return known
        self.includes += 1
        if self.includes > MAX_INCLUDES:
            raise BadValue(path, f"more than {MAX_INCLUDES} files are included and extended")
        tree: Tree = {}
        resets: list[Path] = []
        try:
            parsed = self._parse(file)
        except LoadError as exc:
            raise (exc if exc.place else BadValue(path, exc.message, code=exc.code)) from None
        for document in parsed:
            own = self._interpolated(document, variables)
            reset(tree, document.resets)
            tree = canonical.canonical(merge.unique(merge.merge(tree, own)), self.room, self.options.interpolate)
            resets += document.resets
        services = tree.get("services")
        if not isinstance(services, dict):
            raise BadValue(path, f"cannot extend from {file}: no services section")
        paths.resolve(tree, self._base(os.path.dirname(file)), self._home())
        self.bases[file, variables] = services, file, resets
        return services, file, resets

    def _include(self, own: Tree, directory: str, variables: interpolate.Variables, chain: list[str]) -> None:
        """Brings what `include` names into a file's tree."""
        entries = own.pop("include")
        if entries is None:
            return
        if not isinstance(entries, list):
            raise BadValue(("include",), "`include` must be a list")
        for index, entry in enumerate(entries):
            path: Path = ("include", str(index))
            wanted = {"path": entry} if isinstance(entry, str) else entry
            written = _texts(wanted.get("path")) if isinstance(wanted, dict) else []
            if not written:
                raise BadValue(path, "include: a path is wanted")
            unknown = wanted.keys() - {"path", "project_directory", "env_file"}
            if unknown:
                raise BadValue(path, f"include.{index} Additional property {min(unknown)} is not allowed")
            found = [self._local(one, path, directory) for one in written]
            self.includes += 1
            if found[0] in chain:
                raise BadValue(path, f"include cycle detected:\n{chain[0]}\n include " + "\n include ".join([*chain[1:], found[0]]))
            if len(chain) > MAX_INCLUDES or self.includes > MAX_INCLUDES:
                raise BadValue(path, f"more than {MAX_INCLUDES} files are included")
            below = wanted.get("project_directory")
            folder = self._local(below, path, directory) if isinstance(below, str) and below else os.path.dirname(found[0])
            inner = interpolate.Variables(self._included_environ(wanted, path, directory, folder, variables).get, self.variables)
            try:
                parsed = [(file, self._parse(file)) for file in found]
            except LoadError as exc:
                raise (exc if exc.place else BadValue(path, exc.message, code=exc.code)) from None
            tree = self._merged(parsed, folder, inner, chain)
            paths.resolve(tree, self._base(folder), self._home())
            _named_variables(tree, inner.lookup)
            _import(tree, own)

    def _included_environ(self, wanted: Tree, path: Path, directory: str, folder: str, variables: interpolate.Variables) -> dict[str, str]:
        outer: dict[str, str] = getattr(variables.lookup, "__self__", self.environ)
        named = [self._local(one, path, directory) for one in _texts(wanted.get("env_file"))]
        default = os.path.join(folder, ".env")
        if not named and os.path.isfile(default):
            named = [default]
        named = [one for one in named if one != os.devnull]
        return {**env.dotenv(named, outer, self.variables.unset), **outer}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _all(tree: Tree, kind: str, cls: type) -> dict[str, Any]:
    return {name: decode(cls, one, (kind, name)) for name, one in sorted((tree.get(kind) or {}).items())}


def _import(tree: Tree, into: Tree) -> None:
    for kind in ("services", "volumes", "networks", "secrets", "configs", "models"):
        there = into.get(kind) or {}
        for name, value in (tree.get(kind) or {}).items():
            if name in there and there[name] != value:
                raise BadValue((kind, name), f"{kind}.{name} conflicts with imported resource", key=True)
            there[name] = value
        if there:
            into[kind] = there


def _named_variables(tree: Tree, environ: Any) -> None:
    """Values for `- NAME` items of environments."""
    lookup = environ if callable(environ) else environ.get
    for service in (tree.get("services") or {}).values():
        items = service.get("environment") if isinstance(service, dict) else None
        if isinstance(items, list):
            for index, item in enumerate(items):
                value = lookup(item) if isinstance(item, str) and "=" not in item else None
                if value is not None:
                    items[index] = f"{item}={value}"


def _same_scale(project: Project) -> Project:
    """`scale` says how many, `deploy.replicas` follows."""
    services = dict(project.services)
    for name, service in services.items():
        if service.scale is not None and service.deploy is not None and service.deploy.replicas != service.scale:
            services[name] = replace(service, deploy=replace(service.deploy, replicas=service.scale))
    return project.with_services(services)


def resolve_environment(project: Project) -> Project:
    """Services with what their `env_file` and `label_file` hold, and with the client's values of variables that are only named.
    Raises LoadError, BadValue."""
    services = {}
    told: dict[str, dict[str, str]] = {}
    for name, service in project.services.items():
        found: dict[str, str | None] = {}
        for one in service.env_file:
            found |= _env_file(one, found, project, ("services", name, "env_file"))
        own = {key: project.environment.get(key) if value is None else value for key, value in service.environment.items()}
        if found and "x-on-change" in service.extensions:
            told[name] = {key: value or "" for key, value in found.items() if key not in own}
        labels: dict[str, str] = {}
        for path in service.label_file:
            labels |= _label_file(path, project, ("services", name, "label_file"))
        if found or labels or own != service.environment or service.env_file:
            service = replace(service, environment={**found, **own}, env_file=(), labels={**labels, **service.labels}, label_file=())
        services[name] = service
    return replace(project, services=services, from_env_files=told)


def _env_file(one: EnvFile, before: dict[str, str | None], project: Project, here: Path) -> dict[str, str]:
    def lookup(name: str) -> str | None:
        value = before.get(name)
        return value if value is not None else project.environment.get(name)

    try:
        text = env.read(one.path)
    except FileNotFoundError:
        if one.required:
            raise BadValue(here, f"env file {one.path} not found: stat {one.path}: no such file or directory", code=14) from None
        return {}
    if one.format not in ("", "raw"):
        raise BadValue(here, f'unsupported env_file format "{one.format}"')
    return env.parse_raw(text, lookup, one.path) if one.format else env.parse(text, lookup, one.path)


def _label_file(path: str, project: Project, here: Path) -> dict[str, str]:
    try:
        text = env.read(path)
    except FileNotFoundError:
        raise BadValue(here, f"label file {path} not found: stat {path}: no such file or directory", code=14) from None
    return env.parse(text, project.environment.get, path)
