"""The server's options: one frozen value. `cli/commands/registry/server.py` fills it from flags."""

from dataclasses import dataclass
from pathlib import Path

from scow.errors import InvalidArgument
from scow.registryd import names


@dataclass(frozen=True, slots=True)
class Upstream:
    """Another registry, cached under `<prefix>/…`; `domain` is how image names write it (`docker.io`, `quay.io`, `10.0.0.5:5000`)."""

    prefix: str
    domain: str


@dataclass(frozen=True, slots=True)
class Options:
    """See the module docstring. Seconds are seconds; 0 turns a limit or an interval off."""

    root: Path
    listen: tuple[str, ...] = ("127.0.0.1:5000",)
    url: str = ""  # how clients reach the server, where the Host header does not say it
    # TLS
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    # who may do what
    htpasswd: Path | None = None
    auth: str = ""  # basic or token; "" is token where something is public, else basic
    public: tuple[str, ...] = ()
    anonymous_push: bool = False
    allow_delete: bool = False
    # limits
    max_blob: int = 0
    max_manifest: int = 4 << 20
    max_connections: int = 4096
    rate: int = 0
    stall_seconds: float = 60.0
    trust_proxy: bool = False
    # upstreams
    upstreams: tuple[Upstream, ...] = ()
    mirror: str = ""
    upstream_config: Path | None = None
    insecure_upstreams: tuple[str, ...] = ()
    mirror_seconds: int = 300
    mirror_keep_seconds: int = 30 * 86400
    # upkeep
    gc_seconds: int = 86400
    grace_seconds: int = 3600
    upload_seconds: int = 86400
    metrics: str = ""
    log_level: str = "info"
    log_format: str = "text"


def parse_upstream(text: str) -> Upstream:
    """`docker.io`, or `PREFIX=DOMAIN`. Raises InvalidArgument."""
    prefix, sep, domain = text.partition("=")
    domain = domain if sep else prefix
    if not names.valid_name(prefix) or not domain or "/" in domain or any(char.isspace() for char in domain):
        raise InvalidArgument(f"invalid upstream {text!r}: it is written REGISTRY or PREFIX=REGISTRY, as docker.io or lab=10.0.0.5:5000")
    return Upstream(prefix, domain)


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`, `:port`, `[v6]:port`, `port` as (host, port). Raises InvalidArgument."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"invalid address {text!r}: it is written HOST:PORT")
    return host, int(port)
