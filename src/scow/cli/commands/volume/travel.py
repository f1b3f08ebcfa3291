"""`scow volume export` and `import`: a volume's files as a tar archive, and back. Beyond docker."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.progress import Meter, drawable
from scow.cli.terminal import is_terminal
from scow.client.api import quote
from scow.errors import ScowError


def export(cli: Cli, options: Options, args: list[str]) -> int:
    """Writes the files of a volume to an archive."""
    from scow.cli.commands.container.commit import save_stream

    if not options.text("output") and is_terminal(1):
        raise ScowError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    place = f"/scow/volumes/{quote(args[0])}"
    total = cli.client.get(f"{place}/size")["Size"] if drawable() and not options.flag("quiet") else 0
    with cli.client.call("GET", f"{place}/export") as response:
        if options.flag("quiet"):
            save_stream(response.iterate(), options.text("output"))
            return 0
        with Meter("Exporting", total) as meter:
            save_stream(meter.watch(response.iterate()), options.text("output"))
    return 0


def import_(cli: Cli, options: Options, args: list[str]) -> int:
    """Puts the files of an archive into a volume; prints the volume's name."""
    from scow.cli.commands.image.archive import metered, open_file

    path = args[1] if len(args) > 1 else "-"
    if path == "-" and is_terminal(0):
        raise ScowError("requested import from stdin, but stdin is a terminal: name a file, or redirect")
    source = open_file(path) if path != "-" else 0
    pieces = metered("Importing", source, options.flag("quiet"))
    headers = {"Content-Type": "application/x-tar"}
    with cli.client.call("POST", f"/scow/volumes/{quote(args[0])}/import", None, pieces, headers) as response:
        made: Any = response.json()
        cli.out(made["Name"] + "\n")
    return 0


EXPORT = Command(
    " [OPTIONS] VOLUME",
    "Write the files of a volume to a tar archive",
    (
        ("output", "o", "string", "", "Write to a file instead of standard output"),
        ("quiet", "q", "bool", False, "No progress"),
    ),
    export,
    1,
    1,
)
IMPORT = Command(
    " [OPTIONS] VOLUME [FILE|-]",
    "Put the files of a tar archive (also gzip, bzip2, xz, zstd) into a volume, made if it is missing",
    (("quiet", "q", "bool", False, "No progress"),),
    import_,
    1,
    2,
)
