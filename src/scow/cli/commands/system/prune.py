"""`scow container|image|volume|network|system prune`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.client.api import filters_param
from scow.errors import ScowError
from scow.units import human_size

_SURE = "Are you sure you want to continue? [y/N] "


def _sure(cli: Cli, warning: str, options: Options) -> bool:
    import sys

    if options.flag("force"):
        return True
    cli.out(f"WARNING! {warning}\n{_SURE}")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _filters(cli: Cli, options: Options, **more: str) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    configured = cli.config.get("pruneFilters") or []
    for word in [*(one for one in configured if isinstance(one, str)), *options.list("filter")]:
        key, sep, value = word.partition("=")
        if not sep:
            raise ScowError(f'invalid argument "{word}" for "--filter" flag: invalid filter \'{word}\'')
        found.setdefault(key.strip(), {})[value.strip()] = True
    for key, value in more.items():
        found.setdefault(key, {})[value] = True
    return found


def _section(title: str, lines: list[str]) -> str:
    return title + ":\n" + "".join(line + "\n" for line in lines) + "\n" if lines else ""


def _containers(cli: Cli, filters: Any) -> tuple[str, int]:
    found = cli.client.post("/containers/prune", {"filters": filters_param(filters)}) or {}
    return _section("Deleted Containers", found.get("ContainersDeleted") or []), found.get("SpaceReclaimed") or 0


def _images(cli: Cli, filters: Any) -> tuple[str, int]:
    found = cli.client.post("/images/prune", {"filters": filters_param(filters)}) or {}
    lines = [
        f"untagged: {one['Untagged']}" if one.get("Untagged") else f"deleted: {one.get('Deleted')}"
        for one in found.get("ImagesDeleted") or []
    ]
    return _section("Deleted Images", lines), found.get("SpaceReclaimed") or 0


def _volumes(cli: Cli, filters: Any) -> tuple[str, int]:
    found = cli.client.post("/volumes/prune", {"filters": filters_param(filters)}) or {}
    return _section("Deleted Volumes", found.get("VolumesDeleted") or []), found.get("SpaceReclaimed") or 0


def _networks(cli: Cli, filters: Any) -> str:
    return _section(
        "Deleted Networks", (cli.client.post("/networks/prune", {"filters": filters_param(filters)}) or {}).get("NetworksDeleted") or []
    )


def _total(cli: Cli, text: str, space: int) -> int:
    cli.out(f"{text}Total reclaimed space: {human_size(space)}\n")
    return 0


def containers(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes stopped containers."""
    if not _sure(cli, "This will remove all stopped containers.", options):
        return 0  # as docker: no is an answer, not an error
    return _total(cli, *_containers(cli, _filters(cli, options)))


def images(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes unused images."""
    everything = options.flag("all")
    warning = (
        "This will remove all images without at least one container associated to them."
        if everything
        else "This will remove all dangling images."
    )
    if not _sure(cli, warning, options):
        return 0  # as docker: no is an answer, not an error
    return _total(cli, *_images(cli, _filters(cli, options, dangling="false" if everything else "true")))


def volumes(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes unused volumes."""
    everything = options.flag("all")
    if everything and "all" in _filters(cli, options):
        raise ScowError("conflicting options: cannot specify both --all and --filter all=1")
    warning = f"This will remove {'all' if everything else 'anonymous'} local volumes not used by at least one container."
    if not _sure(cli, warning, options):
        return 0  # as docker: no is an answer, not an error
    return _total(cli, *_volumes(cli, _filters(cli, options, **({"all": "true"} if everything else {}))))


def networks(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes unused networks."""
    if not _sure(cli, "This will remove all custom networks not used by at least one container.", options):
        return 0  # as docker: no is an answer, not an error
    cli.out(_networks(cli, _filters(cli, options)))
    return 0


def system(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes everything unused."""
    everything, with_volumes = options.flag("all"), options.flag("volumes")
    filters = _filters(cli, options)
    if with_volumes and "until" in filters:
        raise ScowError('ERROR: The "until" filter is not supported with "--volumes"')
    parts = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if with_volumes else []),
        "all images without at least one container associated to them" if everything else "all dangling images",
        "all build cache" if everything else "unused build cache",
    ]
    if not _sure(cli, "This will remove:\n" + "".join(f"  - {part}\n" for part in parts), options):
        return 0  # as docker: no is an answer, not an error
    text, space = _containers(cli, filters)
    text += _networks(cli, filters)
    if with_volumes:
        more, freed = _volumes(cli, filters)
        text, space = text + more, space + freed
    more, freed = _images(cli, {**filters, "dangling": {"false" if everything else "true": True}})
    text, space = text + more, space + freed
    try:
        cache = cli.client.post("/build/prune", {"all": everything, "filters": filters_param(filters)}) or {}
        text += _section("Deleted build cache objects", cache.get("CachesDeleted") or [])
        space += cache.get("SpaceReclaimed") or 0
    except ScowError as exc:
        if getattr(exc, "status", 0) not in (404, 501):
            raise
    return _total(cli, text, space)


_FILTER = ("filter", "", "filter", (), "Remove only what matches ('until=<time>')")
_FORCE = ("force", "f", "bool", False, "Don't ask")
CONTAINER = Command(" [OPTIONS]", "Remove all stopped containers", (_FILTER, _FORCE), containers, 0, 0)
IMAGE = Command(
    " [OPTIONS]",
    "Remove unused images",
    (("all", "a", "bool", False, "Remove all unused images, not only dangling ones"), _FILTER, _FORCE),
    images,
    0,
    0,
)
VOLUME = Command(
    " [OPTIONS]",
    "Remove unused local volumes",
    (("all", "a", "bool", False, "Remove all unused volumes, not only anonymous ones"), _FILTER, _FORCE),
    volumes,
    0,
    0,
)
NETWORK = Command(" [OPTIONS]", "Remove all unused networks", (_FILTER, _FORCE), networks, 0, 0)
SYSTEM = Command(
    " [OPTIONS]",
    "Remove unused data",
    (
        ("all", "a", "bool", False, "Remove all unused images, not only dangling ones"),
        _FILTER,
        _FORCE,
        ("volumes", "", "bool", False, "Remove anonymous volumes too"),
    ),
    system,
    0,
    0,
)
