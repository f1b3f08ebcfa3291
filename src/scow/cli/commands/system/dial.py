"""`scow system dial-stdio`: joins standard input and output with the daemon, for ssh:// hosts of other clients."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Runs until the daemon closes."""
    from scow.cli.streams import relay
    from scow.client.transport import Connection

    relay(Connection(cli.client.transport.endpoint), True, True)
    return 0


DIAL = Command("", "Join standard input and output with the daemon", (), run, 0, 0)
