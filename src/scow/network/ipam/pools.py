"""Choosing a subnet for a network that names none: the first of the configured pools that overlaps nothing in use."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from scow.errors import Forbidden, InvalidArgument

_MOST = 65536


class Overlap(Forbidden):
    """The subnet overlaps another network's."""

    def __init__(self) -> None:
        super().__init__("invalid pool request: Pool overlaps with other one on this address space")


def candidates(pools: Sequence[tuple[str, int]]) -> Iterator[ipaddress.IPv4Network]:
    """The subnets that the pools (base, prefix length of each subnet) offer, in order."""
    for base, size in pools:
        network = ipaddress.ip_network(base)
        if isinstance(network, ipaddress.IPv4Network):
            for count, subnet in enumerate(network.subnets(new_prefix=max(size, network.prefixlen))):
                if count >= _MOST:
                    break
                yield subnet


def check_pools(pools: Sequence[tuple[str, int]]) -> None:
    """Raise InvalidArgument for a pool that cannot be."""
    for base, size in pools:
        try:
            network = ipaddress.ip_network(base)
        except ValueError as error:
            raise InvalidArgument(f"invalid default address pool {base!r}: {error}") from None
        if not network.prefixlen <= size <= network.max_prefixlen:
            raise InvalidArgument(
                f"invalid default address pool {base!r}: size {size} must be between {network.prefixlen} and {network.max_prefixlen}"
            )


def choose(pools: Sequence[tuple[str, int]], taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first free subnet. Raises InvalidArgument when all are used up."""
    used = list(taken)
    for subnet in candidates(pools):
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise InvalidArgument("all predefined address pools have been fully subnetted")
