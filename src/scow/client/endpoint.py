"""Where an engine listens, and what TLS needs. Made by `cli/`; `transport.py` connects to it."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    import ssl

from scow.errors import ScowError


class Endpoint:
    """Where a daemon listens: `kind` is unix, tcp or ssh."""

    __slots__ = ("base", "host", "kind", "path", "port", "tls", "url")

    def __init__(self, url: str, tls: TLS | None = None) -> None:
        """Raises ScowError for an address of no known form."""
        self.url = url
        self.tls = tls
        self.path = self.host = self.base = ""
        self.port = 0
        scheme, sep, rest = url.partition("://")
        if not sep:
            if url.startswith("/"):
                scheme, rest = "unix", url
            else:
                scheme, rest = "tcp", url
            self.url = f"{scheme}://{rest}"
        if scheme == "unix":
            self.kind = "unix"
            self.path = rest or "/var/run/docker.sock"
            self.host = "api.moby.localhost"
        elif scheme in ("tcp", "http", "https"):
            self.kind = "tcp"
            address, slash, base = rest.partition("/")
            self.base = slash + base.rstrip("/") if base else ""
            if address.startswith("["):
                host, closed, port = address[1:].partition("]")
                if not closed or (port and not port.startswith(":")):
                    raise ScowError(f"unable to parse docker host `{url}`: write an IPv6 address as tcp://[ADDRESS]:PORT")
                port = port.removeprefix(":")
            else:
                host, _, port = address.partition(":")
            self.host = host or "localhost"
            if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
                raise ScowError(f"unable to parse docker host `{url}`: the port is no number")
            self.port = int(port) if port else (2376 if tls else 2375)
            if scheme == "https" and tls is None:
                self.tls = TLS("", "", "", True)
        elif scheme == "ssh":
            self.kind = "ssh"
            self.path = rest
            self.host = "docker.example.com"
        else:
            raise ScowError(f"unable to parse docker host `{url}`: use unix://PATH, tcp://HOST:PORT or ssh://USER@HOST")


class TLS:
    """Files for TLS: authority, certificate and key; `verify` checks the server's name and chain."""

    __slots__ = ("ca", "cert", "key", "verify")

    def __init__(self, ca: str, cert: str, key: str, verify: bool) -> None:
        self.ca, self.cert, self.key, self.verify = ca, cert, key, verify

    def context(self) -> ssl.SSLContext:
        """Raises ScowError when a file can't be read."""
        import ssl

        try:
            made = ssl.create_default_context(cafile=self.ca or None) if self.verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if not self.verify:
                made.check_hostname = False
                made.verify_mode = ssl.CERT_NONE
            if self.cert and self.key:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as exc:
            names = ", ".join(one for one in (self.ca, self.cert, self.key) if one)
            raise ScowError(f"could not load the TLS certificates ({names}): {exc}") from exc
        return made
