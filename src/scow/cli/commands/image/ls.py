"""`scow images` and `history`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import time

from scow.cli.command import Command
from scow.cli.format.container import ago, local_time
from scow.cli.format.table import ellipsis, parse_filters, short_id, show
from scow.client.api import filters_param, image_path
from scow.errors import ScowError
from scow.units import human_size

HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
HISTORY = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
NONE = "<none>"


def names_of(image: dict[str, Any], digests: bool) -> list[tuple[str, str, str]]:
    """(repository, tag, digest) for each row of an image."""
    tags: dict[str, list[str]] = {}
    for name in image.get("RepoTags") or []:
        repo, _, tag = name.rpartition(":")
        if repo and repo != NONE:
            tags.setdefault(repo, []).append(tag)
    found: dict[str, list[str]] = {}
    for name in image.get("RepoDigests") or []:
        repo, _, digest = name.rpartition("@")
        if repo and repo != NONE:
            found.setdefault(repo, []).append(digest)
    rows = []
    for repo, some in tags.items():
        shown = found.pop(repo, [])
        for tag in some:
            rows += [(repo, tag, digest) for digest in (shown if digests and shown else [NONE])]
    for repo, some in found.items():
        rows += [(repo, NONE, digest) for digest in (some if digests else [NONE])]
    return rows or [(NONE, NONE, NONE)]


def rows_of(image: dict[str, Any], digests: bool, trunc: bool, now: float) -> list[dict[str, Any]]:
    """The rows of an image, one for each name."""
    ident = short_id(image["Id"]) if trunc else image["Id"]
    size, shared = image.get("Size") or 0, image.get("SharedSize", -1)
    count = image.get("Containers", -1)
    common = {
        "Containers": "N/A" if count == -1 else str(count),
        "CreatedAt": local_time(image.get("Created") or 0),
        "CreatedSince": ago(image.get("Created") or 0, now) if image.get("Created") else "N/A",
        "Digest": NONE,
        "ID": ident,
        "Repository": NONE,
        "SharedSize": "N/A" if shared == -1 else human_size(shared),
        "Size": human_size(size, 3),
        "Tag": NONE,
        "UniqueSize": "N/A" if shared == -1 else human_size(size - shared),
        "VirtualSize": human_size(size),
    }
    return [{**common, "Repository": repo, "Tag": tag, "Digest": digest} for repo, tag, digest in names_of(image, digests)]


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists images."""
    found = parse_filters(options.list("filter"))
    if args:
        found.setdefault("reference", {})[args[0]] = True
    params = {"all": options.flag("all"), "filters": filters_param(found)}
    if options.flag("tree"):
        for flag in ("quiet", "no-trunc", "digests"):
            if options.flag(flag):
                raise ScowError(f"--{'show-digest' if flag == 'digests' else flag} is not yet supported with --tree")
        from scow.cli.commands.image import tree

        return tree.show(cli, cli.client.get("/images/json", {**params, "manifests": True, "shared-size": True}) or [])
    images = cli.client.get("/images/json", params) or []
    digests = options.flag("digests")
    quiet = options.flag("quiet")
    fmt = options.text("format") or ("" if quiet else cli.setting("imagesFormat"))
    now = time.time()
    trunc = not options.flag("no-trunc")
    rows = [row for image in images for row in rows_of(image, digests or ".Digest" in fmt or fmt == "json", trunc, now)]
    columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    show(
        rows,
        fmt,
        HEADERS,
        columns,
        "ID" if quiet else "",
        (
            "repository=Repository",
            "tag=Tag",
            *(["digest=Digest"] if digests else []),
            "image_id=ID",
            "created_at=CreatedAt",
            "virtual_size=Size",
        ),
        "*formatter.imageContext",
    )
    return 0


def history(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows the steps of an image, the last one first."""
    trunc, human = not options.flag("no-trunc"), options.flag("human")
    now = time.time()
    rows = []
    for step in cli.client.get(image_path(args[0], "history"), {"platform": platform_json(options.text("platform"))}) or []:
        created_by = str(step.get("CreatedBy") or "").replace("\t", " ")
        if trunc:
            created_by = ellipsis(created_by, 45)
        made = step.get("Created") or 0
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(made)) + _zone(made)
        rows.append(
            {
                "Comment": step.get("Comment") or "",
                "CreatedAt": stamp,
                "CreatedBy": created_by,
                "CreatedSince": (ago(made, now) if human else stamp) if made > 0 else "N/A",
                "ID": short_id(step.get("Id") or "") if trunc else step.get("Id") or "",
                "Size": human_size(step.get("Size") or 0, 3) if human else str(step.get("Size") or 0),
            }
        )
    show(
        rows,
        options.text("format"),
        HISTORY if human else {**HISTORY, "CreatedSince": HISTORY["CreatedAt"]},
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
        "ID" if options.flag("quiet") else "",
        kind="*image.historyContext",
    )
    return 0


def _zone(seconds: int) -> str:
    text = time.strftime("%z", time.localtime(seconds))
    return "Z" if text == "+0000" else f"{text[:3]}:{text[3:]}"


def platforms_json(text: str) -> list[str] | None:
    """`linux/amd64,linux/arm64` as the API's JSON platforms."""
    return [found for one in text.split(",") if (found := platform_json(one.strip()))] or None


def platform_json(text: str) -> str | None:
    """`linux/arm64/v8` as the API's JSON platform."""
    if not text:
        return None
    from scow.fastjson import dumps
    from scow.opts.checks import platform

    parts = platform(text).split("/")
    keys = ("os", "architecture", "variant")
    return dumps(dict(zip(keys, parts, strict=False)) if len(parts) > 1 else {"architecture": text, "os": "linux"})


LS = Command(
    " [OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    (
        ("all", "a", "bool", False, "Show intermediate images too"),
        ("digests", "", "bool", False, "Show digests"),
        ("filter", "f", "filter", (), "Show only what matches"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("quiet", "q", "bool", False, "Print only ids"),
        ("tree", "", "bool", False, "Show the platforms of each image below it"),
    ),
    ls,
    0,
    1,
)
HISTORY_FLAGS = (
    ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
    ("human", "H", "bool", True, "Print sizes and dates for people"),
    ("no-trunc", "", "bool", False, "Print in full length"),
    ("platform", "", "string", "", "Platform of the image (linux/amd64)"),
    ("quiet", "q", "bool", False, "Print only ids"),
)
HISTORY_COMMAND = Command(" [OPTIONS] IMAGE", "Show the history of an image", HISTORY_FLAGS, history, 1, 1)
