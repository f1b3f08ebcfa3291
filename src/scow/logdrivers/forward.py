"""Send a container's log on to syslog or journald, from the cache file the keeper writes. Run by `runtime.task` while the container lives.

Stored: beside the log, `forwarded` holds the time of the last record sent, so a daemon that was away goes on where the last one was.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from scow import log
from scow.logdrivers.plan import LogPlan
from scow.logdrivers.reader import LogQuery, read
from scow.logdrivers.records import to_ns

logger = log.get(__name__)
DRIVERS = frozenset({"syslog", "journald"})
_JOURNAL = "/run/systemd/journal/socket"
_RETRY = 1.0
_FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")


def _facility(name: str) -> int:
    if name.isdigit():
        return int(name)
    if name.startswith("local"):
        return 16 + int(name[5:])
    return _FACILITIES.index(name) if name in _FACILITIES else 3


class _Target:
    """Where lines go; `send` raises OSError when it cannot be reached."""

    def __init__(self, plan: LogPlan, container_id: str) -> None:
        self._plan, self._id = plan, container_id
        self._sock: socket.socket | None = None
        self._stream = False

    def _connect(self) -> socket.socket:
        if self._sock is None:
            address = self._plan.options.get("syslog-address", "") or "unixgram:///dev/log"
            url = urlsplit(f"unixgram://{_JOURNAL}" if self._plan.driver == "journald" else address)
            self._stream = url.scheme in ("tcp", "unix")
            kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
            if url.scheme.startswith("unix"):
                sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
                sock.settimeout(2)
                sock.connect(url.path)
            else:
                host, port = url.hostname or "localhost", url.port or 514
                family = socket.getaddrinfo(host, port, type=kind)[0][0]
                sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
                sock.settimeout(2)
                sock.connect((host, port))
            self._sock = sock
        return self._sock

    def send(self, line: str, stream: str) -> None:
        """Deliver one line."""
        severity = 3 if stream == "stderr" else 6
        if self._plan.driver == "journald":
            fields = {
                "MESSAGE": line,
                "PRIORITY": str(severity),
                "CONTAINER_ID": self._id[:12],
                "CONTAINER_ID_FULL": self._id,
                "CONTAINER_TAG": self._plan.tag,
                "SYSLOG_IDENTIFIER": self._plan.tag,
                **self._plan.extra,
            }
            data = "".join(f"{key}={value}\n" for key, value in fields.items() if "\n" not in value).encode()
        else:
            number = _facility(self._plan.options.get("syslog-facility", "daemon")) * 8 + severity
            stamp = time.strftime("%b %e %H:%M:%S")
            data = f"<{number}>{stamp} {socket.gethostname()} {self._plan.tag}[{os.getpid()}]: {line}".encode()
        try:
            self._connect().sendall(data + b"\n" if self._stream else data)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


async def forward(plan: LogPlan, container_id: str, ended: Callable[[], bool]) -> None:
    """Send every record on, in order, until the log has ended; a target that is away is tried again every second."""
    assert plan.path is not None
    mark = plan.path.with_name("forwarded")
    last = 0
    with contextlib.suppress(OSError, ValueError):
        last = int(mark.read_text())
    target = _Target(plan, container_id)
    try:
        query = LogQuery(follow=True, timestamps=True, since_ns=last + 1 if last else 0)
        async for frames in read(plan, query, ended):
            for kind, line in _lines(frames):
                stamp, _, text = line.partition(b" ")
                while True:
                    try:
                        target.send(text.decode("utf-8", "replace"), "stderr" if kind == 2 else "stdout")
                        break
                    except OSError as error:
                        logger.warning("log driver %s of %s: %s", plan.driver, container_id[:12], error)
                        if ended():
                            return
                        await asyncio.sleep(_RETRY)
                last = to_ns(stamp.decode("ascii", "replace"))
            mark.write_text(str(last))
    finally:
        target.close()


def _lines(frames: bytes) -> list[tuple[int, bytes]]:
    """(stream number, line without newline) of multiplexed frames."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position + 8 <= len(frames):
        size = int.from_bytes(frames[position + 4 : position + 8], "big")
        body = frames[position + 8 : position + 8 + size]
        found.extend((frames[position], line) for line in body.split(b"\n") if line)
        position += 8 + size
    return found
