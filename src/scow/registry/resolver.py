"""Which servers a registry's name leads to, and how to speak to them. Pure but for reading certificates and hosts.toml.

Files are read at each connection: `<folder>/<host>/{*.crt, *.cert + *.key, hosts.toml}` below /etc/scow/certs.d, then below
/etc/docker/certs.d; the first folder that has the host counts.
"""

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scow import log
from scow.errors import InvalidArgument
from scow.registry.errors import Unreachable
from scow.registry.settings import Settings

logger = log.get(__name__)

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?\Z")
_TOML_MAX = 256 << 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server to try. `base` is `https://host[:port][/prefix]`; `verify` whether its certificate must be good."""

    base: str
    verify: bool = True
    mirror: bool = False
    push: bool = True
    ca: tuple[str, ...] = ()
    certs: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    override: bool = False  # `base` ends in /v2 already
    namespace: str = ""  # ns= parameter of a mirror

    @property
    def tls(self) -> bool:
        """Whether it is spoken to with TLS."""
        return self.base.startswith("https://")

    @property
    def host(self) -> str:
        """`host[:port]`."""
        return urlsplit(self.base).netloc

    def url(self, path: str) -> str:
        """The address of `/v2/<path>`."""
        return f"{self.base}/{path}" if self.override else f"{self.base}/v2/{path}"


def hostname(host: str) -> str:
    """The host without its port."""
    return (urlsplit("//" + host).hostname or "").lower()


def is_loopback(name: str) -> bool:
    """Whether a host name means this machine."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_insecure(settings: Settings, host: str) -> bool:
    """Whether plain HTTP and bad certificates are taken from `host[:port]`."""
    name = hostname(host)
    if is_loopback(name):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    for entry in settings.insecure:
        entry = entry.removeprefix("http://").removeprefix("https://").rstrip("/").lower()
        if entry in (host.lower(), name):
            return True
        if "/" in entry and address is not None:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                continue
    return False


def server_of(domain: str) -> str:
    """The host that serves a domain of image names."""
    return HUB_HOST if domain == HUB else domain


def folder_of(settings: Settings, host: str) -> Path | None:
    """The directory with the certificates and hosts.toml of a host."""
    if not _HOST.match(host):
        return None
    for folder in settings.folders:
        for name in (host, host.replace(":", "_")):
            path = folder / name
            if path.is_dir():
                return path
    return None


def certificates(folder: Path | None) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """(authorities, pairs of certificate and key) of a certs.d directory. Raises InvalidArgument for half a pair, as dockerd does."""
    if folder is None:
        return (), ()
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return (), ()
    cas = tuple(str(folder / name) for name in names if name.endswith(".crt"))
    pairs = []
    for name in names:
        if name.endswith(".cert"):
            key = name[:-5] + ".key"
            if key not in names:
                raise InvalidArgument(f"missing key {key} for client certificate {name}. CA certificates must use the extension .crt")
            pairs.append((str(folder / name), str(folder / key)))
        elif name.endswith(".key") and name[:-4] + ".cert" not in names:
            raise InvalidArgument(f"missing client certificate {name[:-4]}.cert for key {name}")
    return cas, tuple(pairs)


def endpoints(settings: Settings, domain: str, push: bool = False) -> list[Endpoint]:
    """The servers of a domain in the order to try them. Raises InvalidArgument."""
    host = server_of(domain)
    folder = folder_of(settings, domain) or folder_of(settings, host)
    found: list[Endpoint] = []
    if folder is not None and (folder / "hosts.toml").is_file():
        found = _hosts_toml(folder / "hosts.toml", domain, host, push)
        if found:
            return found
    if domain == HUB and not push:
        found += [mirror for text in settings.mirrors for mirror in _mirror(settings, text)]
    found += _plain(settings, host, folder)
    return found


def _plain(settings: Settings, host: str, folder: Path | None) -> list[Endpoint]:
    cas, pairs = certificates(folder)
    if is_insecure(settings, host):
        return [Endpoint(f"https://{host}", verify=False, ca=cas, certs=pairs), Endpoint(f"http://{host}")]
    return [Endpoint(f"https://{host}", ca=cas, certs=pairs)]


def _mirror(settings: Settings, text: str) -> list[Endpoint]:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
        logger.warning("registry mirror %s is no address", text)
        return []
    cas, pairs = certificates(folder_of(settings, parts.netloc))
    verify = not is_insecure(settings, parts.netloc)
    return [Endpoint(text.rstrip("/"), verify, mirror=True, push=False, ca=cas, certs=pairs)]


