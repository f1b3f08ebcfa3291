"""Writing services: the image's digest out of its registry, credentials, the object's version. Shared by create, update, scale, rollback,
rebalance and stacks."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.client.api import quote
from scow.errors import ScowError

_UNKNOWN = """image {0} could not be accessed on a registry to record
its digest. Each node will access {0} independently,
possibly leading to different nodes running different
versions of the image.
"""


def tagged(image: str) -> str:
    """An image with a tag, `latest` where it has neither tag nor digest; as it is where it is no name (the engine says why)."""
    from scow.reference import Reference

    try:
        Reference.parse(image)
    except ScowError:
        return image
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image
    return f"{image}:latest"


def authority(cli: Cli, image: str) -> dict[str, str]:
    """The X-Registry-Auth header for an image's registry."""
    from scow.cli.credentials import headers
    from scow.reference import Reference

    try:
        return headers(cli, Reference.parse(image).domain)
    except ScowError:
        return {}


def pin(cli: Cli, spec: dict[str, Any], auth: dict[str, str]) -> str:
    """Asks the registry for the digest and the platforms of a service's image and puts them into the spec; a warning where it can't."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    image = container.get("Image") or ""
    container["Image"] = tagged(image)
    try:
        found: Any = cli.client.call("GET", f"/distribution/{quote(image, '/:@')}/json", None, None, auth).json()
    except ScowError:
        return _UNKNOWN.format(container["Image"])
    digest = (found.get("Descriptor") or {}).get("digest") or ""
    if digest and "@" not in image:
        container["Image"] = f"{container['Image']}@{digest}"
    platforms = [
        {"Architecture": one.get("architecture") or "", "OS": one.get("os") or ""}
        for one in found.get("Platforms") or []
        if one.get("architecture") or one.get("os")
    ]
    if platforms:
        spec["TaskTemplate"].setdefault("Placement", {})["Platforms"] = platforms
    return ""


def create(cli: Cli, spec: dict[str, Any], resolve: bool, with_auth: bool) -> str:
    """Makes a service; its id. Warnings go to standard error."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    image = container.get("Image") or ""  # without one, the engine says what is missing
    auth = authority(cli, image) if with_auth and image else {}
    warning = pin(cli, spec, auth) if resolve and image else ""
    if image:
        container["Image"] = tagged(container["Image"])
    answer: Any = cli.client.call("POST", "/services/create", None, spec, auth).json()
    warn(cli, [*(answer.get("Warnings") or []), warning])
    return str(answer["ID"])


def update(
    cli: Cli,
    service: dict[str, Any],
    spec: dict[str, Any],
    resolve: bool = False,
    with_auth: bool = False,
    rollback: bool = False,
    auth_from: str = "",
) -> list[str]:
    """Writes a service's spec; the warnings."""
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    image = container.get("Image") or ""
    auth = authority(cli, image) if with_auth else {}
    warning = pin(cli, spec, auth) if resolve and image else ""
    if image:
        container["Image"] = tagged(container["Image"])
    params: dict[str, object] = {"version": (service.get("Version") or {}).get("Index") or 0}
    if auth_from and not with_auth:
        params["registryAuthFrom"] = auth_from
    if rollback:
        params["rollback"] = "previous"
    data: Any = cli.client.call("POST", f"/services/{quote(service['ID'])}/update", params, spec, auth).json() or {}
    return [*(data.get("Warnings") or []), *([warning] if warning else [])]


def warn(cli: Cli, warnings: list[str]) -> None:
    """Says warnings."""
    for one in warnings:
        if one:
            cli.err(f"{one}\n")
