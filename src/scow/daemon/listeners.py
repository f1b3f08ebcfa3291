"""The sockets of the API: unix (mode 0660, group), tcp, inherited from systemd."""

import contextlib
import grp
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from urllib.parse import urlsplit

from scow import log
from scow.daemon.options import Options
from scow.errors import InvalidArgument, ScowError, Unavailable
from scow.http.listening import bound

logger = log.get(__name__)

DOCKER_SOCKET = "/var/run/docker.sock"
INSECURE = "TCP without TLS makes everybody who reaches it root: use --tlsverify, or --insecure-tcp to allow it"
_FIRST_FD = 3
_TLS_PORT, _PLAIN_PORT = 2376, 2375
_MAX_UNIX_PATH = 107
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """A listening socket; `path` and `inode` of a unix socket that this daemon made."""

    sock: socket.socket
    tls: ssl.SSLContext | None = None
    path: str = ""
    inode: int = 0


def parse_host(text: str) -> tuple[str, str]:
    """`unix:///p`, `/p`, `tcp://host:port`, `fd://` as (kind, the rest). Raises InvalidArgument."""
    if text.startswith("/"):
        return "unix", text
    kind, found, rest = text.partition("://")
    if not found or kind not in ("unix", "tcp", "fd"):
        raise InvalidArgument(f"invalid bind address format: {text}")
    if kind == "unix" and (not rest.startswith("/") or len(os.fsencode(rest)) > _MAX_UNIX_PATH):
        raise InvalidArgument(f"invalid unix socket path: {rest or text}: it must be absolute and at most {_MAX_UNIX_PATH} bytes")
    return kind, rest


def addresses(options: Options) -> list[str]:
    """Where to listen: as told, else the default socket."""
    hosts = list(options.hosts) or [f"unix://{options.exec_root}/scow.sock"]
    if options.docker_socket:
        hosts.append(f"unix://{DOCKER_SOCKET}")
    return hosts


def open_all(options: Options, sockets: int = 0) -> list[Opened]:
    """Bind every address; `sockets` is how many the service manager gave, from descriptor 3 on. All or none. Raises ScowError."""
    opened: list[Opened] = []
    secure = options.tls or options.tlsverify
    tls: ssl.SSLContext | None = None
    try:
        for text in addresses(options):
            kind, rest = parse_host(text)
            if kind == "unix":
                sock = _unix(rest, options)
                opened.append(Opened(sock, None, rest, os.lstat(rest).st_ino))
                continue
            if kind == "fd":
                found = _inherited(sockets)
            else:
                tls = tls or (context(options) if secure else None)
                found = _tcp(rest, secure)
            for sock in found:
                plain = sock.family == socket.AF_UNIX
                tls = tls or (context(options) if secure and not plain else None)
                opened.append(Opened(sock, None if plain else tls))
                if not plain and not secure:
                    if not options.insecure_tcp:
                        raise InvalidArgument(f"{text}: {INSECURE}")
                    logger.warning("the API is open to everybody who reaches %s, without TLS", sock.getsockname()[:2])
    except BaseException:
        remove(opened)
        for entry in opened:
            entry.sock.close()
        raise
    return opened


def _unix(path: str, options: Options) -> socket.socket:
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise InvalidArgument(f"{path} exists and is no socket")
            if _alive(path):
                raise Unavailable(f"another daemon listens on {path}")
            os.unlink(path)
        before = os.umask(0o117)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        gid = _group(options)
        os.chown(path, 0 if os.geteuid() == 0 else -1, gid)
        os.chmod(path, 0o660)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except ScowError:
        sock.close()
        raise
    except OSError as exc:
        sock.close()
        raise Unavailable(f"can't create unix socket {path}: {exc.strerror}") from exc
    return sock


def _alive(path: str) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1)
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _group(options: Options) -> int:
    if options.group.isdigit():
        return int(options.group)
    try:
        return grp.getgrnam(options.group).gr_gid
    except KeyError:
        if options.group != "docker":
            raise InvalidArgument(f"group {options.group} not found") from None
        return 0 if os.geteuid() == 0 else -1


def _tcp(rest: str, tls: bool) -> list[socket.socket]:
    parts = urlsplit(f"//{rest}")
    try:
        host, port = parts.hostname or "0.0.0.0", parts.port
    except ValueError as exc:
        raise InvalidArgument(f"invalid bind address: tcp://{rest}") from exc
    try:
        return bound(host, _TLS_PORT if port is None and tls else _PLAIN_PORT if port is None else port)
    except OSError as exc:
        raise Unavailable(f"listen tcp {rest}: {exc.strerror or exc}") from exc


def _inherited(count: int) -> list[socket.socket]:
    if not count:
        raise Unavailable("no sockets found via socket activation: make sure the service was started by systemd")
    out: list[socket.socket] = []
    fd = _FIRST_FD
    try:
        for fd in range(_FIRST_FD, _FIRST_FD + count):
            sock = socket.socket(fileno=fd)
            out.append(sock)
            sock.set_inheritable(False)
            sock.setblocking(False)
            if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError("it does not listen for streams")
    except OSError as exc:
        for sock in out:
            sock.close()
        raise Unavailable(f"socket activation: descriptor {fd} can't be used: {exc.strerror or exc}") from exc
    return out


def context(options: Options) -> ssl.SSLContext:
    """The server's TLS settings; with tlsverify a client needs a certificate of the CA. Raises InvalidArgument."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        tls.load_cert_chain(options.tlscert, options.tlskey)
        if options.tlsverify:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(options.tlscacert)
    except (OSError, ssl.SSLError) as exc:
        raise InvalidArgument(
            f"could not load the TLS files (ca {options.tlscacert}, cert {options.tlscert}, key {options.tlskey}): {exc}"
        ) from exc
    return tls


def remove(opened: list[Opened]) -> None:
    """Take the unix sockets away that are ours still: not the service manager's, not those that another daemon put in their place."""
    for entry in opened:
        if entry.path:
            with contextlib.suppress(OSError):
                if os.lstat(entry.path).st_ino == entry.inode:
                    os.unlink(entry.path)