def _texts(value: Any, folder: Path) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(folder / one) for one in values if isinstance(one, str) and one)


def _hosts_toml(file: Path, domain: str, host: str, push: bool) -> list[Endpoint]:
    """The endpoints that a hosts.toml (containerd's format) names; [] when it is broken."""
    try:
        if file.stat().st_size > _TOML_MAX:
            raise ValueError("it is too large")
        document = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be used: %s", file, error)
        return []
    found: list[Endpoint] = []
    tables = document.get("host")
    rows: list[tuple[str, dict[str, Any]]] = (
        [(name, row) for name, row in tables.items() if isinstance(row, dict)] if isinstance(tables, dict) else []
    )
    server = document.get("server")
    last = server if isinstance(server, str) and server else f"https://{host}"
    cas, pairs = certificates(file.parent)
    for name, row in [*rows, (last, document)]:
        base = name if "://" in name else f"https://{name}"
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            logger.warning("%s: %s is no address", file, name)
            continue
        upstream = row is document or parts.netloc == host
        capabilities = row.get("capabilities")
        allowed = {str(one) for one in capabilities} if isinstance(capabilities, list) else {"pull", "resolve", "push"}
        if ("push" if push else "pull") not in allowed:
            continue
        own_certs = _clients(row.get("client"), file.parent)
        headers = row.get("header")
        fields = (
            [(str(key), str(one)) for key, value in headers.items() for one in (value if isinstance(value, list) else [value])]
            if isinstance(headers, dict)
            else []
        )
        found.append(
            Endpoint(
                base.rstrip("/"),
                verify=row.get("skip_verify") is not True,
                mirror=not upstream,
                push="push" in allowed,
                ca=_texts(row.get("ca"), file.parent) + cas,
                certs=own_certs or pairs,
                headers=tuple((key, value) for key, value in fields if "\n" not in key + value and "\r" not in key + value),
                override=row.get("override_path") is True,
                namespace="" if upstream else domain,
            )
        )
    return found


def _clients(value: Any, folder: Path) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        return ((str(folder / value), str(folder / value)),)
    found = []
    for one in value if isinstance(value, list) else ():
        if isinstance(one, str):
            found.append((str(folder / one), str(folder / one)))
        elif isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one):
            found.append((str(folder / one[0]), str(folder / one[1]) if one[1] else str(folder / one[0])))
    return tuple(found)


@dataclass(slots=True)
class Contexts:
    """TLS contexts by what went into them, so that connections can be kept; a changed file makes a new one."""

    _made: dict[tuple[Any, ...], ssl.SSLContext] = field(default_factory=dict)

    def of(self, endpoint: Endpoint) -> ssl.SSLContext:
        """The context for an endpoint. Raises Unreachable when its files cannot be used."""
        files = [*endpoint.ca, *(name for pair in endpoint.certs for name in pair)]
        key = (endpoint.verify, endpoint.ca, endpoint.certs, *(_stamp(name) for name in files))
        found = self._made.get(key)
        if found is None:
            if len(self._made) > 64:
                self._made.clear()
            found = self._made[key] = self._make(endpoint)
        return found

    @staticmethod
    def _make(endpoint: Endpoint) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            for name in endpoint.ca:
                context.load_verify_locations(cafile=name)
            for certificate, key in endpoint.certs:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"cannot use the certificates for {endpoint.host}: {error}", final=True) from None
        if not endpoint.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _stamp(name: str) -> tuple[int, int]:
    try:
        info = Path(name).stat()
    except OSError:
        return 0, 0
    return info.st_mtime_ns, info.st_ino


def proxy_for(settings: Settings, url: str) -> str:
    """The proxy to reach a URL through, "" for none. Loopback is always reached directly, as in Go."""
    parts = urlsplit(url)
    name = (parts.hostname or "").lower()
    proxy = settings.https_proxy if parts.scheme == "https" else settings.http_proxy
    if (
        not proxy
        or is_loopback(name)
        or _bypassed(settings.no_proxy.split(","), name, parts.port or (443 if parts.scheme == "https" else 80))
    ):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypassed(rules: Iterable[str], name: str, port: int) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    for rule in rules:
        rule = rule.strip().lower()
        if rule == "*":
            return True
        if not rule:
            continue
        if "/" in rule and address is not None:
            try:
                if address in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                pass
            continue
        host, sep, wanted = rule.rpartition(":")
        if sep and wanted.isdigit() and host.count(":") == 0:
            if int(wanted) != port:
                continue
            rule = host
        rule = rule.removeprefix("*")
        if name.endswith(rule if rule.startswith(".") else "." + rule) or name == rule:
            return True
    return False
