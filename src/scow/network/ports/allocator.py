"""Choosing host ports: explicit, out of a range, or any; each held by a bound socket, so nobody else on the host takes it. The ports that
the routing mesh of a swarm publishes are no container's."""

import errno
import ipaddress
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scow import log
from scow.errors import Conflict, InvalidArgument
from scow.kernel import protocols
from scow.model.container import PortBinding

logger = log.get(__name__)

_KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, protocols.SCTP)}
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortTaken(Conflict):
    """A host port is not free."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A container port to publish: on each of `hosts` under one number from `first`..`last` (0..0 = any)."""

    port: int
    proto: str
    hosts: tuple[str, ...]
    first: int = 0
    last: int = 0


def parse_port(text: str) -> tuple[int, str]:
    """`80/tcp` as (80, "tcp"). Raises InvalidArgument."""
    number, _, proto = text.partition("/")
    proto = proto.lower() or "tcp"
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        raise InvalidArgument(f"invalid port specification: {text!r}: invalid port")
    if proto not in _KINDS:
        raise InvalidArgument(f"invalid port specification: {text!r}: invalid proto: {proto}")
    return int(number), proto


def _numbers(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not text or text == "0":
        return 0, 0
    last = last or first
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
        raise InvalidArgument(f"invalid port specification: invalid host port {text!r}")
    return int(first), int(last)


def wishes(
    bindings: Mapping[str, Sequence[PortBinding]],
    exposed: Sequence[str],
    publish_all: bool,
    default_hosts: tuple[str, ...],
    single: str = "",
) -> list[Wish]:
    """What `-p` and `-P` ask for; `single` replaces the default hosts where the network names an address."""
    result = []
    hosts = (single,) if single else default_hosts
    every = {port: list(found) for port, found in bindings.items()}
    if publish_all:
        for port in exposed:
            every.setdefault(port, [])
            every[port] = every[port] or [PortBinding()]
    for name, found in every.items():
        number, proto = parse_port(name)
        for binding in found:
            host = binding.host_ip.strip("[]")
            if host:
                try:
                    host = str(ipaddress.ip_address(host))
                except ValueError:
                    raise InvalidArgument(f"invalid IP address: {binding.host_ip}") from None
            result.append(Wish(number, proto, (host,) if host else hosts, *_numbers(binding.host_port)))
    # fixed numbers first: a random choice must not take one of them
    return sorted(result, key=lambda wish: (not wish.first, wish.first != wish.last, wish.port, wish.first))


def dynamic_range() -> tuple[int, int]:
    """The host's range of dynamic ports."""
    try:
        first, last = _RANGE.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 32768, 60999


class PortAllocator:
    """The host ports in use by containers."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], dict[str, socket.socket | None]] = {}
        self._next: dict[str, int] = {}
        self._mesh: dict[tuple[str, int], list[socket.socket]] = {}

    def mesh(self, wanted: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Hold these (protocol, port) for the routing mesh and no others of it; back come those that containers have. What another program
        has is meant for the mesh all the same, as with dockerd."""
        for key in set(self._mesh) - set(wanted):
            for one in self._mesh.pop(key):
                one.close()
        taken = set(self._held) & set(wanted)
        for proto, number in set(wanted) - taken - set(self._mesh):
            held = self._mesh[proto, number] = []
            for host in ("0.0.0.0", "::"):
                try:
                    bound = _bind(proto, host, number)
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        where = join(host, number)
                        logger.warning("%s/%s is another program's: the routing mesh takes what comes for it", where, proto)
                else:
                    held += [bound] if bound is not None else []
        return taken

    def take(self, wish: Wish, target: str) -> int:
        """Hold a port for the wish on all its hosts; its number. Raises PortTaken with dockerd's sentence."""
        if wish.first == wish.last and wish.first:
            self._hold(wish, wish.first, target)
            return wish.first
        if wish.first:
            for number in range(wish.first, wish.last + 1):
                if self._try(wish, number, target):
                    return number
            raise PortTaken(f"Bind for {join(wish.hosts[0], f'{wish.first}-{wish.last}')} failed: all ports are allocated")
        first, last = dynamic_range()
        start = max(self._next.get(wish.proto, first), first)
        for step in range(last - first + 1):
            number = first + (start - first + step) % (last - first + 1)
            if self._try(wish, number, target):
                self._next[wish.proto] = number + 1
                return number
        raise PortTaken("all ports are allocated")

    def _try(self, wish: Wish, number: int, target: str) -> bool:
        try:
            self._hold(wish, number, target)
        except PortTaken:
            return False
        return True

    def _hold(self, wish: Wish, number: int, target: str) -> None:
        held = self._held.get((wish.proto, number), {})
        for host in wish.hosts:
            if (wish.proto, number) in self._mesh or any(_clash(host, other) for other in held):
                raise PortTaken(f"Bind for {join(host, number)} failed: port is already allocated")
        sockets: dict[str, socket.socket | None] = {}
        try:
            for host in wish.hosts:
                sockets[host] = _bind(wish.proto, host, number)
        except OSError as error:
            for held_socket in filter(None, sockets.values()):
                held_socket.close()
            reason = "address already in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
            raise PortTaken(f"failed to bind host port for {join(host, number)}:{target}:{wish.port}/{wish.proto}: {reason}") from None
        self._held.setdefault((wish.proto, number), {}).update(sockets)

    def socket(self, proto: str, host: str, number: int) -> socket.socket | None:
        """The socket that holds a port, for a relay to listen on."""
        return self._held.get((proto, number), {}).get(host)

    def free(self, proto: str, host: str, number: int) -> None:
        """Let a port go; not held is fine."""
        held = self._held.get((proto, number))
        if held is not None:
            if (found := held.pop(host, None)) is not None:
                found.close()
            if not held:
                del self._held[proto, number]


def join(host: str, port: object) -> str:
    """`0.0.0.0:80`, `[::1]:80`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _clash(one: str, other: str) -> bool:
    if (":" in one) != (":" in other):
        return False
    return one == other or one in ("0.0.0.0", "::") or other in ("0.0.0.0", "::")


def _bind(proto: str, host: str, number: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        held = socket.socket(family, *_KINDS[proto])
    except OSError as error:
        # without the protocol in the kernel nobody on the host can take the port either
        if proto == "sctp" and error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            return None
        raise
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if proto == "tcp":
                # a relay listens here, and its ended connections must not keep the port from the next container
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, number))
    except BaseException:
        held.close()
        raise
    return held
