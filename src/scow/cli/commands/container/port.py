"""`scow port` and `top`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.client.api import container_path
from scow.errors import ScowError


def port(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints where ports are published."""
    facts = cli.client.get(container_path(args[0], "json"))
    ports: dict[str, Any] = (facts.get("NetworkSettings") or {}).get("Ports") or {}

    def place(binding: dict[str, str]) -> str:
        address = binding.get("HostIp") or ""
        return f"[{address}]:{binding.get('HostPort')}" if ":" in address else f"{address}:{binding.get('HostPort')}"

    if len(args) > 1:
        number, slash, protocol = args[1].partition("/")
        if not number.isdigit() or int(number) > 65535:
            raise ScowError(f"Error: invalid port ({args[1]}): a number up to 65535 is needed")
        wanted = f"{number}/{protocol if slash else 'tcp'}"
        found = ports.get(wanted)
        if not found:
            raise ScowError(f"Error: No public port '{args[1]}' published for {args[0]}")
        cli.out("".join(line + "\n" for line in sorted(place(one) for one in found)))
        return 0
    lines = [(int(name.partition("/")[0]), name, place(one)) for name, found in ports.items() for one in found or []]
    cli.out("".join(f"{name} -> {where}\n" for _, name, where in sorted(lines)))
    return 0


def top(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the processes as ps would."""
    from scow.cli.format.table import layout

    found = cli.client.get(container_path(args[0], "top"), {"ps_args": " ".join(args[1:]) or None})
    cli.out(layout([found["Titles"], *(found.get("Processes") or [])], minimum=20))
    return 0


PORT = Command(" CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", (), port, 1, 2)
TOP = Command(" CONTAINER [ps OPTIONS]", "Display the running processes of a container", (), top, 1, -1, interspersed=False)
