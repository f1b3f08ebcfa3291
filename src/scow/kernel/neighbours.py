"""Static neighbours of a VXLAN link: which MAC address an address has, and behind which host a MAC address is.

Synchronous; works in the namespace the socket was opened in. Called by `network` in pool threads.
"""

import ipaddress
import socket
import struct
from collections.abc import Collection

from scow.kernel.netlink import CREATE, DUMP, REPLACE, Netlink, attribute, attributes, mac_bytes

_NEW, _DELETE, _GET = 28, 29, 30
_AF_BRIDGE = 7
_PERMANENT, _SELF = 0x80, 2
_TO, _MAC = 1, 2
_SIZE = 12
_HEAD = "=BxxxiHBB"

Pair = tuple[str, str]


class Neighbours(Netlink):
    """A route socket that also knows neighbours; methods raise OSError with the kernel's errno."""

    def hosts(self, index: int) -> set[Pair]:
        """The static forwarding entries of a VXLAN link: (MAC address, address of the host behind which it is)."""
        found = set()
        for _, body in self._ask(_GET, DUMP, struct.pack(_HEAD, _AF_BRIDGE, 0, 0, 0, 0)):
            _, at, state, flags, _ = struct.unpack_from(_HEAD, body)
            parts = attributes(body[_SIZE:])
            if at == index and state & _PERMANENT and flags & _SELF and _TO in parts and _MAC in parts:
                found.add((parts[_MAC].hex(":"), str(ipaddress.ip_address(parts[_TO]))))
        return found

    def addresses_of(self, index: int) -> set[Pair]:
        """The static neighbours of a link: (address, MAC address)."""
        found = set()
        for family in (socket.AF_INET, socket.AF_INET6):
            for _, body in self._ask(_GET, DUMP, struct.pack(_HEAD, family, 0, 0, 0, 0)):
                _, at, state, _, _ = struct.unpack_from(_HEAD, body)
                parts = attributes(body[_SIZE:])
                if at == index and state & _PERMANENT and _TO in parts and _MAC in parts:
                    found.add((str(ipaddress.ip_address(parts[_TO])), parts[_MAC].hex(":")))
        return found

    def set_hosts(self, index: int, wanted: Collection[Pair]) -> None:
        """Make the static forwarding entries equal to `wanted`."""
        present = self.hosts(index)
        for mac, host in present - set(wanted):
            self._entry(_DELETE, 0, _AF_BRIDGE, index, _SELF, mac, host)
        for mac, host in set(wanted) - present:
            self._entry(_NEW, CREATE | REPLACE, _AF_BRIDGE, index, _SELF, mac, host)

    def set_addresses(self, index: int, wanted: Collection[Pair]) -> None:
        """Make the static neighbours equal to `wanted`."""
        present = self.addresses_of(index)
        for address, mac in present - set(wanted):
            if not any(other == address for other, _ in wanted):
                self._entry(_DELETE, 0, _family(address), index, 0, mac, address)
        for address, mac in set(wanted) - present:
            self._entry(_NEW, CREATE | REPLACE, _family(address), index, 0, mac, address)

    def _entry(self, kind: int, how: int, family: int, index: int, flags: int, mac: str, address: str) -> None:
        body = struct.pack(_HEAD, family, index, _PERMANENT, flags, 0)
        body += attribute(_TO, ipaddress.ip_address(address).packed) + attribute(_MAC, mac_bytes(mac))
        self._do(kind, how, body)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
