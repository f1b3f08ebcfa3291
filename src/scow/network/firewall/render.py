"""The whole nft table as a pure function of what is stored: networks and published ports.

The rules never change: what a packet meets is set look-ups, and networks and ports come and go as elements.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TABLE = "inet scow"
USER_TABLE = "inet scow_user"
USER_CHAIN = "published"
_PROTOCOLS = "meta l4proto { tcp, udp, sctp }"
_MAPS = {
    "ports": "inet_proto . inet_service : ipv4_addr . inet_service",
    "ports_of": "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "ports6": "inet_proto . inet_service : ipv6_addr . inet_service",
    "ports6_of": "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
}
_GUARDED = {"guarded": "ipv4_addr . inet_proto . inet_service", "guarded6": "ipv6_addr . inet_proto . inet_service"}
_SOURCES = {
    "sources": "ipv4_addr . inet_proto . inet_service . ipv4_addr",
    "sources6": "ipv6_addr . inet_proto . inet_service . ipv6_addr",
}
_ENTRIES = {"entries": "ipv4_addr . inet_proto . inet_service", "entries6": "ipv6_addr . inet_proto . inet_service"}
_NETWORK_SETS = {
    "links": ("set", "ifname", ""),
    "internal": ("set", "ifname", ""),
    "routed": ("set", "ifname", ""),
    "same": ("set", "ifname . ifname", ""),
    "trusted": ("set", "ifname . ifname", ""),
    **{
        name + six: (kind, type_.format(f"{family}_addr"), "interval")
        for six, family in (("", "ipv4"), ("6", "ipv6"))
        for name, kind, type_ in (
            ("own", "set", "{0} . {0}"),
            ("hidden", "set", "{0}"),
            ("hidden_as", "map", "{0} : {0}"),
            ("open", "set", "{0}"),
            ("plain", "set", "{0}"),
        )
    },
}


@dataclass(frozen=True, slots=True)
class Side:
    """How a network behaves for one kind of addresses: `exposed` = anybody may come in; `source` = the address to masquerade as; `routed` =
    the outside knows the containers' own addresses."""

    exposed: bool = False
    source: str = ""
    routed: bool = False


@dataclass(frozen=True, slots=True)
class BridgeRule:
    """What the firewall must know of a bridge network; a subnet is "" where the network has none of its kind; from the links `trusted`
    everything comes in."""

    link: str
    subnet: str
    internal: bool = False
    masquerade: bool = True
    subnet6: str = ""
    side: Side = Side()
    side6: Side = Side()
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class PortRule:
    """A published port; `host_ip` empty = every address of the host; `host_port` 0 = no translation, it is reached under the container's
    address; `sources` = the subnets that may use it, empty = everybody."""

    proto: str
    host_ip: str
    host_port: int
    address: str
    port: int
    sources: tuple[str, ...] = ()

    @property
    def map(self) -> str:
        """The map that holds the port."""
        if not self.host_port:
            return "entries6" if ":" in self.address else "entries"
        return ("ports6" if ":" in self.address else "ports") + ("_of" if self.host_ip else "")

    @property
    def key(self) -> str:
        return f"{self.host_ip} . {self.proto} . {self.host_port}" if self.host_ip else f"{self.proto} . {self.host_port}"

    @property
    def inside(self) -> str:
        """The port behind the translation."""
        return f"{self.address} . {self.proto} . {self.port}"

    def allowed(self) -> list[str]:
        """The elements of the set of sources."""
        version = 6 if ":" in self.address else 4
        subnets = (ipaddress.ip_network(source) for source in self.sources)
        merged = ipaddress.collapse_addresses(subnet for subnet in subnets if subnet.version == version)  # type: ignore[type-var]
        return [f"{self.inside} . {subnet}" for subnet in merged]


