"""`scow plugin`: the plugins of an engine (volume, network and log drivers that run beside it). Not the plugins of the command line,
which are `cli/plugins.py`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, each
from scow.cli.format.table import ellipsis, parse_filters, short_id, show
from scow.client.api import filters_param, quote
from scow.errors import ScowError

HEADERS = {
    "ID": "ID",
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "Enabled": "ENABLED",
    "PluginReference": "PLUGIN REFERENCE",
}


def _path(name: str, verb: str = "") -> str:
    if not name.strip():
        raise ScowError("invalid plugin name: value is empty")
    return f"/plugins/{quote(name, '/:')}" + (f"/{verb}" if verb else "")


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists plugins by name."""
    found = cli.client.get("/plugins", {"filters": filters_param(parse_filters(options.list("filter")))}) or []
    trunc = not options.flag("no-trunc")
    rows = []
    for one in sorted(found, key=lambda plugin: str(plugin.get("Name"))):
        about = str((one.get("Config") or {}).get("Description") or "").replace("\n", "").replace("\r", "")
        rows.append(
            {
                "Description": ellipsis(about, 45) if trunc else about,
                "Enabled": bool(one.get("Enabled")),
                "ID": short_id(one.get("Id") or "") if trunc else one.get("Id") or "",
                "Name": one.get("Name") or "",
                "PluginReference": one.get("PluginReference") or "",
            }
        )
    fmt = options.text("format") or ("" if options.flag("quiet") else cli.setting("pluginsFormat"))
    quiet = "ID" if options.flag("quiet") else ""
    raw = ("plugin_id=ID", "name=Name", "description=Description", "enabled=Enabled")
    show(rows, fmt, HEADERS, ("ID", "Name", "Description", "Enabled"), quiet, raw, "*plugin.pluginContext")
    return 0


def enable(cli: Cli, options: Options, args: list[str]) -> int:
    """Lets a plugin run."""
    if options.number("timeout") < 0:
        raise ScowError(f"negative timeout {options.number('timeout')} is invalid")
    cli.client.post(_path(args[0], "enable"), {"timeout": str(options.number("timeout"))})
    cli.out(args[0] + "\n")
    return 0


def disable(cli: Cli, options: Options, args: list[str]) -> int:
    """Stops a plugin."""
    cli.client.post(_path(args[0], "disable"), {"force": options.flag("force")})
    cli.out(args[0] + "\n")
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes plugins."""

    def act(name: str) -> None:
        cli.client.delete(_path(name), {"force": options.flag("force")})

    return each(cli, args, act)


def set_(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes settings of a plugin."""
    cli.client.post(_path(args[0], "set"), None, args[1:])
    return 0


def push(cli: Cli, options: Options, args: list[str]) -> int:
    """Sends a plugin to a registry."""
    from scow.cli.credentials import headers
    from scow.cli.transfers import show as progress
    from scow.client.api import json_values

    name = _tagged(args[0])
    with cli.client.call("POST", _path(name, "push"), headers=headers(cli, _domain(name))) as response:
        progress(cli, json_values(response.iterate()))
    return 0


def install(cli: Cli, options: Options, args: list[str]) -> int:
    """Fetches a plugin and lets it run."""
    remote = _tagged(args[0])
    alias = _tagged(options.text("alias")) if options.text("alias") else ""
    _fetch(cli, options, "/plugins/pull", remote, {"remote": remote, "name": alias or remote})
    if args[1:]:
        cli.client.post(_path(alias or remote, "set"), None, args[1:])
    if not options.flag("disable"):
        cli.client.post(_path(alias or remote, "enable"), {"timeout": "0"})
    cli.out(f"Installed plugin {args[0]}\n")
    return 0


def upgrade(cli: Cli, options: Options, args: list[str]) -> int:
    """Replaces a plugin by a newer one."""
    try:
        plugin = cli.client.get(_path(args[0], "json"))
    except ScowError as exc:
        raise ScowError(f"error reading plugin data: Error response from daemon: {exc.message}") from None
    if plugin.get("Enabled"):
        raise ScowError("the plugin must be disabled before upgrading")
    remote = _tagged(args[1] if len(args) > 1 else plugin.get("PluginReference") or args[0])
    _fetch(cli, options, _path(args[0], "upgrade"), remote, {"remote": remote})
    cli.out(f"Upgraded plugin {args[0]} to {remote}\n")
    return 0


