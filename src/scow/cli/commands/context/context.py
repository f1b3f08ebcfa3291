"""`scow context ls|show|use|inspect|create|update|rm|export|import`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import os

from scow.cli import contexts
from scow.cli.command import Command, ExitCode, each
from scow.cli.flags import UsageError
from scow.cli.format.table import ellipsis, show
from scow.errors import ScowError

HEADERS = {"Name": "NAME", "Description": "DESCRIPTION", "DockerEndpoint": "DOCKER ENDPOINT", "Current": "CURRENT", "Error": "ERROR"}
_DEFAULT_TEXT = "Current DOCKER_HOST based configuration"
_SCHEMES = ("unix", "tcp", "ssh", "npipe", "fd", "http", "https")
_KEYS = ("from", "host", "ca", "cert", "key", "skip-tls-verify")


def _default_host(cli: Cli) -> str:
    from scow.cli.environment import default_host

    return cli.env("SCOW_HOST") or cli.env("DOCKER_HOST") or default_host()


def _overridden(cli: Cli) -> bool:
    return bool(cli.env("SCOW_HOST") or cli.env("DOCKER_HOST"))


def _check(name: str) -> None:
    if name == "default":
        raise ScowError('"default" is a reserved context name')
    good = len(name) > 1 and name.isascii() and name[0].isalnum() and all(char.isalnum() or char in "_.+-" for char in name)
    if not good:
        raise ScowError(f'context name "{name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"')


def _default_meta(cli: Cli) -> dict[str, Any]:
    return {"Name": "default", "Metadata": {}, "Endpoints": {"docker": {"Host": _default_host(cli), "SkipTLSVerify": False}}}


def _read(cli: Cli, name: str) -> dict[str, Any]:
    return _default_meta(cli) if name == "default" else contexts.read(cli.config_dir, name)


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists contexts."""
    current = cli.context
    stored = contexts.names(cli.config_dir)
    marked = not options.flag("quiet") and options.text("format") in ("", "table")
    rows: list[dict[str, Any]] = []
    for name in sorted({"default", current, *stored}):
        problem = description = host = ""
        if name == "default":
            description, host = _DEFAULT_TEXT, _default_host(cli)
        else:
            try:
                meta = contexts.read(cli.config_dir, name)
            except ScowError as exc:
                problem = exc.message
            else:
                description = contexts.description(meta)
                host = str(contexts.docker_endpoint(meta).get("Host") or "")
        rows.append(
            {
                "Current": name == current,
                "Description": description,
                "DockerEndpoint": host,
                "Error": ellipsis(problem, 45) if marked else problem,
                "Name": name + (" *" if marked and name == current else ""),
            }
        )
    show(
        rows,
        options.text("format"),
        HEADERS,
        ("Name", "Description", "DockerEndpoint", "Error"),
        "Name" if options.flag("quiet") else "",
        kind="*formatter.clientContextContext",
    )
    if _overridden(cli) and not cli.chosen:
        cli.err(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context "
            "flag, or unset DOCKER_HOST environment variable.\n"
        )
    return 0


