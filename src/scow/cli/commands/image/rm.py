"""`scow rmi` and `tag`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, each
from scow.client.api import image_path
from scow.errors import ScowError


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes images, saying what was untagged and what deleted."""
    params: dict[str, Any] = {"force": options.flag("force"), "noprune": options.flag("no-prune")}
    if options.list("platform"):
        from scow.cli.commands.image.ls import platform_json

        params["platforms"] = [platform_json(one) for one in options.list("platform")]

    def act(name: str) -> str:
        try:
            lines = cli.client.delete(image_path(name), params) or []
        except ScowError as exc:
            if options.flag("force") and getattr(exc, "status", 0) == 404:
                cli.err(f"Error response from daemon: {exc.message}\n")
                return ""
            raise
        return "\n".join(f"Deleted: {one['Deleted']}" if one.get("Deleted") else f"Untagged: {one.get('Untagged')}" for one in lines)

    return each(cli, args, act)


def tag(cli: Cli, options: Options, args: list[str]) -> int:
    """Gives an image another name."""
    from scow.reference import Reference

    try:
        target = Reference.parse(args[1])
    except ScowError as exc:
        raise ScowError(f'Error parsing reference: "{args[1]}" is not a valid repository/tag: {exc.message}') from None
    if target.digest:
        raise ScowError("refusing to create a tag with a digest reference")
    cli.client.post(image_path(args[0], "tag"), {"repo": target.name, "tag": target.tagged().tag})
    return 0


RM = Command(
    " [OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    (
        ("force", "f", "bool", False, "Remove in any case"),
        ("no-prune", "", "bool", False, "Keep untagged parents"),
        ("platform", "", "strings", (), "Remove only this platform of the image"),
    ),
    rm,
    1,
)
TAG = Command(" SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", (), tag, 2, 2)
