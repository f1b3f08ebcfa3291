"""Asking other name servers, from inside a container's namespace (or from the host's, for resolvers on the host's loopback)."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence

from scow import aio
from scow.network import osl
from scow.network.dns import message
from scow.network.files import loopback

_UDP_SECONDS = 4.0
_TCP_SECONDS = 6.0
_MOST_BYTES = 65535
_PORT = 53


def _open(server: str, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    if kind == socket.SOCK_DGRAM:
        try:
            sock.connect((server, _PORT))
        except OSError:
            sock.close()
            raise
    return sock


async def _socket(server: str, kind: int, netns: str, outside: bool) -> socket.socket:
    if outside or loopback(server):
        return _open(server, kind)
    return await aio.in_pool(osl.visit, netns, lambda: _open(server, kind))


async def ask(query: message.Query, data: bytes, servers: Sequence[str], netns: str, own: bool, tcp: bool) -> bytes:
    """The first useful answer of `servers` (`own`: the container's, not the host's) to the query `data`; empty when none answers."""
    refused = b""
    for server in servers[:3]:
        with contextlib.suppress(OSError, TimeoutError):
            answer = b""
            if not tcp:
                answer = await asyncio.wait_for(_udp(query, data, server, netns, own), _UDP_SECONDS)
            if tcp or not answer:
                answer = await asyncio.wait_for(_tcp(query, data, server, netns, own), _TCP_SECONDS)
            if message.code(answer) in (message.NOERROR, message.NXDOMAIN):
                return answer
            refused = refused or answer
    return refused


async def _udp(query: message.Query, data: bytes, server: str, netns: str, own: bool) -> bytes:
    loop = asyncio.get_running_loop()
    ident = secrets.randbelow(65536)
    sock = await _socket(server, socket.SOCK_DGRAM, netns, False if own else loopback(server))
    try:
        await loop.sock_sendall(sock, message.with_ident(data, ident))
        while True:
            answer = await loop.sock_recv(sock, _MOST_BYTES)
            if message.answers(answer, query, ident):
                return message.with_ident(answer, query.ident)
    finally:
        sock.close()


async def _tcp(query: message.Query, data: bytes, server: str, netns: str, own: bool) -> bytes:
    ident = secrets.randbelow(65536)
    sock = await _socket(server, socket.SOCK_STREAM, netns, False if own else loopback(server))
    try:
        await asyncio.get_running_loop().sock_connect(sock, (server, _PORT))
        reader, writer = await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        writer.write(len(data).to_bytes(2, "big") + message.with_ident(data, ident))
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError(str(error)) from None
    finally:
        writer.close()
    if not message.answers(answer, query, ident):
        raise ConnectionResetError("the server answered something else")
    return message.with_ident(answer, query.ident)
