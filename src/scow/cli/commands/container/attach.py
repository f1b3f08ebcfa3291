"""`scow attach`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.commands.container.interactive import check_terminal, detach_keys, joined, killer, resize, wait_begun
from scow.client.api import container_path
from scow.errors import ScowError


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Attaches to a running container; its exit code is ours unless the user detached."""
    from scow.cli.streams import Signals

    client = cli.client
    facts = client.get(container_path(args[0], "json"))
    state = facts.get("State") or {}
    if not state.get("Running"):
        raise ScowError("cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise ScowError("cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise ScowError("cannot attach to a restarting container, wait until it is running")
    config = facts.get("Config") or {}
    tty = bool(config.get("Tty"))
    stdin = bool(config.get("OpenStdin")) and not options.flag("no-stdin")
    check_terminal(stdin, tty)
    text, keys = detach_keys(cli, options.text("detach-keys"))
    waiting = wait_begun(cli.redial(), facts["Id"], "")
    path = container_path(facts["Id"])
    params = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": text or None}
    conn, _ = client.hijack(f"{path}/attach", params)
    side = cli.redial()
    send = killer(cli, facts["Id"]) if options.flag("sig-proxy") and not tty else None
    with Signals(send, (lambda: resize(side, path)) if tty else None):
        if tty:
            resize(side, path)
        return joined(cli, facts["Id"], conn, params, tty, keys, waiting, "")


ATTACH = Command(
    " [OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    (
        ("detach-keys", "", "string", "", "Keys that detach from the container"),
        ("no-stdin", "", "bool", False, "Leave standard input alone"),
        ("sig-proxy", "", "bool", True, "Hand received signals to the process"),
    ),
    run,
    1,
    1,
)
