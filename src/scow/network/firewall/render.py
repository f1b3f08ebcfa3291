"""The whole nft table as a pure function of what is stored: networks and published ports."""

from collections.abc import Iterable
from dataclasses import dataclass

TABLE = "inet scow"


@dataclass(frozen=True, slots=True)
class BridgeRule:
    """What the firewall must know of a bridge network."""

    link: str
    subnet: str
    internal: bool = False
    masquerade: bool = True


@dataclass(frozen=True, slots=True, order=True)
class PortRule:
    """A published port; `host_ip` empty = every address of the host."""

    proto: str
    host_ip: str
    host_port: int
    address: str
    port: int

    @property
    def map(self) -> str:
        """The map that holds the port."""
        return "ports_of" if self.host_ip else "ports"

    @property
    def key(self) -> str:
        return f"{self.host_ip} . {self.proto} . {self.host_port}" if self.host_ip else f"{self.proto} . {self.host_port}"


def _elements(rules: Iterable[PortRule]) -> str:
    return ", ".join(f"{rule.key} : {rule.address} . {rule.port}" for rule in sorted(rules))


def add_ports(rules: Iterable[PortRule]) -> str:
    """Commands that add ports to the table."""
    return _change("add", rules)


def delete_ports(rules: Iterable[PortRule]) -> str:
    """Commands that take ports out of the table."""
    return _change("delete", rules)


def _change(verb: str, rules: Iterable[PortRule]) -> str:
    chosen = list(rules)
    parts = {name: [rule for rule in chosen if rule.map == name] for name in ("ports", "ports_of")}
    return "".join(f"{verb} element {TABLE} {name} {{ {_elements(part)} }}\n" for name, part in parts.items() if part)


def _map(name: str, key: str, rules: Iterable[PortRule]) -> list[str]:
    chosen = [rule for rule in rules if rule.map == name]
    lines = [f"  map {name} {{", f"    type {key} : ipv4_addr . inet_service"]
    if chosen:
        lines.append(f"    elements = {{ {_elements(chosen)} }}")
    return [*lines, "  }"]


def _dnat() -> list[str]:
    return [
        "    fib daddr type local meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @ports_of",
        "    fib daddr type local meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @ports",
        "  }",
    ]


def render(bridges: Iterable[BridgeRule], ports: Iterable[PortRule]) -> str:
    """The table, replacing an earlier one in the same transaction."""
    rules = list(ports)
    networks = sorted(bridges, key=lambda bridge: bridge.link)
    lines = [f"table {TABLE} {{ }}", f"delete table {TABLE}", f"table {TABLE} {{"]
    lines += _map("ports", "inet_proto . inet_service", rules)
    lines += _map("ports_of", "ipv4_addr . inet_proto . inet_service", rules)
    # the bridges route 127/8 (published ports on the host's loopback), so nobody else may send such packets
    lines += [
        "  chain raw {",
        "    type filter hook prerouting priority raw; policy accept;",
        '    iifname != "lo" ip daddr 127.0.0.0/8 drop',
        "  }",
    ]
    lines += ["  chain prerouting {", "    type nat hook prerouting priority dstnat; policy accept;", *_dnat()]
    lines += ["  chain output {", "    type nat hook output priority -100; policy accept;", *_dnat()]
    lines += ["  chain forward {", "    type filter hook forward priority filter; policy accept;"]
    for bridge in networks:
        if bridge.internal:
            lines.append(f'    iifname "{bridge.link}" oifname != "{bridge.link}" drop')
            lines.append(f'    oifname "{bridge.link}" iifname != "{bridge.link}" drop')
    lines += ["    ct state established,related accept", "    ct status dnat accept"]
    lines += [f'    oifname "{bridge.link}" iifname != "{bridge.link}" drop' for bridge in networks if not bridge.internal]
    lines += ["  }", "  chain postrouting {", "    type nat hook postrouting priority srcnat; policy accept;"]
    for bridge in networks:
        if not bridge.internal:
            lines.append(f'    oifname "{bridge.link}" ip saddr 127.0.0.0/8 masquerade')
            lines.append(f"    ip saddr {bridge.subnet} ip daddr {bridge.subnet} ct status dnat masquerade")
            if bridge.masquerade:
                lines.append(f'    oifname != "{bridge.link}" ip saddr {bridge.subnet} masquerade')
    lines += ["  }", "}", ""]
    return "\n".join(lines)


def remove() -> str:
    """Commands that remove the table; absent is fine."""
    return f"table {TABLE} {{ }}\ndelete table {TABLE}\n"
