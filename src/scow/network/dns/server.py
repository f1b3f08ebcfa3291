"""The name server of one container's namespace: sockets on 127.0.0.11 with random ports, served by the daemon's loop.

Port 53 is redirected to them by nft inside the namespace.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scow import aio, log
from scow.kernel.nft import Nft
from scow.network.dns import forward, message
from scow.network.dns.records import Records

logger = log.get(__name__)
ADDRESS = "127.0.0.11"
_MOST_PENDING = 256
_MOST_CONNECTIONS = 32
_QUESTION_MAX, _TOLD_MAX = 300, 256  # of the answers that are kept: bytes, number
_IDLE_SECONDS = 10.0
_BATCH = 64  # questions read at once, before the loop looks after others
_DATAGRAM = 4096
_TABLE = "scow_dns"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Two bound sockets inside a namespace."""

    udp: socket.socket
    tcp: socket.socket


def ruleset(udp: int, tcp: int, replace: bool) -> str:
    """Redirect port 53 of the server's address to the ports it listens on; a container may still bind port 53 itself."""
    # only where an earlier table is: deleting even nothing makes the closing of the handle wait for the kernel's readers
    old = f"table ip {_TABLE} {{ }}\ndelete table ip {_TABLE}\n" if replace else ""
    return (
        f"{old}table ip {_TABLE} {{\n  chain output {{\n"
        "    type nat hook output priority -100; policy accept;\n"
        f"    ip daddr {ADDRESS} udp dport 53 dnat to {ADDRESS}:{udp}\n"
        f"    ip daddr {ADDRESS} tcp dport 53 dnat to {ADDRESS}:{tcp}\n  }}\n}}\n"
    )


def listeners(replace: bool = False) -> Listeners:
    """Open the sockets in the calling thread's namespace, whose loopback is up; redirect port 53 to them (`replace`: once more)."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        udp.bind((ADDRESS, 0))
        tcp.bind((ADDRESS, 0))
        tcp.listen(_MOST_CONNECTIONS)
        nft = Nft()
        try:
            nft.run(ruleset(udp.getsockname()[1], tcp.getsockname()[1], replace))
        finally:
            nft.close()
    except BaseException:
        udp.close()
        tcp.close()
        raise
    return Listeners(udp, tcp)


class _Server:
    """Serves one container."""

    def __init__(self, container_id: str, records: Records) -> None:
        self.container_id = container_id
        self.upstream: tuple[str, ...] = ()
        self.netns = ""
        self._records = records
        self._tasks = aio.Supervisor(f"dns {container_id[:12]}")
        self._pending = 0
        self._connections = 0
        self._told: dict[bytes, bytes] = {}  # questions and answers without their number, as long as the records are of `_version`
        self._version = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._udp: socket.socket | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, sockets: Listeners) -> None:
        self._udp = sockets.udp
        self._loop = asyncio.get_running_loop()
        # not a datagram transport: that reads one question for each turn of the loop, and a turn costs more than an answer
        self._loop.add_reader(sockets.udp, self._readable)
        self._tcp = await asyncio.start_server(self._connection, sock=sockets.tcp)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            if self._udp is None:
                return
            try:
                data, addr = self._udp.recvfrom(_DATAGRAM)
            except OSError:
                return
            self._received(data, addr)

    def _received(self, data: bytes, addr: Any) -> None:
        if self._version != self._records.version:
            self._told.clear()
            self._version = self._records.version
        if (told := self._told.get(data[2:])) is not None:
            self._send(data[:2] + told, addr)
            return
        own = self.own(data)
        if isinstance(own, bytes) and own[6:8] == b"\0\1" and len(data) <= _QUESTION_MAX and len(self._told) < _TOLD_MAX:
            # one address: with several the order varies
            self._told[data[2:]] = own[2:]
        if isinstance(own, message.Query):
            if self._pending >= _MOST_PENDING:
                self._send(message.reply(own, code=message.SERVFAIL), addr)
                return
            self._pending += 1
            self._tasks.start(self._forward_udp(own, data, addr), "query")
        elif own:
            self._send(own, addr)

    def _send(self, data: bytes, addr: Any) -> None:
        if self._udp is not None:
            with contextlib.suppress(OSError):  # a full buffer: a datagram may be lost, its asker asks again
                self._udp.sendto(data, addr)

    def own(self, data: bytes, limit: int = 0) -> bytes | message.Query:
        """Our answer to a query, or the query when others must be asked."""
        try:
            query = message.parse(data)
        except message.BadMessage:
            return message.error(data, message.FORMERR)
        if query.flags & 0x7800:
            return message.reply(query, code=message.NOTIMP)
        if (
            query.kind == message.PTR
            and (address := message.reverse(query.name))
            and (name := self._records.reverse(self.container_id, address))
        ):
            return message.reply(query, [message.pointer(name)])
        if query.kind != message.PTR:
            found = self._records.lookup(self.container_id, query.name)
            if found.known:
                version = {message.A: ".", message.ANY: ".", message.AAAA: ":"}.get(query.kind, "")
                hits = [address for address in found.addresses if version and version in address]
                random.shuffle(hits)
                return message.reply(query, [message.address(address) for address in hits], limit=limit or query.size)
        if query.name and "." not in query.name:
            # a bare name is a container's, and none of the outside's business
            return message.reply(query, code=message.NXDOMAIN)
        if not self._records.outward(self.container_id) or not self.upstream:
            return message.reply(query, code=message.SERVFAIL)
        return query

    async def _ask(self, query: message.Query, data: bytes, tcp: bool) -> bytes:
        try:
            answer = await forward.ask(query, data, self.upstream, self.netns, False, tcp)
        except OSError:
            answer = b""
        return answer or message.reply(query, code=message.SERVFAIL)

    async def _forward_udp(self, query: message.Query, data: bytes, addr: Any) -> None:
        try:
            answer = await self._ask(query, data, tcp=False)
            if len(answer) > query.size:
                answer = message.reply(query, [b"\0" * query.size], limit=message.UDP_SIZE)
            self._send(answer, addr)
        finally:
            self._pending -= 1

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            while True:
                head = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
                data = await asyncio.wait_for(reader.readexactly(int.from_bytes(head, "big")), _IDLE_SECONDS)
                own = self.own(data, limit=65535)
                answer = await self._ask(own, data, tcp=True) if isinstance(own, message.Query) else own
                if not answer:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    def close(self) -> None:
        udp, self._udp = self._udp, None
        if udp is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(udp)
            udp.close()
        if self._tcp is not None:
            self._tcp.close()


class NameServers:
    """The name servers of all containers that have one."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._servers: dict[str, _Server] = {}
        self._tasks = aio.Supervisor("dns")

    def running(self, container_id: str) -> bool:
        """Whether the container has a name server."""
        return container_id in self._servers

    async def start(self, container_id: str, sockets: Listeners) -> None:
        """Serve a container on its sockets."""
        self.stop(container_id)
        server = _Server(container_id, self._records)
        self._servers[container_id] = server
        await server.start(sockets)

    def configure(self, container_id: str, upstream: Sequence[str], netns: str) -> None:
        """Whom to ask about other names, and from where."""
        if (server := self._servers.get(container_id)) is not None:
            server.upstream, server.netns = tuple(upstream), netns

    def stop(self, container_id: str) -> None:
        """End a container's name server; none is fine. Its sockets would keep the namespace alive."""
        if (server := self._servers.pop(container_id, None)) is not None:
            server.close()

    def close(self) -> None:
        """End all."""
        for container_id in tuple(self._servers):
            with contextlib.suppress(OSError):
                self.stop(container_id)
