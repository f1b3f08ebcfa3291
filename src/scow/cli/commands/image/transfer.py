"""`scow pull` and `push`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli import transfers
from scow.cli.command import Command, ExitCode, daemon_error
from scow.client.api import image_path, json_values
from scow.errors import ScowError
from scow.reference import Reference

_TAG_AND_ALL = "tag can't be used with --all-tags/-a"


def pull_image(cli: Cli, reference: Reference, platform: str, quiet: bool = False, error_stream: bool = False) -> None:
    """Pulls with the user's credentials and shows how it goes; a reference without tag and digest means all tags. Raises ScowError."""
    from scow.cli import credentials

    params = {"fromImage": reference.name, "tag": reference.digest or reference.tag, "platform": platform or None}
    headers = credentials.headers(cli, reference.domain)
    with cli.client.call("POST", "/images/create", params, headers=headers) as response:
        transfers.show(cli, json_values(response.iterate()), error_stream, quiet)


def pull(cli: Cli, options: Options, args: list[str]) -> int:
    """Fetches an image, or all of a repository."""
    reference = Reference.parse(args[0])
    every, quiet = options.flag("all-tags"), options.flag("quiet")
    if every and (reference.tag or reference.digest):
        raise ScowError(_TAG_AND_ALL)
    if not every and not reference.tag and not reference.digest:
        reference = reference.tagged()
        if not quiet:
            cli.out(f"Using default tag: {reference.tag}\n")
            cli.flush()
    _talk(lambda: pull_image(cli, reference, options.text("platform") or cli.env("DOCKER_DEFAULT_PLATFORM"), quiet))
    cli.out(reference.full() + "\n")
    return 0


def push(cli: Cli, options: Options, args: list[str]) -> int:
    """Sends an image, or all of a repository."""
    from scow.cli import credentials

    reference = Reference.parse(args[0])
    every, quiet = options.flag("all-tags"), options.flag("quiet")
    if every and (reference.tag or reference.digest):
        raise ScowError(_TAG_AND_ALL)
    if reference.digest:
        raise ScowError("cannot push a digest reference")
    if not every and not reference.tag:
        reference = reference.tagged()
        if not quiet:
            cli.out(f"Using default tag: {reference.tag}\n")
            cli.flush()
    headers = credentials.headers(cli, reference.domain)

    def do() -> None:
        params = {"tag": reference.tag, "platform": _platform(options.text("platform"))}
        with cli.client.call("POST", image_path(reference.familiar_name, "push"), params, headers=headers) as response:
            transfers.show(cli, json_values(response.iterate()), quiet=quiet)

    _talk(do)
    if quiet:
        cli.out(reference.full() + "\n")
    return 0


def _platform(text: str) -> str | None:
    from scow.cli.commands.image.ls import platform_json

    return platform_json(text) if text else None


def _talk(do: object) -> None:
    """An error in the stream is shown as it is, one of the request as the daemon's."""
    try:
        do()  # type: ignore[operator]
    except ScowError as exc:
        raise ExitCode(1, daemon_error(exc.message) if hasattr(exc, "status") else exc.message) from None


PULL = Command(
    " [OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    (
        ("all-tags", "a", "bool", False, "Download all tagged images in the repository"),
        ("disable-content-trust", "", "bool", True, "Skip image verification"),
        ("platform", "", "string", "", "Pull for this platform (linux/arm64)"),
        ("quiet", "q", "bool", False, "Print the reference only"),
    ),
    pull,
    1,
    1,
)
PUSH = Command(
    " [OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    (
        ("all-tags", "a", "bool", False, "Push all tags of the repository"),
        ("disable-content-trust", "", "bool", True, "Skip image signing"),
        ("platform", "", "string", "", "Push only this platform of the image"),
        ("quiet", "q", "bool", False, "Print the reference only"),
    ),
    push,
    1,
    1,
)
