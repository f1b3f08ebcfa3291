"""`scow logs`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.times import api_timestamp
from scow.client.api import container_path, demux
from scow.errors import InvalidArgument, ScowError


def _moment(options: Options, flag: str) -> str | None:
    try:
        return api_timestamp(options.text(flag))
    except InvalidArgument as exc:
        raise ScowError(f'invalid value for "{flag}": {exc.message}') from None


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints a container's output, standard error on standard error."""
    from scow.cli.streams import OutputGone, write_all

    client = cli.client
    facts = client.get(container_path(args[0], "json"))
    params = {
        "stdout": True,
        "stderr": True,
        "since": _moment(options, "since"),
        "until": _moment(options, "until"),
        "timestamps": options.flag("timestamps"),
        "follow": options.flag("follow"),
        "tail": options.text("tail") or None,
        "details": options.flag("details"),
    }
    with client.call("GET", container_path(facts["Id"], "logs"), params) as response:
        try:
            if (facts.get("Config") or {}).get("Tty"):
                for piece in response.iterate():
                    write_all(1, piece)
            else:
                for channel, piece in demux(response.iterate()):
                    write_all(2 if channel in (2, 3) else 1, piece)
        except OutputGone:
            return 141
    return 0


LOGS = Command(
    " [OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    (
        ("details", "", "bool", False, "Show extra attributes given to the log"),
        ("follow", "f", "bool", False, "Go on as output comes"),
        ("since", "", "string", "", 'Show what came after a time ("2013-01-02T13:23:37Z") or a while ago ("42m")'),
        ("tail", "n", "string", "all", "Number of lines to show from the end"),
        ("timestamps", "t", "bool", False, "Show when each line came"),
        ("until", "", "string", "", "Show what came before a time or a while ago"),
    ),
    run,
    1,
    1,
)