def _elements(rules: Iterable[PortRule]) -> dict[str, list[str]]:
    """Elements by map or set."""
    found: dict[str, list[str]] = {name: [] for name in (*_MAPS, *_ENTRIES, *_GUARDED, *_SOURCES)}
    for rule in sorted(rules):
        found[rule.map].append(f"{rule.key} : {rule.address} . {rule.port}" if rule.host_port else rule.inside)
        if rule.sources:
            six = "6" if ":" in rule.address else ""
            for name, elements in (("guarded", [rule.inside]), ("sources", rule.allowed())):
                found[name + six] += [element for element in elements if element not in found[name + six]]
    return found


def add_ports(rules: Iterable[PortRule]) -> str:
    """Commands that add ports to the table."""
    return _change("add", rules)


def delete_ports(rules: Iterable[PortRule]) -> str:
    """Commands that take ports out of the table."""
    return _change("delete", rules)


def add_bridge(bridge: BridgeRule) -> str:
    """Commands that take a network into the table."""
    return _commands("add", _networks([bridge]))


def delete_bridge(bridge: BridgeRule) -> str:
    """Commands that take a network out of the table."""
    return _commands("delete", _networks([bridge]))


def _networks(bridges: Iterable[BridgeRule]) -> dict[str, list[str]]:
    """Elements by set: `own` = pairs of a subnet with itself, `hidden` = subnets that are masqueraded, `open` = subnets all may enter,
    `plain` = those known outside under their own addresses."""
    found: dict[str, list[str]] = {name: [] for name in _NETWORK_SETS}
    for bridge in sorted(bridges, key=lambda one: one.link):
        link = f'"{bridge.link}"'
        found["links"].append(link)
        found["same"].append(f"{link} . {link}")
        found["internal" if bridge.internal else "routed"].append(link)
        found["trusted"] += [f'"{name}" . {link}' for name in bridge.trusted if not bridge.internal]
        for six, subnet, side in (("", bridge.subnet, bridge.side), ("6", bridge.subnet6, bridge.side6)):
            if not subnet or bridge.internal:
                continue
            found["own" + six].append(f"{subnet} . {subnet}")
            if side.exposed:
                found["open" + six].append(subnet)
            if side.routed:
                found["plain" + six].append(subnet)
            elif bridge.masquerade and side.source:
                found["hidden_as" + six].append(f"{subnet} : {side.source}")
            elif bridge.masquerade:
                found["hidden" + six].append(subnet)
    return found


def _change(verb: str, rules: Iterable[PortRule]) -> str:
    return _commands(verb, _elements(rules))


def _commands(verb: str, elements: dict[str, list[str]]) -> str:
    return "".join(f"{verb} element {TABLE} {name} {{ {', '.join(found)} }}\n" for name, found in elements.items() if found)


def _set(kind: str, name: str, type_: str, elements: Sequence[str], flags: str = "") -> list[str]:
    lines = [f"  {kind} {name} {{", f"    type {type_}"]
    if flags:
        lines.append(f"    flags {flags}")
    if elements:
        lines.append(f"    elements = {{ {', '.join(elements)} }}")
    return [*lines, "  }"]


def _dnat() -> list[str]:
    local = f"    fib daddr type local {_PROTOCOLS} dnat"
    # nothing can leave the host from ::1, so its ports are a relay's work
    local6 = f"    ip6 daddr != ::1 fib daddr type local {_PROTOCOLS} dnat"
    return [
        f"{local} ip to ip daddr . meta l4proto . th dport map @ports_of",
        f"{local} ip to meta l4proto . th dport map @ports",
        f"{local6} ip6 to ip6 daddr . meta l4proto . th dport map @ports6_of",
        f"{local6} ip6 to meta l4proto . th dport map @ports6",
        "  }",
    ]


