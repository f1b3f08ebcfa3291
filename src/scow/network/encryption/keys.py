"""The keys that a node has for encrypted networks, and how one follows the other.

Stored in `<run>/encryption/keys.json`, for root only; it goes with the host's memory, and a host that comes back makes new keys. A private
key is never told to anybody; the swarm knows the public ones. The address of a host within the tunnel is made of its public key, so each
of its keys has one of its own and two can be used side by side.
"""

import base64
import contextlib
import hashlib
import ipaddress
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "fd53:636f:7700::/48"
"""Where addresses within the tunnel are: a unique local prefix (RFC 4193)."""
LIFE_NS = 12 * 3600 * 1_000_000_000
"""How long a key is the first one, as Docker has it."""
OVERLAP_NS = 5 * 60 * 1_000_000_000
"""How long all nodes have known a new key before it is used, and how long the old one is still taken afterwards."""
KEY_BYTES = 32
_LINK = "swg-"


@dataclass(frozen=True, slots=True)
class Key:
    """One of the node's keys with the UDP port of its link."""

    private: bytes = field(repr=False)
    public: bytes
    port: int
    made_ns: int

    @property
    def link(self) -> str:
        """The link's name, the same on no two hosts: WireGuard programs of all namespaces share a directory."""
        return link_name(self.public)

    @property
    def address(self) -> str:
        """The node's address within the tunnel while this key is used."""
        return address_of(self.public)

    @property
    def row(self) -> dict[str, Any]:
        """What the swarm is told."""
        return {"key": text_of(self.public), "port": self.port}


def link_name(public: bytes) -> str:
    """The link of a key."""
    return _LINK + hashlib.sha256(b"link" + public).hexdigest()[:11]


def is_link(name: str) -> bool:
    """Whether a link of this name is a key's."""
    return name.startswith(_LINK) and len(name) == len(_LINK) + 11


def address_of(public: bytes) -> str:
    """The address within the tunnel of the host that has a key."""
    start = ipaddress.IPv6Network(PREFIX).network_address.packed[:6]
    return str(ipaddress.IPv6Address(start + hashlib.sha256(public).digest()[:10]))


def text_of(public: bytes) -> str:
    """A key as WireGuard writes it."""
    return base64.b64encode(public).decode()


def bytes_of(text: str) -> bytes:
    """What `text_of` wrote. Raises ValueError."""
    found = base64.b64decode(text, validate=True)
    if len(found) != KEY_BYTES:
        raise ValueError(text)
    return found


def new_key(port: int, now_ns: int) -> Key:
    """A fresh pair."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    made = X25519PrivateKey.generate()
    return Key(made.private_bytes_raw(), made.public_key().public_bytes_raw(), port, now_ns)


def advanced(keys: Sequence[Key], now_ns: int, known_ns: int, ports: tuple[int, int], make: Callable[[int, int], Key]) -> tuple[Key, ...]:
    """The keys after the next step of a rotation that is due, else as they are. The first is the one in use.

    A second, new key is told first; when the swarm has known it for OVERLAP_NS it becomes the first; as much later the old one goes.
    `known_ns`: since when the swarm knows the keys as they are, 0 = not yet; `make(port, now)` makes a key."""
    first = keys[0]
    if len(keys) == 1:
        if now_ns - first.made_ns < LIFE_NS or not known_ns:
            return tuple(keys)
        return first, make(ports[1] if first.port == ports[0] else ports[0], now_ns)
    if not known_ns or now_ns - known_ns < OVERLAP_NS:
        return tuple(keys)
    return (keys[1], first) if keys[1].made_ns > first.made_ns else (first,)


class KeyFile:
    """Keeps the keys."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keys.json"

    def read(self) -> tuple[Key, ...]:
        """What was kept; none when nothing (readable) is there."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            rows: list[Mapping[str, Any]] = json.loads(self._path.read_text())
            return tuple(Key(bytes_of(row["private"]), bytes_of(row["public"]), int(row["port"]), int(row["made_ns"])) for row in rows)
        return ()

    def write(self, keys: Sequence[Key]) -> None:
        """Keep these, whole or not at all. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.parent.chmod(0o700)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        rows = [{"private": text_of(one.private), "public": text_of(one.public), "port": one.port, "made_ns": one.made_ns} for one in keys]
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(rows, file)
        fresh.replace(self._path)

    def forget(self) -> None:
        """Nothing is kept any more."""
        self._path.unlink(missing_ok=True)
