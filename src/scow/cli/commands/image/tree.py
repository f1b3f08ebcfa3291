"""`scow image ls --tree`: each image with its platforms below it, in docker's layout."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.cli.format.table import short_id
from scow.units import human_size

_WARNING = "WARNING: This is an experimental feature. The output may change and shouldn't be depended on."
_LEGEND = "Info ->  U In Use "
_COLUMNS = (("ID", 12, False), ("DISK USAGE", 10, True), ("CONTENT SIZE", 12, True), ("EXTRA", 5, False))
_GAP = "   "


def _platform(where: dict[str, Any]) -> str:
    return "/".join(str(where[key]) for key in ("os", "architecture", "variant") if where.get(key))


def _line(width: int, first: str, cells: tuple[str, ...]) -> str:
    text = first.ljust(width)
    for (_, size, right), cell in zip(_COLUMNS, cells, strict=True):
        text += _GAP + (cell.rjust(size) if right else cell.ljust(size))
    return text


def tree(images: list[dict[str, Any]]) -> str:
    """The table of what `/images/json?manifests=1` answers."""
    blocks: list[list[tuple[str, tuple[str, ...] | None]]] = []
    for image in images:
        names = [name for name in image.get("RepoTags") or [] if name != "<none>:<none>"] or ["<untagged>"]
        children = [one for one in image.get("Manifests") or [] if one.get("Kind") == "image"]
        content = sum((one.get("Size") or {}).get("Content") or 0 for one in children)
        used = (image.get("Containers") or 0) > 0 or any((one.get("ImageData") or {}).get("Containers") for one in children)
        cells = (short_id(image.get("Id") or ""), human_size(image.get("Size") or 0, 3), human_size(content, 3), " U " if used else "")
        block: list[tuple[str, tuple[str, ...] | None]] = [(name, None) for name in names[:-1]]
        block.append((names[-1], cells))
        for number, one in enumerate(children):
            size, data = one.get("Size") or {}, one.get("ImageData") or {}
            mark = "└─ " if number == len(children) - 1 else "├─ "
            block.append((
                mark + _platform(data.get("Platform") or {}),
                (
                    short_id(one.get("ID") or ""),
                    human_size(size.get("Total") or 0 if one.get("Available") else 0, 3),
                    human_size(size.get("Content") or 0 if one.get("Available") else 0, 3),
                    " U " if data.get("Containers") else "",
                ),
            ))  # fmt: skip
        blocks.append(block)
    width = max([5, *(len(first.encode()) for block in blocks for first, _ in block)])
    head = _line(width, "IMAGE", tuple(name for name, _, _ in _COLUMNS)).rstrip()
    lines = [_LEGEND.rjust(width + sum(size + len(_GAP) for _, size, _ in _COLUMNS)), "", head]
    for block in blocks:
        lines += [first if cells is None else _line(width, first, cells) for first, cells in block]
        if len(block) > 1:
            lines.append("")
    return "\n".join(lines) + "\n"


def show(cli: Cli, images: list[dict[str, Any]]) -> int:
    """Print it."""
    cli.err(_WARNING + "\n")
    cli.out(tree(images))
    return 0
