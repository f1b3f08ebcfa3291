"""`scow context ls|show|use|inspect|create|rm`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import json
import os
import shutil

from scow.cli import contexts
from scow.cli.command import Command, each
from scow.cli.format.table import show
from scow.errors import ScowError

HEADERS = {"Name": "NAME", "Description": "DESCRIPTION", "DockerEndpoint": "DOCKER ENDPOINT", "Current": "CURRENT", "Error": "ERROR"}


def _current(cli: Cli) -> str:
    return cli.env("DOCKER_CONTEXT") or cli.setting("currentContext") or "default"


def _default_host(cli: Cli) -> str:
    from scow.cli.main import SOCKETS, exists

    return cli.env("SCOW_HOST") or cli.env("DOCKER_HOST") or "unix://" + next((path for path in SOCKETS if exists(path)), SOCKETS[0])


def _check(name: str) -> None:
    if not name or not (name[0].isalnum() and all(char.isalnum() or char in "_.+-" for char in name) and name.isascii()):
        raise ScowError(f'context name "{name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"')


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists contexts."""
    current = _current(cli)
    rows: list[dict[str, Any]] = []
    for name in sorted(["default", *contexts.names(cli.config_dir)]):
        mark = " *" if name == current and not options.flag("quiet") and options.text("format") in ("", "table") else ""
        if name == "default":
            description, host = "Current DOCKER_HOST based configuration", _default_host(cli)
        else:
            meta = contexts.read(cli.config_dir, name)
            description = (meta.get("Metadata") or {}).get("Description") or ""
            host = ((meta.get("Endpoints") or {}).get("docker") or {}).get("Host") or ""
        rows.append({"Current": name == current, "Description": description, "DockerEndpoint": host, "Error": "", "Name": name + mark})
    show(rows, options.text("format"), HEADERS, ("Name", "Description", "DockerEndpoint", "Error"), "Name" if options.flag("quiet") else "")
    return 0


def current(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the current context."""
    cli.out(_current(cli) + "\n")
    return 0


def use(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a context the current one."""
    name = args[0]
    if name != "default":
        contexts.read(cli.config_dir, name)
    config = dict(cli.config)
    config.pop("currentContext", None)
    if name != "default":
        config["currentContext"] = name
    os.makedirs(cli.config_dir, mode=0o700, exist_ok=True)
    path = f"{cli.config_dir}/config.json"
    with open(path + ".new", "w") as file:
        json.dump(config, file, indent="\t")
    os.chmod(path + ".new", 0o600)
    os.replace(path + ".new", path)
    cli.out(name + "\n")
    cli.err(f'Current context is now "{name}"\n')
    if cli.env("DOCKER_HOST"):
        cli.err("Warning: DOCKER_HOST environment variable overrides the active context.\n")
    return 0


def inspect(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints contexts as JSON."""
    from scow.cli.commands.system.inspect import _rendered

    found = []
    for name in args or [_current(cli)]:
        if name == "default":
            found.append(
                {
                    "Name": "default",
                    "Metadata": {},
                    "Endpoints": {"docker": {"Host": _default_host(cli), "SkipTLSVerify": False}},
                    "TLSMaterial": {},
                    "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"},
                }
            )
        else:
            meta = contexts.read(cli.config_dir, name)
            path = contexts.folder(cli.config_dir, name)
            found.append({**meta, "TLSMaterial": {}, "Storage": {"MetadataPath": path, "TLSPath": path.replace("/meta/", "/tls/")}})
    cli.out(_rendered(found, options.text("format")))
    return 0


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Stores a context."""
    name = args[0]
    _check(name)
    if name == "default":
        raise ScowError('"default" is a reserved context name')
    if name in contexts.names(cli.config_dir):
        raise ScowError(f'context "{name}" already exists')
    settings = dict(part.partition("=")[::2] for word in options.list("docker") for part in word.split(","))
    if options.text("from"):
        meta = contexts.read(cli.config_dir, options.text("from")) if options.text("from") != "default" else {}
        host = ((meta.get("Endpoints") or {}).get("docker") or {}).get("Host") or _default_host(cli)
    else:
        host = settings.get("host") or _default_host(cli)
    from scow.client.transport import Endpoint

    Endpoint(host)
    place = contexts.folder(cli.config_dir, name)
    os.makedirs(place, mode=0o755, exist_ok=True)
    meta = {
        "Name": name,
        "Metadata": {"Description": options.text("description")} if options.text("description") else {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": settings.get("skip-tls-verify") == "true"}},
    }
    with open(f"{place}/meta.json", "w") as file:
        json.dump(meta, file, separators=(",", ":"))
    for kind in ("ca", "cert", "key"):
        if settings.get(kind):
            tls = place.replace("/meta/", "/tls/") + "/docker"
            os.makedirs(tls, mode=0o700, exist_ok=True)
            shutil.copyfile(settings[kind], f"{tls}/{kind}.pem")
    cli.out(name + "\n")
    cli.err(f'Successfully created context "{name}"\n')
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes contexts."""

    def act(name: str) -> None:
        if name == "default":
            raise ScowError('context "default" cannot be removed')
        if not options.flag("force"):
            contexts.read(cli.config_dir, name)
            if name == _current(cli):
                raise ScowError(f'context "{name}" is in use, set -f flag to force remove')
        place = contexts.folder(cli.config_dir, name)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(place.replace("/meta/", "/tls/"), ignore_errors=True)

    return each(cli, args, act)


_FORMAT = ("format", "f", "string", "", "Format of the output: json, or a Go template")
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
    (
        ("description", "", "string", "", "Description of the context"),
        ("docker", "", "stringArray", (), "The endpoint (host=…,ca=…,cert=…,key=…)"),
        ("from", "", "string", "", "Context to copy"),
    ),
    create,
    1,
    1,
)
RM = Command(" CONTEXT [CONTEXT...]", "Remove one or more contexts", (("force", "f", "bool", False, "Remove the current one too"),), rm, 1)
