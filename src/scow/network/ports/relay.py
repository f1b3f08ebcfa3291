"""Published ports between IPv6 and IPv4: a relay from the host's address of one kind to the container's of the other, since no rule can
translate between them; and from the host's ::1."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, cast

from scow import log

logger = log.get(__name__)

_MOST = 512
_CHUNK = 1 << 16
_CONNECT_SECONDS = 10.0


def permitted(peer: str, sources: Sequence[str]) -> bool:
    """Whether a caller is in one of the subnets; no subnets = everybody, and the host itself always is."""
    if not sources:
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(peer.partition("%")[0])
        return address.is_loopback or any(address in ipaddress.ip_network(source) for source in sources)
    return False


class TcpRelay:
    """Accepts on a bound socket (owned by the port allocator, which this one duplicates) and copies both ways, with half-close."""

    def __init__(self, held: socket.socket, address: str, port: int, sources: Sequence[str] = ()) -> None:
        self._held = held.dup()
        self._target = (address, port)
        self._sources = sources
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Start listening."""
        self._held.setblocking(False)
        self._server = await asyncio.start_server(self._serve, sock=self._held)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MOST or not permitted(writer.get_extra_info("peername")[0], self._sources):
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(*self._target), _CONNECT_SECONDS)
        except (OSError, TimeoutError):
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        except* OSError:
            pass
        finally:
            for one in (writer, far_writer):
                self._open.discard(one)
                one.close()

    def lead_to(self, address: str, port: int) -> None:
        """Where callers are led from now on; open connections stay where they are."""
        self._target = (address, port)

    def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        else:
            self._held.close()
        for writer in tuple(self._open):
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


class UdpRelay(asyncio.DatagramProtocol):
    """Datagrams both ways; a sender's path is forgotten when it is the oldest of too many."""

    def __init__(self, held: socket.socket, address: str, port: int, sources: Sequence[str] = ()) -> None:
        self._held = held.dup()
        self._target = (address, port)
        self._sources = sources
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[Any, socket.socket] = {}

    async def start(self) -> None:
        """Start receiving."""
        self._held.setblocking(False)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=self._held)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        path = self._peers.get(addr)
        if path is None:
            if not permitted(addr[0], self._sources):
                return
            outward = socket.socket(socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                outward.connect(self._target)
                outward.send(data)
            except OSError:
                outward.close()
                return
            self._adopt(addr, outward)
        else:
            with contextlib.suppress(OSError):
                path.send(data)

    def _adopt(self, addr: Any, outward: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def ready() -> None:
            with contextlib.suppress(OSError):
                self.back(outward.recv(_CHUNK), addr)

        while len(self._peers) >= _MOST:
            self._forget(next(iter(self._peers)))
        self._peers[addr] = outward
        loop.add_reader(outward, ready)

    def _forget(self, peer: Any) -> None:
        outward = self._peers.pop(peer)
        asyncio.get_running_loop().remove_reader(outward)
        outward.close()

    def back(self, data: bytes, peer: Any) -> None:
        """Hand an answer to the sender."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, peer)

    def lead_to(self, address: str, port: int) -> None:
        """Where datagrams are led from now on."""
        self._target = (address, port)
        for peer in tuple(self._peers):
            self._forget(peer)

    def close(self) -> None:
        """Stop."""
        for peer in tuple(self._peers):
            self._forget(peer)
        if self._transport is not None:
            self._transport.close()
        else:
            self._held.close()
