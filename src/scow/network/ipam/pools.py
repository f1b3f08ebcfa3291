"""Choosing a subnet for a network that names none: the first of the configured pools that overlaps nothing in use."""

import hashlib
import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scow.errors import Forbidden, InvalidArgument
from scow.network.network import IPNetwork

_MOST = 65536


class Overlap(Forbidden):
    """The subnet overlaps another network's."""

    def __init__(self) -> None:
        super().__init__("invalid pool request: Pool overlaps with other one on this address space")


def candidates(pools: Sequence[tuple[str, int]], version: int = 4) -> Iterator[IPNetwork]:
    """The subnets that the pools (base, prefix length of each subnet) offer, in order."""
    for base, size in pools:
        network = ipaddress.ip_network(base)
        if network.version == version:
            subnets: Iterator[IPNetwork] = network.subnets(new_prefix=max(size, network.prefixlen))
            yield from itertools.islice(subnets, _MOST)


def local6(machine: Path = Path("/etc/machine-id")) -> tuple[str, int]:
    """The pool of unique local IPv6 subnets of this host (RFC 4193), the same at every boot."""
    try:
        seed = machine.read_bytes().strip()
    except OSError:
        seed = b""
    digest = hashlib.sha256(b"scow networks " + (seed or b"no machine-id")).digest()[:5]
    return f"{ipaddress.IPv6Address(bytes([0xFD]) + digest + bytes(10))}/48", 64


def choose(pools: Sequence[tuple[str, int]], taken: Iterable[IPNetwork], version: int = 4) -> IPNetwork:
    """The first free subnet. Raises InvalidArgument when all are used up."""
    used = [other for other in taken if other.version == version]
    if version == 6 and not any(":" in base for base, _ in pools):
        pools = [local6()]
    for subnet in candidates(pools, version):
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise InvalidArgument("all predefined address pools have been fully subnetted")