def _fetch(cli: Cli, options: Options, path: str, remote: str, params: dict[str, str]) -> None:
    """Asks which privileges a plugin wants, asks the user, and has it fetched."""
    import sys

    from scow.cli import credentials
    from scow.cli.transfers import show as progress
    from scow.client.api import json_values

    headers = credentials.headers(cli, _domain(remote))
    answer = cli.client.call("GET", "/plugins/privileges", {"remote": remote}, headers=headers).json()
    wanted: list[dict[str, Any]] = answer if isinstance(answer, list) else []
    if wanted and not options.flag("grant-all-permissions"):
        cli.out(f'Plugin "{remote}" is requesting the following privileges:\n')
        for one in wanted:
            cli.out(f" - {one.get('Name')}: {one.get('Value')}\n")
        cli.out("Do you grant the above permissions? [y/N] ")
        cli.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ScowError("permission denied while installing plugin " + remote)
    with cli.client.call("POST", path, dict(params), wanted, headers) as response:
        progress(cli, json_values(response.iterate()))


def _tagged(name: str) -> str:
    from scow.reference import parse_normalized

    return parse_normalized(name).familiar()


def _domain(name: str) -> str:
    from scow.reference import parse_normalized

    return parse_normalized(name).domain


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a plugin of a folder."""
    import os

    name, folder = args
    for needed in ("config.json", "rootfs"):
        if not os.path.exists(f"{folder}/{needed}"):
            raise ScowError(f"stat {folder}/{needed}: no such file or directory")
    cli.client.call("POST", "/plugins/create", {"name": name}, _packed(folder, options.flag("compress"))).read()
    cli.out(name + "\n")
    return 0


def _packed(folder: str, compress: bool) -> Iterator[bytes]:
    import io
    import tarfile

    class Pieces(io.RawIOBase):
        held = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.held += bytes(data)
            return len(data)

    out = Pieces()
    with tarfile.open(fileobj=out, mode="w|gz" if compress else "w|") as tar:
        for needed in ("config.json", "rootfs"):
            tar.add(f"{folder}/{needed}", needed)
            yield out.held
            out.held = b""
    yield out.held


_FORCE = ("force", "f", "bool", False, "Force the disable of an active plugin")
_TRUST = ("disable-content-trust", "", "bool", True, "Skip verification of the image")
_GRANT = ("grant-all-permissions", "", "bool", False, "Grant every privilege that the plugin asks for")
CREATE = Command(
    " [OPTIONS] PLUGIN PLUGIN-DATA-DIR",
    "Create a plugin from a folder with config.json and rootfs",
    (("compress", "", "bool", False, "Send it with gzip"),),
    create,
    2,
)
DISABLE = Command(" [OPTIONS] PLUGIN", "Disable a plugin", (_FORCE,), disable, 1, 1)
ENABLE = Command(" [OPTIONS] PLUGIN", "Enable a plugin", (("timeout", "", "int", 30, "Seconds to wait for its answer"),), enable, 1, 1)
INSTALL = Command(
    " [OPTIONS] PLUGIN [KEY=VALUE...]",
    "Install a plugin",
    (
        ("alias", "", "string", "", "Local name of the plugin"),
        ("disable", "", "bool", False, "Don't enable it"),
        _TRUST,
        _GRANT,
    ),
    install,
    1,
)
LS = Command(
    " [OPTIONS]",
    "List plugins",
    (
        ("filter", "f", "filter", (), "Show only what matches ('enabled=true')"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("quiet", "q", "bool", False, "Print only ids"),
    ),
    ls,
    0,
    0,
)
PUSH = Command(" [OPTIONS] PLUGIN[:TAG]", "Push a plugin to a registry", (_TRUST,), push, 1, 1)
RM = Command(
    " [OPTIONS] PLUGIN [PLUGIN...]", "Remove one or more plugins", (("force", "f", "bool", False, "Remove an active plugin, too"),), rm, 1
)
SET = Command(" PLUGIN KEY=VALUE [KEY=VALUE...]", "Change settings of a plugin", (), set_, 2)
UPGRADE = Command(
    " [OPTIONS] PLUGIN [REMOTE]",
    "Upgrade an existing plugin",
    (_TRUST, _GRANT, ("skip-remote-check", "", "bool", False, "Don't compare the names")),
    upgrade,
    1,
    2,
)
