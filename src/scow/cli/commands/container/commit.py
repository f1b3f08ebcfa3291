"""`scow commit`, `diff` and `export`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.terminal import is_terminal
from scow.client.api import container_path
from scow.errors import ScowError


def commit(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes an image of a container; prints its id."""
    params: dict[str, Any] = {
        "container": args[0],
        "author": options.text("author") or None,
        "comment": options.text("message") or None,
        "changes": options.list("change"),
        "pause": None if options.flag("pause") else "0",
    }
    if len(args) > 1:
        from scow.reference import Reference

        reference = Reference.parse(args[1])
        if reference.digest:
            raise ScowError("cannot commit to digest reference")
        params["repo"], params["tag"] = reference.name, reference.tagged().tag
    cli.out(cli.client.post("/commit", params)["Id"] + "\n")
    return 0


def diff(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the changed paths with A, C or D."""
    if not args[0]:
        raise ScowError("Container name cannot be empty")
    for change in cli.client.get(container_path(args[0], "changes")) or []:
        cli.out(f"{'CAD'[change['Kind']]} {change['Path']}\n")
    return 0


def save_stream(pieces: Any, output: str, what: str = "output can't be saved") -> None:
    """Writes a stream to a file (which appears only when complete) or to standard output; `what` failed, errors say. Raises ScowError."""
    from scow.cli.streams import write_all

    if not output:
        for piece in pieces:
            write_all(1, piece)
        return
    import os

    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise ScowError(f'{what}: invalid output path: the directory "{folder}" does not exist')
    if os.path.isdir(output):
        raise ScowError(f'{what}: invalid output path: "{output}" is a directory')
    try:
        _save_file(pieces, output, folder)
    except OSError as exc:
        if isinstance(exc, ConnectionError):
            raise
        raise ScowError(f"{what}: write {output}: {(exc.strerror or str(exc)).lower()}") from None


def _save_file(pieces: Any, output: str, folder: str) -> None:
    import os
    import tempfile

    if os.path.exists(output) and not os.path.isfile(output):
        with open(output, "wb") as file:
            file.writelines(pieces)
        return
    handle, name = tempfile.mkstemp(prefix=".scow-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
        os.chmod(name, 0o600)
        os.rename(name, output)
    except BaseException:
        os.unlink(name)
        raise


def export(cli: Cli, options: Options, args: list[str]) -> int:
    """Writes a container's files as a tar."""
    if not options.text("output") and is_terminal(1):
        raise ScowError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    with cli.client.call("GET", container_path(args[0], "export")) as response:
        from scow.cli.progress import Meter

        with Meter("Exporting") as meter:
            save_stream(meter.watch(response.iterate()), options.text("output"), "failed to export container")
    return 0


COMMIT = Command(
    " [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    (
        ("author", "a", "string", "", 'Author ("Jane Doe <jane@example.com>")'),
        ("change", "c", "list", (), "Apply a Dockerfile instruction to the image"),
        ("message", "m", "string", "", "Message of the commit"),
        ("pause", "p", "bool", True, "Pause the container during the commit"),
    ),
    commit,
    1,
    2,
)
DIFF = Command(" CONTAINER", "Inspect changes to files or directories on a container's filesystem", (), diff, 1, 1)
EXPORT = Command(
    " [OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    (("output", "o", "string", "", "Write to a file"),),
    export,
    1,
    1,
)
