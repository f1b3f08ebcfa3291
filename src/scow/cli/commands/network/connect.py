"""`scow network connect` and `disconnect`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.flags import every
from scow.client.api import quote
from scow.errors import ScowError
from scow.opts.checks import link


def connect(cli: Cli, options: Options, args: list[str]) -> int:
    """Connects a container to a network."""
    endpoint: dict[str, Any] = {}
    ipam: dict[str, Any] = {}
    for flag, key in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if options.text(flag):
            ipam[key] = options.text(flag)
    if options.list("link-local-ip"):
        ipam["LinkLocalIPs"] = options.list("link-local-ip")
    if ipam:
        endpoint["IPAMConfig"] = ipam
    if options.list("alias"):
        endpoint["Aliases"] = options.list("alias")
    if options.list("link"):
        endpoint["Links"] = every("--link", options.list("link"), link)
    if options.list("driver-opt"):
        settings = {}
        for word in options.list("driver-opt"):
            key, sep, value = word.partition("=")
            if not sep:
                raise ScowError("invalid key/value pair format in driver options")
            settings[key] = value
        endpoint["DriverOpts"] = settings
    if options.number("gw-priority"):
        endpoint["GwPriority"] = options.number("gw-priority")
    cli.client.post(f"/networks/{quote(args[0])}/connect", None, {"Container": args[1], "EndpointConfig": endpoint})
    return 0


def disconnect(cli: Cli, options: Options, args: list[str]) -> int:
    """Disconnects a container from a network."""
    cli.client.post(f"/networks/{quote(args[0])}/disconnect", None, {"Container": args[1], "Force": options.flag("force")})
    return 0


CONNECT = Command(
    " [OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    (
        ("alias", "", "strings", (), "Add a name on the network"),
        ("driver-opt", "", "strings", (), "Options for the driver"),
        ("gw-priority", "", "int", 0, "The endpoint with the highest one gives the default gateway"),
        ("ip", "", "string", "", "IPv4 address"),
        ("ip6", "", "string", "", "IPv6 address"),
        ("link", "", "list", (), "Link to another container"),
        ("link-local-ip", "", "strings", (), "Add a link-local address"),
    ),
    connect,
    2,
    2,
)
DISCONNECT = Command(
    " [OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    (("force", "f", "bool", False, "Disconnect in any case"),),
    disconnect,
    2,
    2,
)
