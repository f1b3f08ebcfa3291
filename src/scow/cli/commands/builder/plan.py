"""The command line of `scow build` as BuildKit's attributes, and what the session may give: contexts, secrets, agents, outputs."""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack

from scow.cli.command import Cli
from scow.cli.commands.builder import classic, context, outputs
from scow.cli.commands.builder.outputs import Output
from scow.cli.commands.builder.services import Agent, Given
from scow.cli.commands.builder.store import Store
from scow.cli.flags import Options
from scow.errors import InvalidArgument, ScowError
from scow.opts import env as envlib
from scow.opts import ulimits
from scow.opts.mounts import fields_of
from scow.reference import Reference

_QUESTIONS = {"check": "frontend.lint", "outline": "frontend.outline", "targets": "frontend.targets", "build": ""}


class Plan:
    """The command line as BuildKit's attributes, and what the session may give. Raises ScowError."""

    def __init__(self, cli: Cli, options: Options, where: str, stack: ExitStack) -> None:
        self.given = Given()
        self.attrs: dict[str, str] = {}
        self.question = _question(options)
        self.kept: dict[str, str] = {}
        self._stack = stack
        self._context(options, where)
        self._attributes(cli, options)
        for word in options.list("secret"):
            name, read = _secret(word)
            self.given.secrets[name] = read
        for word in options.list("ssh"):
            name, path = _agent(word)
            self.given.agents[name] = path
        self.outputs = self._outputs(options)
        for number, output in enumerate(self.outputs):
            if output.dest is not None:
                self.given.outputs[str(number)] = outputs.taker(output)
        sources = [self._from(cli, *_cache(word)) for word in options.list("cache-from")]
        self.imports = [one for one in sources if one is not None]
        self.exports = [self._to(*_cache(word)) for word in options.list("cache-to")]

    def _from(self, cli: Cli, kind: str, attrs: dict[str, str]) -> tuple[str, dict[str, str]] | None:
        """A cache to read. One in a directory of ours is read by digest over the session; one that is not there is left out."""
        if kind == "local":
            place = attrs.get("src", "")
            if not place:
                raise ScowError("--cache-from type=local needs src=FOLDER")
            self.given.stores.setdefault(f"local:{place}", store := Store(place))
            attrs.setdefault("digest", store.tagged(attrs.pop("tag", "latest")))
            if not attrs["digest"]:
                cli.err(f"WARNING: no cache in {place}: it has no index.json that names one\n")
                return None
        return kind, attrs

    def _to(self, kind: str, attrs: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Where the cache goes. A directory of ours is written over the session, its index at the end (`keep_cache`)."""
        if kind == "local":
            place = attrs.get("dest", "")
            if not place:
                raise ScowError("--cache-to type=local needs dest=FOLDER")
            self.given.stores[f"local:{place}"] = Store(place, writable=True)
            self.kept[place] = attrs.pop("tag", "latest")
        return kind, attrs

    def keep_cache(self, descriptor: str) -> None:
        """Name what the engine has written to directories: `descriptor` is its fact `cache.manifest`."""
        for place, tag in self.kept.items():
            self.given.stores[f"local:{place}"].name(descriptor, tag)

    def _context(self, options: Options, where: str) -> None:
        given = options.text("file")
        self.attrs["filename"] = os.path.basename(given) if given and given != "-" else "Dockerfile"
        if where == "-":
            if given == "-":
                raise ScowError("invalid argument: can't use stdin for both build context and dockerfile")
            self._stream(sys.stdin.buffer.read(), given)
            return
        if context.is_git(where) or context.is_url(where):
            self.attrs["context"] = where
            if given and given != "-":
                self.attrs["filename"] = given
        else:
            if not os.path.isdir(where):
                raise ScowError(f'unable to prepare context: path "{where}" not found')
            self.given.folders["context"] = os.path.realpath(where)
        if given == "-":
            self._dockerfile(sys.stdin.buffer.read())
        elif "context" not in self.attrs:
            path = os.path.abspath(given) if given else os.path.join(where, "Dockerfile")
            if not given and not os.path.exists(path) and os.path.exists(os.path.join(where, "dockerfile")):
                path = os.path.join(where, "dockerfile")
            if not os.path.exists(path):
                raise ScowError(f"failed to read dockerfile: open {os.path.basename(path)}: no such file or directory")
            self.attrs["filename"] = os.path.basename(path)
            self.given.folders["dockerfile"] = (
                os.path.dirname(os.path.realpath(path)) if os.path.islink(path) else os.path.dirname(path) or "."
            )
        self.given.folders = {name: os.path.realpath(path) for name, path in self.given.folders.items()}

    def _stream(self, data: bytes, given: str) -> None:
        """Standard input: a Dockerfile, or an archive that is unpacked into a temporary directory."""
        if not context.is_archive(data[:512]):
            if given:
                raise ScowError("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
            self._dockerfile(data)
            self.given.folders["context"] = self._folder()
            return
        folder = self._folder()
        context.unpack(data, folder)
        self.given.folders |= {"context": folder, "dockerfile": os.path.join(folder, os.path.dirname(given))}

    def _folder(self) -> str:
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="scow-build"))

    def _dockerfile(self, data: bytes) -> None:
        folder = self._folder()
        with open(os.path.join(folder, "Dockerfile"), "wb") as file:
            file.write(data)
        self.given.folders["dockerfile"] = folder
        self.attrs |= {"filename": "Dockerfile"}
        if "context" in self.attrs:
            self.attrs["dockerfilekey"] = "dockerfile"

    def _attributes(self, cli: Cli, options: Options) -> None:
        attrs = self.attrs
        for name, value in classic.build_args(cli, options).items():
            if value is not None:
                attrs[f"build-arg:{name}"] = value
        if options.flag("reproducible"):
            attrs.setdefault("build-arg:SOURCE_DATE_EPOCH", os.environ.get("SOURCE_DATE_EPOCH") or "0")
        for name, value in envlib.mapping(options.list("label")).items():
            attrs[f"label:{name}"] = value
        for key, flag in (("target", "target"), ("cgroup-parent", "cgroup-parent")):
            if options.text(flag):
                attrs[key] = options.text(flag)
        if options.text("platform"):
            attrs["platform"] = options.text("platform")
        if options.flag("no-cache"):
            attrs["no-cache"] = ""
        elif options.list("no-cache-filter"):
            attrs["no-cache"] = ",".join(options.list("no-cache-filter"))
        if options.flag("pull"):
            attrs["image-resolve-mode"] = "pull"
        if options.text("network") not in ("", "default"):
            attrs["force-network-mode"] = options.text("network")
        if options.list("add-host"):
            attrs["add-hosts"] = ",".join(word.replace(":", "=", 1) if "=" not in word else word for word in options.list("add-host"))
        if options.number("shm-size"):
            attrs["shm-size"] = str(options.number("shm-size"))
        if options.list("ulimit"):
            limits = [ulimits.parse(word) for word in options.list("ulimit")]
            attrs["ulimit"] = ",".join(f"{name}={soft}:{hard}" for name, soft, hard in limits)
        if self.question:
            attrs["requestid"] = self.question
        if options.flag("explain"):
            attrs["scow.explain"] = "1"
        for word in options.list("attest"):
            kind = dict(part.partition("=")[::2] for part in fields_of(word)).get("type", "")
            attrs[f"attest:{kind}"] = ",".join(part for part in fields_of(word) if not part.startswith("type="))
        for kind in ("provenance", "sbom"):
            value = options.text(kind)
            if value and value != "false":
                attrs[f"attest:{kind}"] = "" if value == "true" else value
        for word in options.list("build-context"):
            self._named(word)

    def _named(self, word: str) -> None:
        name, has, value = word.partition("=")
        if not has or not name or not value:
            raise ScowError(f"invalid context value: {word}, expected key=value")
        if "://" in value or context.is_git(value):
            self.attrs[f"context:{name}"] = value
            return
        if not os.path.isdir(value):
            raise ScowError(f"invalid build context {name}={value}: no such directory")
        self.attrs[f"context:{name}"] = f"local:{name}"
        self.given.folders[name] = os.path.realpath(value)

    def _outputs(self, options: Options) -> list[Output]:
        words = [outputs.parse(word) for word in options.list("output")]
        tags = [str(_tagged(word)) for word in options.list("tag")]
        attrs: dict[str, str] = {}
        if tags:
            attrs["name"] = ",".join(tags)
        if options.flag("push"):
            attrs["push"] = "true"
        for word in options.list("annotation"):
            key, _, value = word.partition("=")
            attrs[f"annotation.{key}" if ":" not in key else f"annotation-{key.replace(':', '.', 1)}"] = value
        if options.flag("reproducible"):
            attrs["rewrite-timestamp"] = "true"
        if self.question:
            return []
        if not words:
            return [Output("image", attrs)]
        return [Output(one.kind, attrs | one.attrs, one.dest) if one.kind in ("image", "oci", "docker") else one for one in words]


def _tagged(word: str) -> str:
    try:
        return Reference.parse(word).tagged().full()
    except InvalidArgument as exc:
        raise ScowError(f'invalid tag "{word}": {exc.message}') from None


def _question(options: Options) -> str:
    asked = "check" if options.flag("check") else options.text("call")
    if asked not in _QUESTIONS:
        raise ScowError(f"invalid --call {asked}: use build, check, outline or targets")
    return _QUESTIONS[asked]


def _secret(word: str) -> tuple[str, Callable[[], bytes]]:
    fields = dict(part.partition("=")[::2] for part in fields_of(word))
    kind, name = fields.get("type", ""), fields.get("id", "")
    path, variable = fields.get("src") or fields.get("source") or "", fields.get("env", "")
    if unknown := sorted(set(fields) - {"type", "id", "src", "source", "env"}):
        raise ScowError(f"unexpected key '{unknown[0]}' in '{word}'")
    if kind not in ("", "file", "env"):
        raise ScowError(f'unsupported secret type "{kind}"')
    if not name:
        raise ScowError("invalid secret: id is needed (--secret id=name,src=file)")
    if kind == "env" or variable or (not path and name in os.environ):
        value = os.environ.get(variable or path or name)
        if value is None:
            raise ScowError(f"the environment has no {variable or path or name} for the secret {name}")
        return name, lambda: value.encode("utf-8", "surrogateescape")
    where = path or name
    if not os.path.isfile(where):
        raise ScowError(f"failed to stat {where}: no such file")
    return name, lambda: context.read_file(where)


def _agent(word: str) -> tuple[str, Agent]:
    """`--ssh default[=socket|key[,key…]]`: the user's agent, or one of our own with the keys. Raises ScowError."""
    name, has, given = word.partition("=")
    paths = [path for path in (given if has else os.environ.get("SSH_AUTH_SOCK", "")).split(",") if path]
    if not paths:
        raise ScowError(f"invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set (--ssh {name})")
    import stat

    for path in paths:
        if not os.path.exists(path):
            raise ScowError(f"--ssh {name}: {path}: no such file")
    sockets = [path for path in paths if stat.S_ISSOCK(os.stat(path).st_mode)]
    if len(paths) == 1 and sockets:
        return name or "default", sockets[0]
    if sockets:
        raise ScowError(f"invalid combination of an agent's socket and keys: {sockets[0]} is a socket (--ssh {name})")
    from scow.cli.commands.builder.keyagent import KeyAgent

    return name or "default", KeyAgent(paths)


def _cache(word: str) -> tuple[str, dict[str, str]]:
    if "=" not in word:
        return "registry", {"ref": word}
    fields = dict(part.partition("=")[::2] for part in fields_of(word))
    kind = fields.pop("type", "")
    if not kind:
        raise ScowError(f'type required form> "{word}"')
    return kind, fields
