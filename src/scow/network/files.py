"""The texts of a container's hosts, resolv.conf and hostname files; pure, except for reading the host's own and writing the result."""

import contextlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESOLVER = "127.0.0.11"
_FALLBACK = ("8.8.8.8", "8.8.4.4")
_HOST_RESOLV = Path("/etc/resolv.conf")
_SYSTEMD_RESOLV = Path("/run/systemd/resolve/resolv.conf")
_MOST = 1 << 16
_BASE = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


@dataclass(frozen=True, slots=True)
class Resolv:
    """A resolv.conf."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self, note: str = "") -> str:
        """The file's text."""
        lines = [f"# {note}"] if note else []
        lines += [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append("search " + " ".join(self.search))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class HostsLine:
    """One address and its names."""

    address: str
    names: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """The line."""
        return f"{self.address}\t{' '.join(self.names)}\n"


def parse_resolv(text: str) -> Resolv:
    """Read a resolv.conf; the last `search` (or `domain`) line wins, options add up."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text[:_MOST].splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *names]:
                search = tuple(names)
            case ["options", *more]:
                options += more
    return Resolv(tuple(servers), search, tuple(options))


def loopback(server: str) -> bool:
    """Whether a name server's address is the host's own loopback, which means another thing inside a container."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(server.split("%")[0]).is_loopback
    return False


def host_resolv(path: Path = _HOST_RESOLV) -> Resolv:
    """The host's resolv.conf; where only systemd-resolved's stub is in it, that service's own list."""
    with contextlib.suppress(OSError):
        found = parse_resolv(path.read_text(errors="replace"))
        if found.servers == ("127.0.0.53",) and _SYSTEMD_RESOLV.exists():
            return parse_resolv(_SYSTEMD_RESOLV.read_text(errors="replace"))
        return found
    return Resolv()


def merge(base: Resolv, dns: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Resolv:
    """The container's flags over the host's (or the daemon's) values; `--dns-search .` means none."""
    chosen = tuple(search) or base.search
    return Resolv(tuple(dns) or base.servers, () if "." in chosen else chosen, tuple(options) or base.options)


def for_bridge(merged: Resolv, given: bool = False) -> Resolv:
    """Without the built-in name server: no loopback or IPv6 servers of the host (`given` ones stay), public ones where none is left."""
    servers = merged.servers if given else tuple(server for server in merged.servers if not loopback(server) and ":" not in server)
    return Resolv(servers or _FALLBACK, merged.search, merged.options)


def for_user_network(merged: Resolv) -> Resolv:
    """What a container on a user network gets: the built-in name server."""
    options = merged.options if any(option.startswith("ndots:") for option in merged.options) else (*merged.options, "ndots:0")
    return Resolv((RESOLVER,), merged.search, options)


def extra_host(entry: str, gateways: Sequence[str]) -> list[HostsLine]:
    """The lines of an `--add-host` value `name:address` (or `name=address`); `host-gateway` becomes the host's addresses."""
    separator = "=" if "=" in entry else ":"
    name, _, address = entry.partition(separator)
    if address == "host-gateway":
        return [HostsLine(gateway, (name,)) for gateway in gateways]
    return [HostsLine(address.strip("[]"), (name,))]


def hosts_text(lines: Iterable[HostsLine], base: str = _BASE) -> str:
    """A hosts file."""
    if base and not base.endswith("\n"):
        base += "\n"
    return base + "".join(line.text() for line in lines)


def host_hosts() -> str:
    """The host's /etc/hosts, for containers in its network."""
    with contextlib.suppress(OSError):
        return Path("/etc/hosts").read_text(errors="replace")
    return _BASE


def host_names(hostname: str, domainname: str) -> tuple[str, ...]:
    """The names of a container's own line."""
    full = f"{hostname}.{domainname}" if domainname else hostname
    short = hostname.partition(".")[0]
    return (full, short) if short != full else (full,)


def write(path: Path, text: str) -> None:
    """Replace a file's content in place: it is mounted into the container, so it must stay the same file."""
    with path.open("w") as file:
        file.write(text)
