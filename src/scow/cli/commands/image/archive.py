"""`scow save`, `load` and `import`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.progress import Meter
from scow.cli.terminal import is_terminal
from scow.errors import ScowError

CHUNK = 256 * 1024


def _read(fd: int) -> Any:
    import posix

    while data := posix.read(fd, CHUNK):
        yield data


def open_file(path: str) -> int:
    """A file of the user's for reading. Raises ScowError."""
    import posix

    try:
        opened = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        if posix.fstat(opened).st_mode & 0o170000 == 0o040000:
            raise ScowError(f"read {path}: is a directory, not an archive")
    except (OSError, ValueError) as exc:
        raise ScowError(f"open {path}: {(getattr(exc, 'strerror', '') or str(exc)).lower()}") from None
    return opened


def metered(label: str, fd: int, quiet: bool = False) -> Any:
    """The bytes of a descriptor, with a bar where a terminal is."""
    import posix

    if quiet:
        yield from _read(fd)
        return
    found = posix.fstat(fd)
    with Meter(label, found.st_size if found.st_mode & 0o170000 == 0o100000 else 0) as meter:
        yield from meter.watch(_read(fd))


def _platforms(options: Options) -> list[str] | None:
    from scow.cli.commands.image.ls import platforms_json

    return platforms_json(options.text("platform"))


def save(cli: Cli, options: Options, args: list[str]) -> int:
    """Writes images to an archive."""
    from scow.cli.commands.container.commit import save_stream

    if not options.text("output") and is_terminal(1):
        raise ScowError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    with cli.client.call("GET", "/images/get", {"names": args, "platform": _platforms(options)}) as response:
        with Meter("Saving") as meter:
            save_stream(meter.watch(response.iterate()), options.text("output"), "failed to save image")
    return 0


def load(cli: Cli, options: Options, args: list[str]) -> int:
    """Loads images; prints their names."""
    path = options.text("input")
    if not path and is_terminal(0):
        raise ScowError("requested load from stdin, but stdin is empty")
    source = open_file(path) if path else 0
    params = {"quiet": True, "platform": _platforms(options)}
    for line in cli.client.stream("POST", "/images/load", params, metered("Loading", source, options.flag("quiet"))):
        if line.get("error"):
            raise ScowError(line["error"])
        cli.out(line.get("stream") or (f"{line['status']}\n" if line.get("status") and not options.flag("quiet") else ""))
    return 0


def import_(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes an image of a file, a URL or standard input; prints its id."""
    source = args[0]
    body: Any = None
    origin = source
    if source == "-":
        body, origin = metered("Importing", 0), "-"
    elif not source.startswith(("http://", "https://")):
        body, origin = metered("Importing", open_file(source)), "-"
    params = {
        "fromSrc": origin,
        "repo": args[1] if len(args) > 1 else None,
        "changes": options.list("change"),
        "message": options.text("message") or None,
        "platform": options.text("platform") or None,
    }
    for line in cli.client.stream("POST", "/images/create", params, body):
        if line.get("error"):
            raise ScowError(line["error"])
        if line.get("status") and not line.get("progressDetail"):
            cli.out(f"{line['status']}\n")
    return 0


SAVE = Command(
    " [OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    (
        ("output", "o", "string", "", "Write to a file"),
        ("platform", "", "string", "", "Save only this platform, or these (linux/amd64,linux/arm64)"),
    ),
    save,
    1,
)
LOAD = Command(
    " [OPTIONS]",
    "Load an image from a tar archive or STDIN",
    (
        ("input", "i", "string", "", "Read from a file"),
        ("platform", "", "string", "", "Load only this platform, or these (linux/amd64,linux/arm64)"),
        ("quiet", "q", "bool", False, "Don't show progress"),
    ),
    load,
    0,
    0,
)
IMPORT = Command(
    " [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    (
        ("change", "c", "list", (), "Apply a Dockerfile instruction to the image"),
        ("message", "m", "string", "", "Message of the image"),
        ("platform", "", "string", "", "Platform of the image"),
    ),
    import_,
    1,
    -1,
)
