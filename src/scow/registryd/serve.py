"""The process of `scow registry serve`: opens the directory and the sockets, serves until SIGTERM or SIGINT, ends in order.

SIGUSR1 starts a round of upkeep (retention, garbage collection) at once; SIGHUP reads the TLS files again.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
from typing import Any

from scow import log
from scow.aio import Supervisor
from scow.errors import InvalidArgument, ScowError, Unavailable
from scow.http.listening import bound
from scow.http.server import Limits, Server
from scow.registryd.access import Access
from scow.registryd.app import App, MetricsApp
from scow.registryd.ask import Parts
from scow.registryd.metrics import Metrics
from scow.registryd.mirror import Mirror
from scow.registryd.options import Options, parse_address
from scow.registryd.store import open_store
from scow.registryd.upkeep import Upkeep
from scow.registryd.uploads import Uploads

logger = log.get(__name__)

_BACKLOG = 1024
_HEAD_SECONDS = 30.0
_IDLE_SECONDS = 300.0
_GRACE_SECONDS = 10.0
_FIRST_FD = 3


def main(options: Options, inherited: int = 0) -> int:
    """Serve until told to stop; the exit status. `inherited`: sockets that a service manager handed over, from descriptor 3 on."""
    import uvloop

    log.setup(options.log_level, options.log_format == "json")
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o077)
    try:
        return int(uvloop.run(_run(options, inherited)))
    except ScowError as error:
        sys.stderr.write(f"scow: {error.message}\n")
        return 1


class Service:
    """A registry that is open: its parts and its connections. Made inside the loop. Raises ScowError."""

    def __init__(self, options: Options) -> None:
        self.tasks = Supervisor("registry")
        self.store = open_store(options.root)
        metrics = Metrics()
        self.mirror = Mirror(options, self.store, self.tasks, metrics) if options.upstreams else None
        uploads = Uploads(self.store, metrics, options.max_blob, options.stall_seconds)
        access = Access(options, self.store.accounts, metrics)
        self.parts = Parts(options, self.store, uploads, access, metrics, self.mirror)
        self.upkeep = Upkeep(self.parts)
        limits = Limits(_HEAD_SECONDS, _IDLE_SECONDS, options.max_connections)
        self.server = Server(App(self.parts, self.tasks), self.tasks, limits)
        self.counters = Server(MetricsApp(self.parts, self.tasks), self.tasks, limits)

    async def close(self, grace: float) -> None:
        """Let requests end for `grace` seconds, then stop everything."""
        self.upkeep.stop()
        await self.counters.close(0.0)
        await self.server.close(grace)
        await self.tasks.close()
        if self.mirror is not None:
            await self.mirror.close()
        self.store.close()


async def _run(options: Options, inherited: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    tls = _tls(options)
    service = Service(options)
    try:
        for sock in _handed(inherited) if inherited else [one for text in options.listen for one in bind(text)]:
            await service.server.listen(sock, tls)
            logger.info("registry listens on %s%s", _shown(sock), " with TLS" if tls is not None else "")
        for sock in bind(options.metrics) if options.metrics else ():
            await service.counters.listen(sock)
            logger.info("metrics at http://%s/metrics", _shown(sock))
        _say(options, service.parts)
        service.tasks.start(service.upkeep.run(), "upkeep")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, _renew, tls, options)
        loop.add_signal_handler(signal.SIGUSR1, lambda: service.tasks.start(service.upkeep.once(), "upkeep asked for"))
        await stop.wait()
        logger.info("stopping")
    finally:
        await service.close(_GRACE_SECONDS)
    return 0


def _say(options: Options, parts: Parts) -> None:
    """What a reader of the log should know about who may do what."""
    if parts.access.open:
        logger.info("no users: everybody may pull%s", " and push" if options.anonymous_push else "; nobody may push")
    elif options.anonymous_push:
        logger.warning("everybody may push, in spite of the users: --anonymous-push is on")
    if not options.tls_certificate and any(not _loopback(text) for text in options.listen):
        logger.warning("without TLS everybody on the way reads passwords and may change what is pulled: see --tls-cert and --tls-key")
    for upstream in options.upstreams:
        logger.info("copies of %s are served as %s/…", upstream.domain, upstream.prefix)


def _loopback(text: str) -> bool:
    host = parse_address(text)[0]
    return host == "localhost" or host.startswith("127.") or host == "::1"


def bind(text: str) -> list[socket.socket]:
    """Bound sockets for `host:port`; no host means every address. Raises InvalidArgument, Unavailable."""
    host, port = parse_address(text)
    out: list[socket.socket] = []
    try:
        out = bound(host or None, port)
        for sock in out:
            sock.listen(_BACKLOG)
    except OSError as error:
        for sock in out:
            sock.close()
        raise Unavailable(f"cannot listen on {text}: {(error.strerror or str(error)).lower()}") from None
    return out


def _handed(count: int) -> list[socket.socket]:
    out = []
    for fd in range(_FIRST_FD, _FIRST_FD + count):
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        sock.setblocking(False)
        out.append(sock)
    return out


def _shown(sock: socket.socket) -> str:
    name: Any = sock.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _renew(tls: ssl.SSLContext | None, options: Options) -> None:
    """New connections get the certificate that is in the files now; where those are no good, the old one stays."""
    if tls is None:
        return
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), options)  # half a pair must not get into the one in use
        _load(tls, options)
    except InvalidArgument as error:
        logger.error("the old certificate stays in use: %s", error.message)
    else:
        logger.info("the TLS files are read again")


def _tls(options: Options) -> ssl.SSLContext | None:
    if not options.tls_certificate:
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(tls, options)
    return tls


def _load(tls: ssl.SSLContext, options: Options) -> None:
    try:
        tls.load_cert_chain(options.tls_certificate, options.tls_key)
        if options.tls_client_ca:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(options.tls_client_ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"could not load the TLS files ({options.tls_certificate}, {options.tls_key}): {error}") from None
