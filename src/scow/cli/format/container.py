"""Rows of `ps`."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.format.table import Row

from scow.cli.format.table import ellipsis, short_id
from scow.units import human_duration, human_size

HEADERS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Platform": "PLATFORM",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
RAW = (
    "container_id=ID",
    "image=Image",
    "command=Command",
    "created_at=CreatedAt",
    "state=State",
    "status=Status",
    "names=Names",
    "labels=Labels",
    "ports=Ports",
)


def quoted(text: str) -> str:
    """Go's quoted form; plain text goes the short way."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from scow.gotemplate import go_quote

    return go_quote(text)


def names_of(summary: dict[str, Any], trunc: bool) -> str:
    """The names without their slash; the names that links give are left out when short."""
    found = [str(name).removeprefix("/") for name in summary.get("Names") or []]
    return ",".join(name for name in found if not trunc or "/" not in name)


def image_of(summary: dict[str, Any], trunc: bool) -> str:
    """The image as ps shows it."""
    image: str = summary.get("Image") or ""
    if not image:
        return "<no image>"
    if trunc:
        ident = short_id(summary.get("ImageID") or "")
        if ident and ident == short_id(image):
            return ident
        name, at, _ = image.partition("@")
        if at and ":" in name.rpartition("/")[2]:
            return name
    return image


def _group(address: str, kind: str, first: int, last: int) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return (f"{_join(address, span)}->{span}" if address else span) + f"/{kind}"


def _join(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def ports_of(ports: list[dict[str, Any]] | None) -> str:
    """`0.0.0.0:80->80/tcp, 443/tcp`: runs of ports that are published on their own number are drawn together."""
    groups: dict[tuple[str, str], list[int]] = {}
    done: list[str] = []
    mapped: list[str] = []

    def order(port: dict[str, Any]) -> tuple[int, str, int, str]:
        return port.get("PrivatePort") or 0, port.get("IP") or "", port.get("PublicPort") or 0, port.get("Type") or ""

    for port in sorted(ports or [], key=order):
        private, address, public, kind = order(port)
        if address and public != private:
            mapped.append(f"{_join(address, public)}->{private}/{kind}")
            continue
        span = groups.get((address, kind))
        if span is not None and private == span[1] + 1:
            span[1] = private
            continue
        if span is not None:
            done.append(_group(address, kind, *span))
        groups[address, kind] = [private, private]
    done += [_group(address, kind, *span) for (address, kind), span in groups.items()]
    return ", ".join(done + mapped)


def size_of(summary: dict[str, Any]) -> str:
    """`12B (virtual 4.2MB)`."""
    own = human_size(summary.get("SizeRw") or 0, 3)
    root = summary.get("SizeRootFs") or 0
    return f"{own} (virtual {human_size(root, 3)})" if root > 0 else own


def ago(seconds: float, now: float) -> str:
    """`3 hours ago`."""
    return human_duration(int((now - seconds) * 1e9)) + " ago"


def local_time(seconds: int) -> str:
    """Go's default print of a local time: `2024-01-02 03:04:05 +0100 CET`."""
    moment = time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", moment)


def table_row(summary: dict[str, Any], trunc: bool, now: float) -> list[str]:
    """The cells of the default table, and nothing else."""
    command = str(summary.get("Command") or "")
    return [
        short_id(summary["Id"]) if trunc else summary["Id"],
        image_of(summary, trunc),
        quoted(ellipsis(command, 20) if trunc else command),
        ago(summary.get("Created") or 0, now),
        str(summary.get("Status") or ""),
        ports_of(summary.get("Ports")),
        names_of(summary, trunc),
    ]


def row(summary: dict[str, Any], trunc: bool, now: float) -> Row:
    """All fields that --format may use."""
    cells = table_row(summary, trunc, now)
    labels = summary.get("Labels") or {}
    mounts = summary.get("Mounts") or []
    places = [mount.get("Name") or mount.get("Source") or "" for mount in mounts]
    networks = sorted((summary.get("NetworkSettings") or {}).get("Networks") or {})
    created = local_time(summary.get("Created") or 0)
    return {
        "Command": cells[2],
        "CreatedAt": created,
        "ID": cells[0],
        "Image": cells[1],
        "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        "LocalVolumes": str(sum(1 for mount in mounts if mount.get("Driver") == "local")),
        "Mounts": ",".join(ellipsis(place, 15) if trunc else place for place in places),
        "Names": cells[6],
        "Networks": ",".join(networks),
        "Platform": None,
        "Ports": cells[5],
        "RunningFor": cells[3],
        "Size": size_of(summary),
        "State": summary.get("State") or "",
        "Status": cells[4],
        "Label": lambda key: labels.get(key, ""),
    }
