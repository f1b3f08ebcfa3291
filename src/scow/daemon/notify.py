"""What the service manager is told (systemd's notification protocol): ready, reloading, stopping, alive. Nothing is stored.

The variables of the service manager are taken out of the environment at the start: a runtime that found NOTIFY_SOCKET or LISTEN_FDS
there would pass them on into containers.
"""

import asyncio
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from scow import log

logger = log.get(__name__)
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FDS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Manager:
    """What the service manager gave this process: where to tell it, how many sockets from descriptor 3 on, seconds of its watchdog."""

    address: str = ""
    sockets: int = 0
    watchdog: float = 0.0

    def tell(self, **state: object) -> None:
        """Send a state, as READY=1, STATUS="…". A manager that does not listen is no error."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        text = "\n".join(f"{key}={value}" for key, value in state.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(1)
                sock.sendto(text.encode(), address)
        except OSError as error:
            logger.warning("the service manager cannot be told %s: %s", text, error)

    async def keep_alive(self) -> None:
        """Tell the watchdog, for as long as the loop turns; returns at once where there is none."""
        while self.watchdog and self.address:
            self.tell(WATCHDOG=1)
            await asyncio.sleep(self.watchdog / 3)


def take(environment: MutableMapping[str, str], pid: int | None = None) -> Manager:
    """Read the service manager's variables and remove them."""
    pid = os.getpid() if pid is None else pid
    found = {name: environment.pop(name, "") for name in _VARIABLES}
    address = found["NOTIFY_SOCKET"]
    if not address.startswith(("/", "@")):
        address = ""
    sockets = _number(found["LISTEN_FDS"]) if found["LISTEN_PID"] == str(pid) else 0
    watchdog = _number(found["WATCHDOG_USEC"]) / 1e6 if found["WATCHDOG_PID"] in ("", str(pid)) else 0.0
    return Manager(address, min(sockets, _FDS_MAX), watchdog)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
