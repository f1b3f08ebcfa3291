"""`version`."""

from __future__ import annotations

from scow import fastjson
from scow.cli.flags import Options
from scow.compose.commands.verb import Verb
from scow.compose.labels import SPOKEN
from scow.compose.session import Session
from scow.errors import ScowError


def run(session: Session, options: Options, args: list[str]) -> int:
    """Prints the plugin's version whose files, labels and hashes are spoken, and our own."""
    import scow

    form = options.text("format")
    if options.flag("short"):
        session.cli.out(f"{SPOKEN}\n")
    elif form == "json":
        session.cli.out(fastjson.dumps({"version": SPOKEN, "scow": scow.__version__}) + "\n")
    elif form in ("", "pretty"):
        session.cli.out(f"Docker Compose version {SPOKEN} (scow {scow.__version__})\n")
    else:
        raise ScowError(f'format value "{form}" could not be parsed: use pretty or json')
    return 0


def metadata() -> str:
    """What docker's command line asks a plugin."""
    return fastjson.dumps({"SchemaVersion": "0.1.0", "Vendor": "Scow", "Version": SPOKEN, "ShortDescription": "Scow's compose"}) + "\n"


VERSION = Verb(
    " [OPTIONS]",
    (
        ("format", "f", "string", "", "Format of the output (pretty, json)"),
        ("short", "", "bool", False, "Only the number"),
    ),
    run,
)
