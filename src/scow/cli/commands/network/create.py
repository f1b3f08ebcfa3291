"""`scow network create`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import ipaddress

from scow.cli.command import Command
from scow.cli.flags import every
from scow.errors import InvalidArgument, ScowError
from scow.opts.checks import label
from scow.opts.env import mapping


def _split(words: list[str]) -> list[str]:
    return [part for word in words for part in word.split(",")]


def pools(subnets: list[str], ranges: list[str], gateways: list[str], auxiliary: dict[str, str]) -> list[dict[str, Any]]:
    """The IPAM configuration: ranges, gateways and auxiliary addresses go to the subnet that holds them. Raises InvalidArgument."""
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    made: list[tuple[Any, dict[str, Any]]] = []
    for text in subnets:
        try:
            net = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise InvalidArgument(f"invalid CIDR address: {text}") from None
        for other, _ in made:
            if other.version == net.version and other.overlaps(net):
                raise InvalidArgument("multiple overlapping subnet configuration is not supported")
        made.append((net, {"Subnet": text}))

    def home(address: Any, what: str) -> dict[str, Any]:
        for net, config in made:
            if address.version == net.version and address in net:
                return config
        raise InvalidArgument(f"no matching subnet for {what}")

    for text in ranges:
        try:
            start = ipaddress.ip_network(text, strict=False).network_address
        except ValueError:
            raise InvalidArgument(f"invalid CIDR address: {text}") from None
        config = home(start, f"range {text}")
        if "IPRange" in config:
            raise InvalidArgument(f"cannot configure multiple ranges ({text}, {config['IPRange']}) on the same subnet ({config['Subnet']})")
        config["IPRange"] = text
    for text in gateways:
        config = home(_address(text, f"gateway {text}"), f"gateway {text}")
        if "Gateway" in config:
            raise InvalidArgument(
                f"cannot configure multiple gateways ({text}, {config['Gateway']}) for the same subnet ({config['Subnet']})"
            )
        config["Gateway"] = text
    for name, text in auxiliary.items():
        home(_address(text, f"aux-address {text}"), f"aux-address {text}").setdefault("AuxiliaryAddresses", {})[name] = text
    return [config for _, config in made]


def _address(text: str, what: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"no matching subnet for {what}") from None


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Creates a network; prints its id."""
    body: dict[str, Any] = {
        "Name": args[0],
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "IPAM": {
            "Driver": options.text("ipam-driver"),
            "Options": mapping(options.list("ipam-opt"), "ipam-opt"),
            "Config": pools(
                _split(options.list("subnet")),
                _split(options.list("ip-range")),
                _split(options.list("gateway")),
                mapping(options.list("aux-address"), "aux-address"),
            ),
        },
        "Internal": options.flag("internal"),
        "Attachable": options.flag("attachable"),
        "Ingress": options.flag("ingress"),
        "ConfigOnly": options.flag("config-only"),
        "Options": mapping(options.list("opt"), "option"),
        "Labels": mapping(every("--label", options.list("label"), label)),
    }
    if options.text("config-from"):
        body["ConfigFrom"] = {"Network": options.text("config-from")}
    if options.given("ipv6"):
        body["EnableIPv6"] = options.flag("ipv6")
    if options.given("ipv4"):
        body["EnableIPv4"] = options.flag("ipv4")
    answer = cli.client.post("/networks/create", None, body)
    if answer.get("Warning"):
        cli.err(f"WARNING: {answer['Warning']}\n")
    if not answer.get("Id"):
        raise ScowError("the daemon gave no id")
    cli.out(answer["Id"] + "\n")
    return 0


CREATE = Command(
    " [OPTIONS] NETWORK",
    "Create a network",
    (
        ("attachable", "", "bool", False, "Let containers be attached by hand"),
        ("aux-address", "", "map", (), "Reserved addresses, for the driver"),
        ("config-from", "", "string", "", "Network to take the configuration of"),
        ("config-only", "", "bool", False, "Make only a configuration"),
        ("driver", "d", "string", "bridge", "Driver of the network"),
        ("gateway", "", "strings", (), "Gateway of the subnet"),
        ("ingress", "", "bool", False, "Make the swarm's routing mesh"),
        ("internal", "", "bool", False, "Keep the network from the outside"),
        ("ip-range", "", "strings", (), "Range that containers get addresses of"),
        ("ipam-driver", "", "string", "default", "Driver of addresses"),
        ("ipam-opt", "", "map", (), "Options of the driver of addresses"),
        ("ipv4", "", "bool", True, "IPv4 addresses"),
        ("ipv6", "", "bool", False, "IPv6 addresses"),
        ("label", "", "list", (), "Set a label"),
        ("opt", "o", "map", (), "Options of the driver"),
        ("scope", "", "string", "", "Scope of the network"),
        ("subnet", "", "strings", (), "Subnet in CIDR form"),
    ),
    create,
    1,
    1,
)
