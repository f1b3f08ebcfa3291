"""The addresses of one network: the lowest free one, or the one asked for. In memory; others store the rows that own them."""

import ipaddress

from scow.errors import Conflict, Forbidden, InvalidArgument
from scow.network.network import Network


class AddressInUse(Forbidden):
    """The address asked for belongs to another endpoint."""

    def __init__(self) -> None:
        super().__init__("Address already in use")


class Exhausted(Conflict):
    """The network has no address left."""


class Allocator:
    """Gives out the addresses of a network's (first) IPv4 pool."""

    def __init__(self, network: Network) -> None:
        pool = network.pools[0]
        self._where = f"{network.name} ({network.id})"
        self.subnet = pool.network
        self._range = ipaddress.IPv4Network(pool.ip_range) if pool.ip_range else self.subnet
        self._used: set[int] = set()
        self._low = int(self._range.network_address)
        if self.subnet.prefixlen < 31:
            self._used |= {int(self.subnet.network_address), int(self.subnet.broadcast_address)}
        for address in (pool.gateway, *pool.aux.values()):
            if address:
                self._used.add(int(ipaddress.IPv4Address(address)))

    def take(self, wanted: str = "", preferred: str = "") -> str:
        """An address: exactly `wanted`, else `preferred` if it is free, else the lowest free one of the range.
        Raises AddressInUse, Exhausted, InvalidArgument (outside the subnet)."""
        if wanted:
            number = int(ipaddress.IPv4Address(wanted))
            if ipaddress.IPv4Address(wanted) not in self.subnet:
                raise InvalidArgument(f"Requested address {wanted} is not in the subnet {self.subnet}")
            if number in self._used:
                raise AddressInUse
        elif preferred and ipaddress.IPv4Address(preferred) in self._range and int(ipaddress.IPv4Address(preferred)) not in self._used:
            number = int(ipaddress.IPv4Address(preferred))
        else:
            number, last = self._low, int(self._range.broadcast_address)
            while number in self._used:
                number += 1
            self._low = min(number, last)
            if number > last:
                raise Exhausted(f"no available IPv4 addresses on this network's address pools: {self._where}")
        self._used.add(number)
        return str(ipaddress.IPv4Address(number))

    def free(self, address: str) -> None:
        """Give an address back."""
        number = int(ipaddress.IPv4Address(address))
        self._used.discard(number)
        if ipaddress.IPv4Address(number) in self._range:
            self._low = min(self._low, number)
