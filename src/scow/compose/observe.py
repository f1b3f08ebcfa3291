"""What runs of a project: its containers, networks and volumes, found by label. Called by `commands/`; `reconcile.py` reads the answer."""

from __future__ import annotations

from scow.client.api import Client, filters_param
from scow.compose import labels
from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Json = dict[str, Any]


@record(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """A container as /containers/json tells of it. `state` is created, running, paused, restarting, removing, exited or dead; `health` ""
    where there is no check."""

    id: str
    name: str
    service: str
    number: int = 1
    oneoff: bool = False
    state: str = ""
    health: str = ""
    hash: str = ""
    image: str = ""  # the ID it was made from, as its label says
    content: str = ""
    told: str = ""  # the digest of the configs and secrets that it knows, where a signal tells of changes
    depends: dict[str, tuple[str, bool]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Json, ...] = ()
    summary: Json = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.state in ("running", "paused", "restarting")

    @property
    def short(self) -> str:
        """`web-1`: how logs and errors call it."""
        return f"{self.service}-{self.number}"


@record(frozen=True, slots=True, kw_only=True)
class Observed:
    """All of a project that exists. `networks` and `volumes`: name -> the engine's description."""

    containers: tuple[ContainerInfo, ...] = ()
    networks: dict[str, Json] = field(default_factory=dict)
    volumes: dict[str, Json] = field(default_factory=dict)
    api: tuple[int, int] = (1, 45)

    def of(self, service: str) -> list[ContainerInfo]:
        """The containers of a service, but for one-offs, by number."""
        return sorted((one for one in self.containers if one.service == service and not one.oneoff), key=lambda one: one.number)


def container_info(summary: Json) -> ContainerInfo:
    """One row of /containers/json."""
    marks: dict[str, str] = summary.get("Labels") or {}
    number = marks.get(labels.NUMBER, "")
    status = str(summary.get("Status") or "")
    health = next((word for word in ("unhealthy", "healthy", "starting") if f"({word})" in status or f"(health: {word})" in status), "")
    names = [name.removeprefix("/") for name in summary.get("Names") or [] if name.count("/") == 1]
    return ContainerInfo(
        id=summary["Id"],
        name=names[0] if names else summary["Id"][:12],
        service=marks.get(labels.SERVICE, ""),
        number=int(number) if number.isdigit() else 1,
        oneoff=marks.get(labels.ONEOFF, "").lower() == "true",
        state=str(summary.get("State") or ""),
        health=health,
        hash=marks.get(labels.HASH, ""),
        image=marks.get(labels.IMAGE, ""),
        content=marks.get(labels.CONTENT, ""),
        told=marks.get(labels.TOLD, ""),
        depends=labels.depends_of(marks.get(labels.DEPENDS, "")),
        labels=marks,
        mounts=tuple(summary.get("Mounts") or ()),
        summary=summary,
    )


def containers(
    client: Client, project: str, more: Iterable[str] = (), everything: bool = True
) -> tuple[tuple[ContainerInfo, ...], tuple[int, int]]:
    """(the project's containers by name, the engine's API version). `more` are further labels to have."""
    wanted = {"label": dict.fromkeys([labels.of_project(project), labels.HASH, *more], True)}
    response = client.call("GET", "/containers/json", {"all": everything, "filters": filters_param(wanted)})
    version = response.headers.get("api-version", "")
    rows = response.json()
    found = [container_info(one) for one in rows] if isinstance(rows, list) else []
    return tuple(sorted(found, key=lambda one: (one.service, one.number, one.name))), api_version(version)


def api_version(text: str) -> tuple[int, int]:
    """`1.45` as numbers."""
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (1, 45)


def networks(client: Client, project: str) -> dict[str, Json]:
    """The project's networks by name."""
    rows = client.get("/networks", {"filters": filters_param({"label": {labels.of_project(project): True}})}) or []
    return {one["Name"]: one for one in rows}


def volumes(client: Client, project: str) -> dict[str, Json]:
    """The project's volumes by name."""
    found = client.get("/volumes", {"filters": filters_param({"label": {labels.of_project(project): True}})}) or {}
    return {one["Name"]: one for one in found.get("Volumes") or []}


def observe(client: Client, project: str) -> Observed:
    """All that there is of a project."""
    found, api = containers(client, project)
    return Observed(containers=found, networks=networks(client, project), volumes=volumes(client, project), api=api)
