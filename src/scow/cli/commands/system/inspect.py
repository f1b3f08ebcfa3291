"""`scow inspect` and the inspect commands of each kind."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, ExitCode
from scow.client.api import container_path, image_path, quote
from scow.client.transport import ApiError
from scow.errors import ScowError

# what Docker leaves out of its JSON when empty, and what a template sees then
OPTIONAL: dict[str, Any] = {
    "Health": None,
    "Healthcheck": None,
    "StopSignal": "",
    "StopTimeout": None,
    "SizeRw": None,
    "SizeRootFs": None,
    "Annotations": {},
    "MacAddress": "",
    "ExposedPorts": {},
    "Shell": [],
    "ArgsEscaped": False,
    "NetworkDisabled": False,
    "Mounts": [],
    "Tmpfs": {},
    "StorageOpt": {},
    "Sysctls": {},
    "Runtime": "",
    "Init": None,
    "OnBuild": [],
    "Parent": "",
    "Comment": "",
    "Author": "",
    "Options": {},
    "Volumes": {},
    "UsageData": None,
    "Status": {},
    "Labels": {},
    "Variant": "",
    "OsVersion": "",
    "Config": None,
    "NodeID": "",
    "ImageManifestDescriptor": None,
    "Descriptor": None,
}
_PATHS = {
    "container": lambda name: container_path(name, "json"),
    "image": lambda name: image_path(name, "json"),
    "network": lambda name: f"/networks/{quote(name)}",
    "volume": lambda name: f"/volumes/{quote(name)}",
    "service": lambda name: f"/services/{quote(name)}",
    "task": lambda name: f"/tasks/{quote(name)}",
    "node": lambda name: f"/nodes/{quote(name)}",
    "plugin": lambda name: f"/plugins/{quote(name, '/:')}/json",
    "secret": lambda name: f"/secrets/{quote(name)}",
    "config": lambda name: f"/configs/{quote(name)}",
}


def inspect(cli: Cli, options: Options, names: list[str], kinds: tuple[str, ...]) -> int:
    """Prints what was found, then says what was not."""
    fmt = options.text("format")
    size = options.flag("size")
    found = []
    errors = []
    for name in names:
        try:
            found.append(_get(cli, name.strip(), kinds, size, options))
        except ApiError as exc:
            errors.append(f"Error response from daemon: {exc.message}")
        except ScowError as exc:
            if hasattr(exc, "fatal") or not hasattr(exc, "missing"):
                raise
            errors.append(exc.message)
    if fmt == "run" and "container" in kinds:
        cli.out(_run_lines(cli, found, options.flag("show-secrets")))
        if errors:
            raise ExitCode(1, "\n".join(errors))
        return 0
    kind = "volume.Volume" if kinds == ("volume",) else ""
    text, problem = rendered(found, fmt, kind)
    cli.out(text)
    if problem:
        errors.insert(0, f"template parsing error: {problem}")
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


def _get(cli: Cli, name: str, kinds: tuple[str, ...], size: bool, options: Options) -> Any:
    for kind in kinds:
        params = {"size": size if kind == "container" else None, "verbose": options.flag("verbose") if kind == "network" else None}
        if kind == "image" and options.text("platform"):
            from scow.cli.commands.image.ls import platform_json

            params["platform"] = platform_json(options.text("platform"))  # type: ignore[assignment]
        if not name:
            break
        try:
            return cli.client.get(_PATHS[kind](name), params)
        except ApiError as exc:
            skipped = exc.status == 404 or (exc.status in (400, 503) and kind not in ("container", "image", "network", "volume"))
            if len(kinds) == 1 or not skipped:
                raise
    missing = Missing(f"Error: No such object: {name}")
    raise missing


class Missing(ScowError):
    """Nothing of that name, of any kind."""

    missing = True


def _run_lines(cli: Cli, found: list[Any], show_secrets: bool) -> str:
    """The commands that would make the containers again. Raises ScowError for what is no container."""
    from scow.cli import runline

    info = cli.client.get("/info") if found else {}
    lines = []
    for one in found:
        if "HostConfig" not in one:
            raise ScowError(f"--format run is for containers, which {one.get('Name') or one.get('Id')} is not")
        try:
            image = cli.client.get(image_path(one.get("Image") or "", "json")).get("Config") or {}
        except ApiError:
            image = {}  # removed since: everything is said
        lines.append(runline.text(runline.words(one, image, info, show_secrets)) + "\n")
    return "".join(lines)


def rendered(found: list[Any], fmt: str, kind: str = "") -> tuple[str, str]:
    """(text, error of the template, "" for none). Raises ExitCode for a template that can't be read."""
    if not fmt:
        from scow.fastjson import pretty

        return pretty(found) + "\n", ""
    from scow.cli.format.document import render

    return render(found, fmt, OPTIONAL, kind)


def _kind(kind: str) -> Any:
    return lambda cli, options, args: inspect(cli, options, args, (kind,))


def any_kind(cli: Cli, options: Options, args: list[str]) -> int:
    """Looks for containers, then images, networks, volumes and the rest."""
    kind = options.text("type")
    if options.given("type") and kind not in _PATHS:
        raise ScowError(
            'type is empty: must be one of "config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"'
            if not kind
            else f'unknown type: "{kind}": must be one of "config", "container", "image", "network", "node", "plugin", '
            '"secret", "service", "task", "volume"'
        )
    return inspect(
        cli, options, args, (kind,) if kind else ("container", "image", "network", "volume", "service", "task", "node", "plugin", "secret")
    )


_FORMAT = ("format", "f", "string", "", "Format of the output: json, or a Go template")
_RUN_FORMAT = (*_FORMAT[:4], "Format of the output: json, a Go template, or run: the command that makes the container again")
_SECRETS = ("show-secrets", "", "bool", False, "Show values of secret variables with --format run")
_SIZE = ("size", "s", "bool", False, "Show sizes of containers")
CONTAINER = Command(
    " [OPTIONS] CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
    (_RUN_FORMAT, _SECRETS, _SIZE),
    _kind("container"),
    1,
)
IMAGE = Command(
    " [OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
    (_FORMAT, ("platform", "", "string", "", "Platform of the image")),
    _kind("image"),
    1,
)
NETWORK = Command(
    " [OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    (_FORMAT, ("verbose", "v", "bool", False, "Show more, for looking into problems")),
    _kind("network"),
    1,
)
VOLUME = Command(" [OPTIONS] VOLUME [VOLUME...]", "Display detailed information on one or more volumes", (_FORMAT,), _kind("volume"), 1)
PLUGIN = Command(" [OPTIONS] PLUGIN [PLUGIN...]", "Display detailed information on one or more plugins", (_FORMAT,), _kind("plugin"), 1)
ANY = Command(
    " [OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
    (_RUN_FORMAT, _SECRETS, _SIZE, ("type", "", "string", "", "Look only for objects of this kind")),
    any_kind,
    1,
)
