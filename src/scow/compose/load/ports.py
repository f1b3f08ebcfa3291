"""The short form of published ports: `[[ip:]published[-last]:]target[-last][/protocol]`, one entry per container port."""

from __future__ import annotations

from scow.errors import InvalidArgument
from scow.opts.ports import PROTOCOLS, parse_range

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

MAX_PORTS = 1 << 17  # of all services: each port of two protocols


def parse_ports(text: str) -> list[dict[str, Any]]:
    """The long forms. Raises ValueError with the plugin's sentences."""
    address, published, target = _split(text)
    target, _, protocol = target.partition("/")
    protocol = protocol or "tcp"
    if not target:
        raise ValueError(f"no port specified: {text}<empty>")
    if protocol.lower() not in PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    if address:
        import ipaddress

        try:
            ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise ValueError(f"invalid IP address: {address}") from None
    first, last = _range(target, "containerPort")
    low, high = _range(published, "hostPort") if published else (0, 0)
    if published and high - low != last - first and first != last:
        raise ValueError(f"invalid ranges specified for container and host Ports: {target} and {published}")
    found = []
    for port in range(first, last + 1):
        entry: dict[str, Any] = {"mode": "ingress", "target": port, "protocol": protocol.lower()}
        if address:
            entry["host_ip"] = address
        if published:
            # a range for one port: the engine picks
            entry["published"] = f"{low}-{high}" if first == last and low != high else str(low + port - first)
        found.append(entry)
    # the plugin sorts by the text of the container port
    return sorted(found, key=lambda one: f"{one['target']}/{one['protocol']}")


def _range(text: str, what: str) -> tuple[int, int]:
    try:
        return parse_range(text)
    except InvalidArgument:
        raise ValueError(f"invalid {what}: {text}") from None


def _split(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        address, closing, rest = text[1:].partition("]")
        if not closing or not rest.startswith(":"):
            raise ValueError(f"invalid port: {text}")
        published, colon, target = rest[1:].rpartition(":")
        return address, published if colon else "", target
    parts = text.split(":")
    if len(parts) == 1:
        return "", "", parts[0]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return ":".join(parts[:-2]), parts[-2], parts[-1]
