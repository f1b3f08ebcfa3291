"""Address space of the cluster: subnets for networks, addresses within them, published ports, VXLAN ids. In memory, made of the store."""

import hashlib
import ipaddress
from collections.abc import Iterable

from scow.errors import Conflict, InvalidArgument

FIRST_VNI = 4097
FIRST_PORT, LAST_PORT = 30000, 32767
SIZE6 = 64
"""Prefix length of the IPv6 subnets that a cluster chooses."""
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Subnet:
    """One subnet: which of its addresses are taken. Addresses are given out in turn, so that a freed one is not reused at once."""

    def __init__(self, subnet: str, first: str = "", last: str = "") -> None:
        self.net: IPNetwork = ipaddress.ip_network(subnet)
        self._low = int(ipaddress.ip_address(first)) if first else int(self.net.network_address) + 1
        top = int(self.net.broadcast_address) - (1 if self.net.version == 4 else 0)
        self._high = int(ipaddress.ip_address(last)) if last else top
        self._taken: set[int] = set()
        self._next = self._low

    def take(self, address: str) -> None:
        """Mark an address (with or without length) as taken."""
        self._taken.add(int(ipaddress.ip_interface(address).ip))

    def free(self, address: str) -> None:
        """Give one back; not taken is fine."""
        self._taken.discard(int(ipaddress.ip_interface(address).ip))

    def holds(self, address: str) -> bool:
        """Whether an address belongs to this subnet."""
        return ipaddress.ip_interface(address).ip in self.net

    def allocate(self) -> str:
        """The next free address with its length. Raises Conflict when there is none."""
        size = self._high - self._low + 1
        for step in range(size):
            number = self._low + (self._next - self._low + step) % size
            if number not in self._taken:
                self._taken.add(number)
                self._next = number + 1
                return f"{ipaddress.ip_address(number)}/{self.net.prefixlen}"
        raise Conflict(f"no available IPv{self.net.version} addresses on this network's address pools: {self.net}")


def local6(cluster_id: str) -> str:
    """The pool of unique local IPv6 subnets of a cluster (RFC 4193), the same on every manager."""
    digest = hashlib.sha256(b"scow swarm " + cluster_id.encode()).digest()[:5]
    return f"{ipaddress.IPv6Address(bytes([0xFD]) + digest + bytes(10))}/48"


def next_subnet(pools: Iterable[str], prefix: int, taken: Iterable[str]) -> str:
    """The first subnet of `prefix` in the pools that overlaps none of those taken. Raises Conflict."""
    used = [ipaddress.ip_network(one) for one in taken]
    for pool in pools:
        net = ipaddress.ip_network(pool)
        if prefix < net.prefixlen:
            continue
        at = int(net.network_address)
        size = 1 << (net.max_prefixlen - prefix)
        end = int(net.broadcast_address)
        while at <= end:
            candidate = ipaddress.ip_network((at, prefix))
            clash = next((one for one in used if one.version == candidate.version and one.overlaps(candidate)), None)
            if clash is None:
                return str(candidate)
            at = max(at + size, (int(clash.broadcast_address) // size + 1) * size)
    kind = "IPv6" if prefix > 32 else "IPv4"
    raise Conflict(f"could not find an available, non-overlapping {kind} address pool among the defaults to assign to the network")


class Ports:
    """Ports published on every node, by protocol."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], str] = {}
        self._next = FIRST_PORT

    def owner(self, protocol: str, port: int) -> str:
        """The service that has a port, "" for none."""
        return self._taken.get((protocol, port), "")

    def take(self, protocol: str, port: int, service_id: str) -> None:
        """Raises InvalidArgument when another service has it."""
        owner = self._taken.setdefault((protocol, port), service_id)
        if owner != service_id:
            raise InvalidArgument(f"port '{port}' is already in use by service {owner}")

    def allocate(self, protocol: str, service_id: str) -> int:
        """A free port. Raises Conflict."""
        size = LAST_PORT - FIRST_PORT + 1
        for step in range(size):
            port = FIRST_PORT + (self._next - FIRST_PORT + step) % size
            if (protocol, port) not in self._taken:
                self._taken[protocol, port] = service_id
                self._next = port + 1
                return port
        raise Conflict("no free port is left between 30000 and 32767")

    def release(self, service_id: str) -> None:
        """Give back all of a service's ports."""
        self._taken = {key: owner for key, owner in self._taken.items() if owner != service_id}
