"""Attaching clients to a container's own process: at once, or as soon as it starts. The keeper moves the bytes.

A client that came before the start waits in `Container.pending_attachments`, which the starter hands to the task manager.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scow import log
from scow.aio import hung_up
from scow.containers import detach
from scow.containers.container import Container
from scow.containers.logs import plan_of
from scow.errors import Conflict, ScowError
from scow.logdrivers import reader
from scow.runtime.task import Attachment

if TYPE_CHECKING:
    from scow.containers.parts import Parts

logger = log.get(__name__)

_MAX_PENDING = 256
_WRITE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AttachQuery:
    """Parameters of attach: which streams, `logs` = what was written before, `stream` = what comes; `mux` off for WebSockets."""

    stream: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    logs: bool = False
    detach_keys: str = ""
    mux: bool = True


class AttachService:
    """Attaches clients."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._watched: set[str] = set()
        parts.on_running.append(self._late)

    def _late(self, container: Container) -> None:
        """Clients that came while the start was under way."""
        pending, container.pending_attachments = container.pending_attachments, []
        for attachment in pending:
            self._parts.supervisor.start(self._join(container, attachment), f"attach {container.id[:12]}")

    async def _join(self, container: Container, attachment: Attachment) -> None:
        with contextlib.suppress(ScowError):
            await self._parts.tasks.attach(container.id, attachment)

    def check(self, container: Container, query: AttachQuery) -> None:
        """What the API asks before it hijacks. Raises Conflict (paused, restarting), InvalidArgument (detach keys)."""
        detach.parse(query.detach_keys)
        if container.state.paused:
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.state.restarting:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")

    async def attach(self, container: Container, query: AttachQuery, sock: socket.socket, early: bytes = b"") -> None:
        """Attach a connection; `sock` is taken over. Returns once it is handed on (not at the end of the stream)."""
        try:
            if query.logs:
                await self._replay(container, query, sock)
            wants_input = query.stdin and container.config.open_stdin
            if query.stream and (query.stdin or query.stdout or query.stderr):
                attachment = Attachment(
                    sock=sock,
                    early=early,
                    stdin=wants_input,
                    stdout=query.stdout,
                    stderr=query.stderr,
                    mux=query.mux and not container.config.tty,
                    detach_keys=detach.parse(query.detach_keys) if container.config.tty else b"",
                )
                container.announce("attach")
                if container.state.alive:
                    await self._parts.tasks.attach(container.id, attachment)
                else:
                    self._wait_for_start(container, attachment)
                return
        except ScowError as exc:
            logger.debug("attach failed: %s", exc.message)
        except BaseException:
            sock.close()
            raise
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        sock.close()

    def _wait_for_start(self, container: Container, attachment: Attachment) -> None:
        pending = container.pending_attachments
        for gone in [one for one in pending if hung_up(one.sock.fileno())]:
            pending.remove(gone)
            gone.sock.close()
        if len(pending) >= _MAX_PENDING:
            raise Conflict(f"container {container.id} has too many clients that wait for its start")
        pending.append(attachment)
        if container.id not in self._watched:
            self._watched.add(container.id)
            container.waiter("removed").add_done_callback(lambda _: self._removed(container))

    def _removed(self, container: Container) -> None:
        self._watched.discard(container.id)
        drop_pending(container)

    async def _replay(self, container: Container, query: AttachQuery, sock: socket.socket) -> None:
        """Send what the container has written so far. Raises Unsupported for a log driver that can't read."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        wanted = reader.LogQuery(stdout=query.stdout, stderr=query.stderr, tty=container.config.tty or not query.mux)
        with contextlib.suppress(OSError, TimeoutError):
            async for frames in reader.read(plan_of(container), wanted):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await loop.sock_sendall(sock, frames)


def drop_pending(container: Container) -> None:
    """Close the clients that wait for a start which will not come (removal)."""
    while container.pending_attachments:
        container.pending_attachments.pop().sock.close()