def render(bridges: Iterable[BridgeRule], ports: Iterable[PortRule]) -> str:
    """The table, replacing an earlier one in the same transaction."""
    networks = _networks(bridges)
    elements = _elements(ports)
    lines = [f"table {TABLE} {{ }}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for name, type_ in _MAPS.items():
        lines += _set("map", name, type_, elements[name])
    for name, type_ in (*_ENTRIES.items(), *_GUARDED.items()):
        lines += _set("set", name, type_, elements[name])
    for name, type_ in _SOURCES.items():
        lines += _set("set", name, type_, elements[name], "interval")
    for name, (kind, type_, flags) in _NETWORK_SETS.items():
        lines += _set(kind, name, type_, networks[name], flags)
    # the bridges route 127/8 (published ports on the host's loopback), so nobody else may send such packets; containers may use as
    # source only what the host would answer through their bridge (where br_netfilter is loaded, packets that stay on it come by, too)
    lines += [
        "  chain raw {",
        "    type filter hook prerouting priority raw; policy accept;",
        '    iifname != "lo" ip daddr 127.0.0.0/8 drop',
        "    iifname @links ip saddr != 0.0.0.0 fib saddr . iif oif missing fib daddr . iif oif missing drop",
        "    iifname @links ip6 saddr != { ::, fe80::/10 } fib saddr . iif oif missing fib daddr . iif oif missing drop",
        "  }",
    ]
    lines += ["  chain prerouting {", "    type nat hook prerouting priority dstnat; policy accept;", *_dnat()]
    lines += ["  chain output {", "    type nat hook output priority -100; policy accept;", *_dnat()]
    lines += [
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        "    iifname @internal iifname . oifname != @same drop",
        "    oifname @internal iifname . oifname != @same drop",
    ]
    for family, six in (("ip", ""), ("ip6", "6")):
        port = f"{family} daddr . meta l4proto . th dport"
        lines.append(
            f"    ct direction original ct status dnat {_PROTOCOLS} {port} @guarded{six} {port} . {family} saddr != @sources{six} drop"
        )
        strangers = f"{port} @guarded{six} {port} . {family} saddr != @sources{six} drop"
        lines.append(f"    ct direction original {_PROTOCOLS} {port} @entries{six} {strangers}")
    lines += ["    ct state established,related accept", "    ct status dnat accept", "    iifname . oifname @trusted accept"]
    for family, six, ping in (("ip", "", "icmp type echo-request"), ("ip6", "6", "icmpv6 type echo-request")):
        lines.append(f"    oifname @links {_PROTOCOLS} {family} daddr . meta l4proto . th dport @entries{six} accept")
        lines.append(f"    oifname @links {ping} {family} daddr @plain{six} accept")
    lines += [
        "    oifname @links ip daddr @open accept",
        "    oifname @links ip6 daddr @open6 accept",
        "    oifname @links iifname . oifname != @same drop",
        "  }",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat; policy accept;",
        "    oifname @routed ip saddr 127.0.0.0/8 masquerade",
    ]
    for family, six in (("ip", ""), ("ip6", "6")):
        # a container that calls its own network through the host gets its answers through the host too
        lines.append(f"    ct status dnat {family} saddr . {family} daddr @own{six} masquerade")
    lines.append("    iifname . oifname @same accept")
    for family, six in (("ip", ""), ("ip6", "6")):
        lines.append(f"    snat {family} to {family} saddr map @hidden_as{six}")
        lines.append(f"    {family} saddr @hidden{six} masquerade")
    lines += ["  }", "}", ""]
    return "\n".join(lines)


def user_table() -> str:
    """The table of the publish policy `user`: made once (it is an error where it exists), then the administrator's. What its chain does
    not accept does not reach a published port from elsewhere."""
    return "\n".join(
        [
            f"create table {USER_TABLE}",
            f"table {USER_TABLE} {{",
            f"  chain {USER_CHAIN} {{",
            "  }",
            "  chain forward {",
            "    type filter hook forward priority filter - 5; policy accept;",
            f"    ct direction original ct status dnat jump {USER_CHAIN}",
            "    ct direction original ct status dnat drop",
            "  }",
            "}",
            "",
        ]
    )


def remove() -> str:
    """Commands that remove the table; absent is fine."""
    return f"table {TABLE} {{ }}\ndelete table {TABLE}\n"
