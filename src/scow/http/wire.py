"""The socket's side of a connection: flow control both ways, bytes out, being lost. `Connection` puts HTTP on top of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from scow.http.messages import ClientGone

_HOLDS = {"body": 1, "pipeline": 2, "bulk": 4}


class Wire(asyncio.Protocol):
    """What an HTTP connection is built on. Reading stops while anybody holds it; `drain` waits while the client is slow."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._reading = True
        self._holds = 0
        self._writable: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None

    def _dropped(self) -> None:
        """The transport is gone: whoever waits for it goes on."""
        self._transport = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        if self._writable is None or self._writable.done():
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- reading

    def _hold(self, why: str) -> None:
        self._holds |= _HOLDS[why]
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _release(self, why: str) -> None:
        self._holds &= ~_HOLDS[why]
        if not self._holds and not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # --- writing

    @property
    def peer(self) -> str:
        """The client's IP address, "" on a unix socket and when it is gone."""
        found = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(found[0]) if isinstance(found, tuple) else ""

    @property
    def lost(self) -> "asyncio.Future[None]":
        """Completes when the connection is gone."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self._transport is None:
                self._lost.set_result(None)
        return self._lost

    def send(self, data: bytes) -> None:
        """Queue bytes for the client."""
        if self._transport is not None:
            self._transport.write(data)

    def send_parts(self, parts: Sequence[bytes]) -> None:
        """`send` for several pieces, large ones without a copy."""
        if self._transport is not None:
            # the last by `write`: asyncio's own `writelines` never pauses the writer in Python 3.12.0-8 and 3.13.0-1 (CVE-2024-12254)
            self._transport.writelines(parts[:-1])
            self._transport.write(parts[-1])

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises ClientGone."""
        if self._writable is not None:
            await asyncio.shield(self._writable)
        if self._transport is None or self._transport.is_closing():
            raise ClientGone
