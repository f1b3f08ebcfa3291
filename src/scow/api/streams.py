"""Replies that go on: byte streams, progress lines, and the heads of hijacked connections."""

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from scow.api import errors
from scow.api.call import Call
from scow.api.wire import dumps
from scow.http.messages import Headers

MUX = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"
TAR = "application/x-tar"


def stream_type(call: Call, tty: bool) -> str:
    """The content type of attach, exec and logs."""
    return MUX if call.version >= 42 and not tty else RAW


async def send(call: Call, pieces: AsyncIterator[bytes], content_type: str, headers: Headers = ()) -> None:
    """Stream bytes; the iterator is closed in any case, also when the client leaves."""
    try:
        writer = await call.stream(content_type, headers)
        async for piece in pieces:
            await writer.write(piece)
        await writer.end()
    finally:
        await _close(pieces)


async def send_checked(call: Call, pieces: AsyncIterator[bytes], content_type: str) -> None:
    """As `send`, with the head behind the first piece: what is wrong with the request is then a plain error."""
    try:
        first = await anext(pieces, b"")
        writer = await call.stream(content_type)
        await writer.write(first)
        async for piece in pieces:
            await writer.write(piece)
        await writer.end()
    finally:
        await _close(pieces)


async def progress(call: Call, lines: AsyncIterator[dict[str, Any]]) -> None:
    """Stream JSON objects, each with CR LF behind it. What fails before the first object is a plain error, later it is one more object."""
    try:
        try:
            first: dict[str, Any] | None = await anext(lines)
        except StopAsyncIteration:
            first = None
        writer = await call.stream()
        if first is not None:
            await writer.write(json_line(first))
        try:
            async for line in lines:
                await writer.write(json_line(line))
        except Exception as error:
            if errors.is_client_gone(error):
                raise
            text = errors.in_stream(error, f"{call.request.method} {call.route.pattern}")
            await writer.write(json_line({"errorDetail": {"message": text}, "error": text}))
        await writer.end()
    finally:
        await _close(lines)


def json_line(value: dict[str, Any]) -> bytes:
    """One JSON object of a stream."""
    return dumps(value).rstrip(b"\n") + b"\r\n"


async def _close(iterator: AsyncIterator[Any]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        with contextlib.suppress(RuntimeError):
            await close()


async def hijack(call: Call, content_type: str, copied: Headers = ()) -> tuple[socket.socket, bytes]:
    """Turn the connection into a raw stream: 101 where an upgrade was asked for, 200 (and always called raw, as in Docker) otherwise."""
    if call.request.head.upgrade:
        headers = [("Content-Type", content_type)]
        headers += [("Connection", "Upgrade"), ("Upgrade", "tcp"), *copied]
        return await call.request.hijack(101, headers, "UPGRADED")
    return await call.request.hijack(200, [("Content-Type", RAW), *copied], "OK")
