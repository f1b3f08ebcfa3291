"""`scow update`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, each
from scow.cli.commands.container import request
from scow.client.api import container_path
from scow.errors import ScowError

_NAMES = (
    "blkio-weight",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "kernel-memory",
    "memory",
    "memory-reservation",
    "memory-swap",
    "pids-limit",
)


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes limits and the restart policy of containers."""
    body: dict[str, Any] = {}
    for flag in _NAMES:
        if options.given(flag):
            key = request._NUMBERS.get(flag)
            if key:
                body[key] = options.number(flag)
            else:
                body[request._TEXTS[flag]] = options.text(flag)
    if options.given("restart"):
        from scow.opts.shellwords import parse_restart

        body["RestartPolicy"] = parse_restart(options.text("restart"))
    if not body:
        raise ScowError("you must provide one or more flags when using this command")

    def act(name: str) -> None:
        for warning in (cli.client.post(container_path(name, "update"), None, body) or {}).get("Warnings") or []:
            cli.err(f"WARNING: {warning}\n")

    return each(cli, args, act)


UPDATE = Command(
    " [OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    (
        *((*flag[:4], "") if flag[0] == "kernel-memory" else flag for flag in request.FLAGS if flag[0] in _NAMES),
        ("restart", "", "string", "", "What to do when a container exits"),
    ),
    run,
    1,
)
