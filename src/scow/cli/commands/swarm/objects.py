"""`scow secret` and `scow config`: create, inspect, ls, rm. One code for both, which differ in words only."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options

from scow.cli.command import Command, ExitCode, daemon_error, each
from scow.cli.commands.swarm.node import FORMAT, stamp
from scow.cli.commands.swarm.tasks import ago
from scow.cli.flags import every
from scow.cli.format.table import parse_filters, show
from scow.client.api import filters_param, quote
from scow.client.transport import ApiError
from scow.errors import ScowError

MAX_DATA = 16 * 1024 * 1024  # engines take much less; the pipe of a mistake is not read to its end
HEADERS = {"ID": "ID", "Name": "NAME", "Driver": "DRIVER", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED", "Labels": "LABELS"}
COLUMNS = {"secret": ("ID", "Name", "Driver", "CreatedAt", "UpdatedAt"), "config": ("ID", "Name", "CreatedAt", "UpdatedAt")}


def read_data(source: str) -> bytes:
    """A file's content, or standard input's for `-`. Raises ScowError."""
    try:
        if source == "-":
            import sys

            data = sys.stdin.buffer.read(MAX_DATA)
            if not data:
                raise ScowError("error reading from STDIN: data is empty")
            return data
        with open(source, "rb") as file:
            return file.read(MAX_DATA)
    except (OSError, ValueError) as exc:
        reason = exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ScowError(f"error reading from {source}: open {source}: {reason}") from None


def body(name: str, data: bytes | None, labels: dict[str, str]) -> dict[str, Any]:
    """What /secrets/create and /configs/create are sent."""
    import base64

    found: dict[str, Any] = {"Name": name, "Labels": labels}
    if data is not None:
        found["Data"] = base64.b64encode(data).decode()
    return found


def _create(kind: str) -> Callable[[Cli, Options, list[str]], int]:
    def run(cli: Cli, options: Options, args: list[str]) -> int:
        from scow.opts.checks import label
        from scow.opts.env import mapping

        labels = mapping(every("-l, --label", options.list("label"), label))
        driver = options.text("driver")
        if driver and len(args) > 1:
            raise ScowError("When using secret driver secret data must be empty")
        if not driver and len(args) < 2:
            raise ScowError(f"{kind} file is required")
        try:
            data = None if driver else read_data(args[1])
        except ScowError as exc:
            raise ScowError(exc.message if kind == "secret" else f'Error reading content from "{args[1]}": {exc.message}') from None
        spec = body(args[0], data, labels)
        if driver:
            spec["Driver"] = {"Name": driver}
        if options.text("template-driver"):
            spec["Templating"] = {"Name": options.text("template-driver")}
        cli.out(cli.client.post(f"/{kind}s/create", None, spec)["ID"] + "\n")
        return 0

    return run


def _ls(kind: str) -> Callable[[Cli, Options, list[str]], int]:
    def run(cli: Cli, options: Options, args: list[str]) -> int:
        from scow.cli.commands.network.ls import natural

        quiet = options.flag("quiet")
        found = cli.client.get(f"/{kind}s", {"filters": filters_param(parse_filters(options.list("filter")))}) or []
        rows = []
        for one in sorted(found, key=lambda item: natural((item.get("Spec") or {}).get("Name") or "")):
            spec = one.get("Spec") or {}
            labels = spec.get("Labels") or {}
            row = {
                "CreatedAt": ago(one.get("CreatedAt") or "").lower(),
                "ID": one["ID"],
                "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
                "Name": spec.get("Name") or "",
                "UpdatedAt": ago(one.get("UpdatedAt") or "").lower(),
                "Label": lambda key, labels=labels: labels.get(key, ""),
            }
            if kind == "secret":
                row["Driver"] = (spec.get("Driver") or {}).get("Name") or ""
            rows.append(row)
        fmt = options.text("format") or ("" if quiet else cli.setting(f"{kind}Format"))
        show(rows, fmt, HEADERS, COLUMNS[kind], "ID" if quiet else "", (), f"*{kind}.{kind}Context")
        return 0

    return run


def _inspect(kind: str) -> Callable[[Cli, Options, list[str]], int]:
    def run(cli: Cli, options: Options, args: list[str]) -> int:
        if not options.flag("pretty"):
            from scow.cli.commands.system.inspect import inspect

            return inspect(cli, options, args, (kind,))
        if options.given("format"):
            raise ScowError("--format is incompatible with human friendly format")
        errors = []
        for name in args:
            try:
                found = cli.client.get(f"/{kind}s/{quote(name)}")
            except ApiError as exc:
                errors.append(daemon_error(exc.message))
                continue
            cli.out(_pretty_secret(found) if kind == "secret" else _pretty_config(found))
        if errors:
            raise ExitCode(1, "\n".join(errors))
        return 0

    return run


def _labels(spec: dict[str, Any]) -> str:
    labels = spec.get("Labels") or {}
    return "Labels:\n" + "".join(f" - {key}={labels[key]}\n" for key in sorted(labels)) if labels else ""


def _pretty_secret(found: dict[str, Any]) -> str:
    spec = found.get("Spec") or {}
    return (
        f"ID:              {found['ID']}\nName:              {spec.get('Name') or ''}\n{_labels(spec)}"
        f"Driver:            {(spec.get('Driver') or {}).get('Name') or ''}\n"
        f"Created at:        {stamp(found.get('CreatedAt') or '')}\nUpdated at:        {stamp(found.get('UpdatedAt') or '')}\n"
    )


def _pretty_config(found: dict[str, Any]) -> str:
    import base64

    spec = found.get("Spec") or {}
    data = base64.b64decode(spec.get("Data") or "").decode("utf-8", "replace")
    return (
        f"ID:\t\t\t{found['ID']}\nName:\t\t\t{spec.get('Name') or ''}\n{_labels(spec)}"
        f"Created at:            \t{stamp(found.get('CreatedAt') or '')}\nUpdated at:            \t{stamp(found.get('UpdatedAt') or '')}\n"
        f"Data:\n{data}\n"
    )


def _rm(kind: str) -> Callable[[Cli, Options, list[str]], int]:
    def run(cli: Cli, options: Options, args: list[str]) -> int:
        return each(cli, args, lambda name: cli.client.delete(f"/{kind}s/{quote(name)}"))

    return run


_FILTER: Flag = ("filter", "f", "filter", (), "Show only what matches ('name=web')")
_QUIET: Flag = ("quiet", "q", "bool", False, "Print only ids")
_DOCUMENT: Flag = ("format", "f", "string", "", "Format of the output: json, or a Go template")
_PRETTY: Flag = ("pretty", "", "bool", False, "Print what matters, for people")
_TEMPLATE: Flag = ("template-driver", "", "string", "", "Driver of templates (golang)")
SECRET_CREATE = Command(
    " [OPTIONS] SECRET [file|-]",
    "Create a secret from a file or STDIN as content",
    (("driver", "d", "string", "", "Driver of the secret"), ("label", "l", "list", (), "Set a label"), _TEMPLATE),
    _create("secret"),
    1,
    2,
)
CONFIG_CREATE = Command(
    " [OPTIONS] CONFIG file|-",
    "Create a config from a file or STDIN",
    (("label", "l", "list", (), "Set a label"), _TEMPLATE),
    _create("config"),
    2,
    2,
)
SECRET_LS = Command(" [OPTIONS]", "List secrets", (_FILTER, FORMAT, _QUIET), _ls("secret"), 0, 0)
CONFIG_LS = Command(" [OPTIONS]", "List configs", (_FILTER, FORMAT, _QUIET), _ls("config"), 0, 0)
SECRET_INSPECT = Command(
    " [OPTIONS] SECRET [SECRET...]", "Display detailed information on one or more secrets", (_DOCUMENT, _PRETTY), _inspect("secret"), 1
)
CONFIG_INSPECT = Command(
    " [OPTIONS] CONFIG [CONFIG...]", "Display detailed information on one or more configs", (_DOCUMENT, _PRETTY), _inspect("config"), 1
)
SECRET_RM = Command(" SECRET [SECRET...]", "Remove one or more secrets", (), _rm("secret"), 1)
CONFIG_RM = Command(" CONFIG [CONFIG...]", "Remove one or more configs", (), _rm("config"), 1)
