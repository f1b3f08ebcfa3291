"""The nft tables of load balancing, pure: what is balanced -> ruleset text.

New connections go to the ready tasks in turn (`numgen inc`); a connection that has its translation keeps it when the table is replaced.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VIRTUAL = "scow_vip"
MESH = "scow_mesh"


@dataclass(frozen=True, slots=True, order=True)
class Virtual:
    """A service's address on a network, and the tasks behind it: none = connections are refused."""

    address: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A port that every host publishes, and the addresses of the tasks behind it."""

    proto: str
    port: int
    target: int
    tasks: tuple[str, ...] = ()


def _choice(tasks: Sequence[str]) -> str:
    if len(tasks) == 1:
        return tasks[0]
    rows = ", ".join(f"{number} : {address}" for number, address in enumerate(tasks))
    return f"numgen inc mod {len(tasks)} map {{ {rows} }}"


def _fresh(family: str, name: str, replace: bool) -> list[str]:
    # only where an earlier table is: deleting even nothing makes the closing of the handle wait for the kernel's readers
    return [f"table {family} {name} {{ }}", f"delete table {family} {name}"] if replace else []


def virtual(rows: Iterable[Virtual], replace: bool) -> str:
    """The tables inside a sandbox: what goes to a virtual address goes to one of its tasks. "" where nothing is and nothing was."""
    lines: list[str] = []
    every = sorted(set(rows))
    for family, version in (("ip", 4), ("ip6", 6)):
        mine = [one for one in every if ipaddress.ip_address(one.address).version == version]
        # only IPv4 has virtual addresses as a rule: no table for nothing
        if version == 6 and not mine:
            continue
        lines += _fresh(family, VIRTUAL, replace)
        if not mine:
            continue
        lines += [
            f"table {family} {VIRTUAL} {{",
            "  chain output {",
            "    type nat hook output priority -100; policy accept;",
            *(f"    {family} daddr {one.address} dnat to {_choice(one.tasks)}" for one in mine if one.tasks),
            "  }",
        ]
        if idle := [one.address for one in mine if not one.tasks]:
            lines += [
                "  chain idle {",
                "    type filter hook output priority filter; policy accept;",
                f"    {family} daddr {{ {', '.join(idle)} }} reject",
                "  }",
            ]
        lines.append("}")
    return "\n".join([*lines, ""]) if lines else ""


def mesh(entries: Iterable[Entry], ingress: str, links: Iterable[str]) -> str:
    """The table of the host: published ports lead into the ingress network, whose bridge is `ingress` ("" = none here), under the host's
    own address there; overlay networks (bridges `links`) meet neither the host nor each other."""
    lines = [f"table inet {MESH} {{ }}", f"delete table inet {MESH}", f"table inet {MESH} {{"]
    rows = [
        f"    fib daddr type local {one.proto} dport {one.port} dnat ip to {_choice(one.tasks)}:{one.target}"
        for one in sorted(entries)
        if one.tasks and ingress
    ]
    for name, hook, priority in (("prerouting", "prerouting", "dstnat"), ("output", "output", "-100")):
        lines += [f"  chain {name} {{", f"    type nat hook {hook} priority {priority}; policy accept;", *rows, "  }"]
    lines += ["  chain postrouting {", "    type nat hook postrouting priority srcnat; policy accept;"]
    if ingress:
        lines.append(f'    oifname "{ingress}" ct status dnat masquerade')
    lines.append("  }")
    bridges = sorted(links)
    pairs = ", ".join(f'"{link}" . "{link}"' for link in bridges)
    for name in ("input", "forward"):
        lines += [f"  chain {name} {{", f"    type filter hook {name} priority filter; policy accept;"]
        if bridges:
            within = ", ".join(f'"{link}"' for link in bridges)
            lines.append("    ct state established,related accept")
            if name == "forward":
                if ingress:
                    lines.append(f'    oifname "{ingress}" ct status dnat accept')
                # where br_netfilter is loaded, packets that stay on a bridge come by, too
                lines.append(f"    iifname . oifname {{ {pairs} }} accept")
                lines.append(f"    oifname {{ {within} }} drop")
            lines.append(f"    iifname {{ {within} }} drop")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def no_mesh() -> str:
    """Commands that remove the host's table; absent is fine."""
    return f"table inet {MESH} {{ }}\ndelete table inet {MESH}\n"