def current(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the current context."""
    cli.out(cli.context + "\n")
    return 0


def use(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a context the current one."""
    name = args[0]
    if name != "default":
        contexts.read(cli.config_dir, name)
    if cli.setting("currentContext") != ("" if name == "default" else name):
        cli.save_setting("currentContext", "" if name == "default" else name)
    cli.out(name + "\n")
    cli.err(f'Current context is now "{name}"\n')
    if name != "default" and _overridden(cli):
        cli.err(
            f'Warning: DOCKER_HOST environment variable overrides the active context. To use "{name}", either set the global --context '
            "flag, or unset DOCKER_HOST environment variable.\n"
        )
    return 0


def inspect(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints contexts as JSON."""
    from scow.cli.commands.system.inspect import rendered

    found, errors = [], []
    for name in args or [cli.context]:
        try:
            meta = _read(cli, name)
        except ScowError as exc:
            errors.append(exc.message)
            continue
        meta = {"Name": meta.get("Name"), "Metadata": meta.get("Metadata") or {}, "Endpoints": meta.get("Endpoints") or {}}
        if name == "default":
            places = ["<IN MEMORY>", "<IN MEMORY>"]
        else:
            places = [contexts.folder(cli.config_dir, name), contexts.tls_folder(cli.config_dir, name)]
        stored = {"MetadataPath": places[0], "TLSPath": places[1]}
        tls = {} if name == "default" else contexts.material(cli.config_dir, name)
        found.append({**meta, "TLSMaterial": tls, "Storage": stored})
    text, problem = rendered(found, options.text("format"), "context.contextWithTLSListing")
    cli.out(text or ("\n" if options.text("format") else ""))
    if problem:
        errors.insert(0, f"template parsing error: {problem}")
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


def _settings(words: list[str]) -> dict[str, str]:
    """The keys and values of --docker. Raises UsageError, ScowError."""
    settings = {}
    for word in words:
        for part in word.split(","):
            key, sep, value = part.partition("=")
            if not sep:
                raise UsageError(f'invalid argument "{word}" for "--docker" flag: {part} must be formatted as key=value')
            if key not in _KEYS:
                raise ScowError(f"unable to create docker endpoint config: unrecognized config key: {key}")
            settings[key] = value
    return settings


def _endpoint(cli: Cli, words: list[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(endpoint, TLS files) of the words of --docker. Raises ScowError."""
    settings = _settings(words)
    if "from" in settings:
        try:
            meta = _read(cli, settings["from"])
        except ScowError as exc:
            raise ScowError(f"unable to create docker endpoint config: {exc.message}") from None
        return dict(contexts.docker_endpoint(meta)), contexts.tls_data(cli.config_dir, settings["from"])
    tls = {}
    for kind in contexts.TLS_FILES:
        if settings.get(kind):
            tls[f"{kind}.pem"] = _pem(settings[kind], kind)
    skip = settings.get("skip-tls-verify", "false").lower()
    if skip not in ("true", "false", "1", "0", "t", "f"):
        raise ScowError(f"unable to create docker endpoint config: skip-tls-verify: '{skip}' is neither true nor false")
    host = settings.get("host") or ""
    scheme, sep, _ = host.partition("://")
    if host and not (sep and scheme in _SCHEMES):
        problem = f"unable to apply docker endpoint options: unable to parse docker host `{host}`"
        raise ScowError(f"unable to create docker endpoint config: {problem}: write unix://PATH, tcp://HOST:PORT or ssh://USER@HOST")
    return {"Host": host, "SkipTLSVerify": skip in ("true", "1", "t")}, tls


def _pem(path: str, kind: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(contexts.MAX_FILE)
    except OSError as exc:
        why = f"open {path}: {(exc.strerror or str(exc)).lower()}"
        raise ScowError(f"unable to create docker endpoint config: invalid docker endpoint options: {why}") from None
    if b"-----BEGIN" not in data:
        why = f"failed to retrieve context tls info: {kind}.pem seems invalid"
        raise ScowError(f"unable to create docker endpoint config: invalid docker endpoint options: {why}")
    return data


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Stores a context."""
    name = args[0]
    _check(name)
    if name in contexts.names(cli.config_dir):
        raise ScowError(f'context "{name}" already exists')
    description = options.text("description")
    words = options.list("docker")
    if options.text("from") and words:
        raise ScowError("cannot use --docker flag when --from is set")
    if not words:
        source = options.text("from") or cli.context
        meta = _read(cli, source)
        endpoint, tls = dict(contexts.docker_endpoint(meta)), contexts.tls_data(cli.config_dir, source)
        description = description or contexts.description(meta) or (_DEFAULT_TEXT if source == "default" else "")
    else:
        endpoint, tls = _endpoint(cli, words)
    made: dict[str, Any] = {"Description": description} if description else {}
    contexts.write(cli.config_dir, {"Name": name, "Metadata": made, "Endpoints": {"docker": endpoint}}, tls)
    cli.out(name + "\n")
    cli.err(f'Successfully created context "{name}"\n')
    return 0


def update(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes a stored context."""
    name = args[0]
    _settings(options.list("docker"))  # a word that is none is said first
    _check(name)
    meta = contexts.read(cli.config_dir, name)
    tls = None
    if options.given("description"):
        inner = meta.get("Metadata")
        meta["Metadata"] = {**(inner if isinstance(inner, dict) else {}), "Description": options.text("description")}
    if options.list("docker"):
        endpoint, tls = _endpoint(cli, options.list("docker"))
        endpoints = meta.get("Endpoints")
        meta["Endpoints"] = {**(endpoints if isinstance(endpoints, dict) else {}), "docker": endpoint}
    contexts.write(cli.config_dir, {**meta, "Name": name}, tls)
    cli.out(name + "\n")
    cli.err(f'Successfully updated context "{name}"\n')
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes contexts."""
    in_use = cli.context

    def act(name: str) -> None:
        if name == "default":
            raise ScowError('context "default" cannot be removed')
        if not options.flag("force"):
            if not os.path.isdir(contexts.folder(cli.config_dir, name)):
                raise ScowError(f'context "{name}" does not exist')
            if name == in_use:
                raise ScowError(f'context "{name}" is in use, set -f flag to force remove')
        if name == cli.setting("currentContext"):
            cli.save_setting("currentContext", "")
        contexts.remove(cli.config_dir, name)

    return each(cli, args, act)


def export(cli: Cli, options: Options, args: list[str]) -> int:
    """Writes a context with its TLS files to an archive."""
    from scow.cli.terminal import is_terminal

    name = args[0]
    target = args[1] if len(args) > 1 else f"{name}.dockercontext"
    if name != "default":
        _check(name)
    data = contexts.packed(_read(cli, name), contexts.tls_data(cli.config_dir, name) if name != "default" else {})
    if target == "-":
        if is_terminal(1):
            raise ScowError("cowardly refusing to export to a terminal, specify a file path")
        from scow.cli.streams import write_all

        write_all(1, data)
        return 0
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise ScowError(f"open {target}: {(exc.strerror or str(exc)).lower()}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    cli.err(f'Written file "{target}"\n')
    return 0


def import_(cli: Cli, options: Options, args: list[str]) -> int:
    """Stores a context from an archive."""
    name, source = args
    _check(name)
    if name in contexts.names(cli.config_dir):
        raise ScowError(f'context "{name}" already exists')
    try:
        with open(0 if source == "-" else source, "rb", closefd=source != "-") as file:
            data = file.read(contexts.MAX_FILE + 1)
    except OSError as exc:
        raise ScowError(f"open {source}: {(exc.strerror or str(exc)).lower()}") from None
    if len(data) > contexts.MAX_FILE:
        raise ScowError("invalid context: the archive is too large")
    meta, tls = contexts.unpacked(data)
    contexts.write(cli.config_dir, {**meta, "Name": name}, tls)
    cli.out(name + "\n")
    cli.err(f'Successfully imported context "{name}"\n')
    return 0


_FORMAT = ("format", "f", "string", "", "Format of the output: json, or a Go template")
_DESCRIPTION = ("description", "", "string", "", "Description of the context")
_DOCKER = ("docker", "", "stringArray", (), "The endpoint: host=…, ca=…, cert=…, key=…, skip-tls-verify=…, or from=CONTEXT")
LS = Command(
    " [OPTIONS]",
    "List contexts",
    (("format", "", "string", "", "Format of the output"), ("quiet", "q", "bool", False, "Print only names")),
    ls,
    0,
    0,
)
SHOW = Command("", "Print the name of the current context", (), current, 0, 0)
USE = Command(" CONTEXT", "Set the current docker context", (), use, 1, 1)
INSPECT = Command(" [OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on one or more contexts", (_FORMAT,), inspect)
CREATE = Command(
    " [OPTIONS] CONTEXT",
    "Create a context",
    (_DESCRIPTION, _DOCKER, ("from", "", "string", "", "Context to copy")),
    create,
    1,
    1,
)
UPDATE = Command(" [OPTIONS] CONTEXT", "Update a context", (_DESCRIPTION, _DOCKER), update, 1, 1)
RM = Command(" CONTEXT [CONTEXT...]", "Remove one or more contexts", (("force", "f", "bool", False, "Remove the current one too"),), rm, 1)
EXPORT = Command(" [OPTIONS] CONTEXT [FILE|-]", "Export a context to a tar archive FILE or a tar stream on STDOUT.", (), export, 1, 2)
IMPORT = Command(" CONTEXT FILE|-", "Import a context from a tar or zip file", (), import_, 2, 2)
