"""`scow image bootstrap`: a base image of the distribution's packages, without a registry. Made here (`scow.bootstrap`), then loaded."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.bootstrap.archive import Base
    from scow.cli.command import Cli
    from scow.cli.flags import Options

import _signal  # type: ignore[import-not-found]  # signal itself imports enum

from scow.cli.command import Command, ExitCode
from scow.cli.progress import Meter
from scow.errors import ScowError


def _ended(number: int, _frame: object) -> None:
    raise ExitCode(128 + number)


def bootstrap(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes and loads the image; prints its id."""
    import tempfile
    from pathlib import Path

    from scow.bootstrap import archive
    from scow.reference import Reference

    kind, colon, suite = args[0].partition(":")
    if kind not in ("busybox", "debian") or (colon and (kind == "busybox" or not suite)):
        raise ScowError(f"{args[0]}: bootstrap knows busybox and debian[:suite]")
    if any(Reference.parse(text).digest for text in options.list("tag")):
        raise ScowError("the name of an image has no digest")
    names = tuple(Reference.parse(text).tagged().familiar() for text in options.list("tag"))
    quiet, output = options.flag("quiet"), options.text("output")
    for number in (1, 15):  # as Ctrl-C does: the folder is removed
        _signal.signal(number, _ended)
    if not output:
        cli.client.ping()  # before minutes of work
    with tempfile.TemporaryDirectory(prefix="scow-bootstrap-") as folder:
        base = _make(kind, suite, Path(folder), (lambda _line: None) if quiet else (lambda line: cli.err(line + "\n")), names)
        with Meter("Writing" if output else "Loading", archive.size(base)) as meter:
            pieces = archive.pieces(base) if quiet else meter.watch(archive.pieces(base))
            if output:
                try:
                    with open(output, "wb") as file:
                        file.writelines(pieces)
                except OSError as exc:
                    raise ScowError(f"open {output}: {(exc.strerror or str(exc)).lower()}") from None
            else:
                for line in cli.client.stream("POST", "/images/load", {"quiet": True}, pieces):
                    if line.get("error"):
                        raise ScowError(line["error"])
        if not quiet:
            for name in base.names:
                cli.err(f"{'in the archive' if output else 'made'}: {name}\n")
        cli.out(archive.image_id(base) + "\n")
    return 0


def _make(kind: str, suite: str, folder: object, tell: object, names: tuple[str, ...]) -> Base:
    import dataclasses

    from scow.bootstrap import busybox, debian

    base: Base = busybox.make(folder, tell) if kind == "busybox" else debian.make(suite, folder, tell)  # type: ignore[arg-type]
    return dataclasses.replace(base, names=names) if names else base


BOOTSTRAP = Command(
    " [OPTIONS] busybox|debian[:SUITE]",
    "Make a base image from the distribution's packages, without a registry",
    (
        ("output", "o", "string", "", "Write the image to an archive instead of loading it"),
        ("quiet", "q", "bool", False, "Print the image's id only"),
        ("tag", "t", "list", (), "Name of the image, in the place of busybox:latest or debian:SUITE"),
    ),
    bootstrap,
    1,
    1,
)
