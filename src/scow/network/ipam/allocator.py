"""The addresses of a network: the lowest free one, or the one asked for. In memory; others store the rows that own them."""

import contextlib
import ipaddress

from scow.errors import Conflict, Forbidden, InvalidArgument
from scow.network.network import IPNetwork, Network, Pool


class AddressInUse(Forbidden):
    """The address asked for belongs to another endpoint."""

    def __init__(self) -> None:
        super().__init__("Address already in use")


class Exhausted(Conflict):
    """The network has no address left."""


class Allocator:
    """Gives out the addresses of one pool (the network's first one for IPv4 if none is named)."""

    def __init__(self, network: Network, pool: Pool | None = None) -> None:
        self.pool = pool = pool or network.pools[0]
        self._where = f"{network.name} ({network.id})"
        self.subnet = subnet = pool.network
        self._range: IPNetwork = ipaddress.ip_network(pool.ip_range, strict=False) if pool.ip_range else subnet
        self._used: set[int] = set()
        self._low = int(self._range.network_address)
        if subnet.prefixlen < subnet.max_prefixlen - 1:
            self._used.add(int(subnet.network_address))
            if subnet.version == 4:
                self._used.add(int(subnet.broadcast_address))
        for address in (pool.gateway, *pool.aux.values()):
            if address:
                self._used.add(int(ipaddress.ip_address(address)))

    def at(self, number: int) -> str:
        """The address `number` places after the subnet's own, "" beyond its end."""
        found = int(self.subnet.network_address) + number
        return self._text(found) if found <= int(self.subnet.broadcast_address) else ""

    def place(self, address: str) -> int:
        """The inverse of `at`."""
        return int(ipaddress.ip_address(address)) - int(self.subnet.network_address)

    def _text(self, number: int) -> str:
        return str(type(self.subnet.network_address)(number))

    def take(self, wanted: str = "", preferred: str = "") -> str:
        """An address: exactly `wanted`, else `preferred` if it is free, else the lowest free one of the range.
        Raises AddressInUse, Exhausted, InvalidArgument (outside the subnet)."""
        if wanted:
            number = int(ipaddress.ip_address(wanted))
            if ipaddress.ip_address(wanted) not in self.subnet:
                raise InvalidArgument(f"Requested address {wanted} is not in the subnet {self.subnet}")
            if number in self._used:
                raise AddressInUse
        elif preferred and ipaddress.ip_address(preferred) in self._range and int(ipaddress.ip_address(preferred)) not in self._used:
            number = int(ipaddress.ip_address(preferred))
        else:
            number, last = self._low, int(self._range.broadcast_address)
            while number in self._used:
                number += 1
            self._low = min(number, last)
            if number > last:
                raise Exhausted(f"no available IPv{self.subnet.version} addresses on this network's address pools: {self._where}")
        self._used.add(number)
        return self._text(number)

    def free(self, address: str) -> None:
        """Give an address back."""
        number = int(ipaddress.ip_address(address))
        self._used.discard(number)
        if ipaddress.ip_address(number if self.subnet.version == 4 else address) in self._range:
            self._low = min(self._low, number)


class Addresses:
    """The addresses of all pools of a network; a pool that is used up is followed by the next of its kind."""

    def __init__(self, network: Network) -> None:
        self._pools = {version: [Allocator(network, pool) for pool in network.pools_of(version)] for version in (4, 6)}

    def take(self, version: int, wanted: str = "", preferred: str = "", beside: str = "") -> tuple[str, Pool]:
        """An address and its pool; `beside`: in the same place as this address of the other kind, if free. Raises as `Allocator.take`."""
        pools = self._pools[version]
        if wanted:
            asked = ipaddress.ip_address(wanted)
            pools = [one for one in pools if asked in one.subnet] or pools[:1]
        failure: Exhausted | None = None
        for one in pools:
            liked = preferred or (one.at(self.home(beside).place(beside)) if beside else "")
            try:
                return one.take(wanted, liked), one.pool
            except Exhausted as error:
                failure = error
        raise failure or Exhausted(f"no available IPv{version} addresses on this network's address pools")

    def home(self, address: str) -> Allocator:
        """The allocator of the pool that holds an address. Raises InvalidArgument."""
        asked = ipaddress.ip_address(address)
        for one in self._pools[asked.version]:
            if asked in one.subnet:
                return one
        raise InvalidArgument(f"Requested address {address} is not in a subnet of the network")

    def free(self, address: str) -> None:
        """Give an address back; one of another network is ignored."""
        with contextlib.suppress(InvalidArgument):
            self.home(address).free(address)
