"""WireGuard links of the kernel, configured by generic netlink. Keys are 32 bytes.

Synchronous; called by `network/encryption` in pool threads.
"""

import ipaddress
import socket
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scow.kernel.netlink import DUMP, Netlink, attribute, attributes, nested

_GENERIC = 16
_CONTROL, _GET_FAMILY = 0x10, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_GET, _SET = 0, 1
_IFNAME, _PRIVATE, _PORT, _PEERS = 2, 3, 6, 8
_PEER_PUBLIC, _PEER_FLAGS, _PEER_ENDPOINT, _PEER_KEEPALIVE, _PEER_ALLOWED = 1, 3, 4, 5, 9
_REMOVE, _REPLACE_ALLOWED = 1, 2
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3
_AT_ONCE = 100  # peers in one message, whose list is an attribute of at most 64 KiB


@dataclass(frozen=True, slots=True)
class WireGuardPeer:
    """Another end: its public key, where its packets go to, the address that it alone may have within the tunnel."""

    public: bytes
    host: str
    port: int
    address: str


class WireGuard(Netlink):
    """A generic netlink socket that speaks to WireGuard; methods raise OSError, ENOENT (also from the constructor) where there is none."""

    def __init__(self) -> None:
        super().__init__(_GENERIC)
        try:
            self._family = self._resolve()
        except BaseException:
            self._socket.close()
            raise

    def _resolve(self) -> int:
        # the kernel loads the module when it is asked for a family that it does not know
        for _, body in self._ask(_CONTROL, 4, struct.pack("=BBH", _GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, "wireguard")):
            found = attributes(body[4:]).get(_FAMILY_ID, b"")
            number = int.from_bytes(found, "little")
        return number

    def configure(self, name: str, private: bytes, port: int) -> None:
        """Give a link its key and UDP port."""
        self._change(name, attribute(_PRIVATE, private) + attribute(_PORT, struct.pack("=H", port)))

    def change_peers(self, name: str, wanted: Sequence[WireGuardPeer], gone: Collection[bytes], keepalive: int) -> None:
        """Add or change peers, and remove those with the public keys `gone`; absent is fine."""
        rows = [nested(0, attribute(_PEER_PUBLIC, public), attribute(_PEER_FLAGS, _REMOVE)) for public in gone]
        rows += [
            nested(
                0,
                attribute(_PEER_PUBLIC, one.public),
                attribute(_PEER_FLAGS, _REPLACE_ALLOWED),
                attribute(_PEER_ENDPOINT, _endpoint(one.host, one.port)),
                attribute(_PEER_KEEPALIVE, struct.pack("=H", keepalive)),
                nested(_PEER_ALLOWED, _allowed(one.address)),
            )
            for one in wanted
        ]
        for start in range(0, len(rows), _AT_ONCE):
            self._change(name, nested(_PEERS, *rows[start : start + _AT_ONCE]))

    def _change(self, name: str, body: bytes) -> None:
        self._do(self._family, 0, struct.pack("=BBH", _SET, 1, 0) + attribute(_IFNAME, name) + body)

    def peers(self, name: str) -> set[bytes]:
        """Public keys of a link's peers."""
        found = set()
        for _, body in self._ask(self._family, DUMP, struct.pack("=BBH", _GET, 1, 0) + attribute(_IFNAME, name)):
            for row in _rows(attributes(body[4:]).get(_PEERS, b"")):
                if public := attributes(row).get(_PEER_PUBLIC):
                    found.add(public)
        return found


def _rows(data: bytes) -> list[bytes]:
    """The attributes of a list, which all have the same number."""
    found, at = [], 0
    while at + 4 <= len(data):
        size = struct.unpack_from("=H", data, at)[0]
        if size < 4:
            break
        found.append(data[at + 4 : at + size])
        at += size + (-size % 4)
    return found


def _endpoint(host: str, port: int) -> bytes:
    ip = ipaddress.ip_address(host)
    if ip.version == 4:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + ip.packed + bytes(8)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!H", port) + bytes(4) + ip.packed + bytes(4)


def _allowed(address: str) -> bytes:
    ip = ipaddress.ip_address(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return nested(
        0,
        attribute(_ALLOWED_FAMILY, struct.pack("=H", family)),
        attribute(_ALLOWED_ADDRESS, ip.packed),
        attribute(_ALLOWED_LENGTH, bytes([ip.max_prefixlen])),
    )


def available() -> bool:
    """Whether the kernel has WireGuard; its module is loaded for that."""
    try:
        with WireGuard():
            return True
    except OSError:
        return False
