"""Who may use a published port: the option `scow.publish.sources` (all ports) or `scow.publish.sources.80/tcp`, a list of subnets. A
network's driver option is for the ports of all its containers; a container's label, then an endpoint's driver option, go before it.
Enforced by the firewall and the relays; the host itself is always let through."""

import ipaddress
from collections.abc import Mapping

from scow.errors import InvalidArgument

OPTION = "scow.publish.sources"
_MOST = 256


def read(*options: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Subnets by `80/tcp` ("" = of all other ports) from labels and driver options, the later ones first. Raises InvalidArgument."""
    found: dict[str, tuple[str, ...]] = {}
    for values in options:
        for name, text in values.items():
            if name == OPTION or name.startswith(f"{OPTION}."):
                port = name[len(OPTION) + 1 :].lower()
                if port and "/" not in port:
                    port += "/tcp"
                found[port] = subnets(name, text)
    return found


def subnets(name: str, text: str) -> tuple[str, ...]:
    """The subnets in a comma-separated list; a plain address is one. Raises InvalidArgument."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or len(words) > _MOST:
        raise InvalidArgument(f"invalid {name} {text[:100]!r}: a list of subnets is needed")
    try:
        return tuple(str(ipaddress.ip_network(word, strict=False)) for word in words)
    except ValueError as error:
        raise InvalidArgument(f"invalid {name}: {error}") from None
