"""HTTP/2 on a connected socket, as much of it as gRPC needs, in either role. Nothing is stored.

Why not the h2 library: its cost per frame (about 60 µs) is what a build context of 20,000 files is made of; this costs a tenth.
Header compression is the hpack library's. Used by `rpc.py` only. Every queue is bounded by the windows given out here.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from hpack import Decoder, Encoder

from scow import log
from scow.errors import Unavailable

logger = log.get(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, CANCEL, TOO_MUCH = 0, 1, 2, 3, 7, 8, 11

MAX_FRAME = 1 << 14
STREAM_WINDOW = 1 << 20
CONNECTION_WINDOW = 1 << 24
_DEFAULT_WINDOW = 65_535
_MAX_WINDOW = (1 << 31) - 1
_MAX_STREAMS = 256
_MAX_HEADER_BLOCK = 256 << 10
_MAX_HEADER_LIST = 512 << 10
_MAX_UNREAD_PINGS = 10_000
_SET_HEADER_TABLE, _SET_PUSH, _SET_STREAMS, _SET_WINDOW, _SET_FRAME, _SET_HEADER_LIST = 1, 2, 3, 4, 5, 6

Fields = list[tuple[str, str]]


class ConnectionLost(Unavailable):
    """The other side closed the connection, or broke the protocol."""


class Stream:
    """One exchange of a connection. `rpc.Call` fills in what happens with what arrives."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self.connection = connection
        self.number = number
        self.send_window = connection.initial_window
        self.local_ended = False
        self.remote_ended = False
        self.credit = 0
        self.owed = 0

    def got_headers(self, fields: Fields, ended: bool) -> None:
        """Headers or trailers arrived."""

    def got_data(self, data: bytes) -> None:
        """A piece of the body arrived; its size is given back with `taken` once it has been used up."""

    def got_end(self) -> None:
        """The other side has nothing more to say."""

    def got_error(self, error: Exception) -> None:
        """The stream was reset, or its connection is gone."""

    def taken(self, size: int) -> None:
        """`size` received bytes are off the hands of this process: the other side may send as many again."""
        self.credit += size
        if self.credit >= STREAM_WINDOW // 2 and not self.remote_ended:
            self.owed -= self.credit
            self.connection.write_window(self.number, self.credit)
            self.credit = 0

    def send_headers(self, fields: Fields, end: bool = False) -> None:
        """Send a header block."""
        if self.local_ended:
            return
        self.connection.write_headers(self.number, fields, end)
        if end:
            self.local_ended = True
            self.connection.forget(self)

    async def send_data(self, data: bytes, end: bool = False) -> None:
        """Send a piece of the body, as fast as the other side takes it."""
        view = memoryview(data)
        connection = self.connection
        while view or end:
            if self.local_ended or connection.error is not None:
                raise connection.error or ConnectionLost("the other side has ended the call")
            size = min(len(view), self.send_window, connection.send_window, connection.peer_frame)
            if view and (size <= 0 or connection.paused):
                await connection.room()
                continue
            piece, view = view[:size], view[size:]
            self.send_window -= size
            connection.send_window -= size
            last = end and not view
            connection.write_frame(DATA, END_STREAM if last else 0, self.number, bytes(piece))
            if last:
                self.local_ended = True
                connection.forget(self)
                return

    def reset(self, code: int = CANCEL) -> None:
        """End the stream now."""
        if not (self.local_ended and self.remote_ended) and self.connection.error is None:
            self.connection.write_frame(RST_STREAM, 0, self.number, code.to_bytes(4, "big"))
        self.local_ended = self.remote_ended = True
        self.connection.forget(self)


class Connection(asyncio.Protocol):
    """A connection. `make` makes its streams: those the other side opens (of a server), those opened here (of a client).
    `early` are bytes that were read from the socket before."""

    def __init__(self, make: Callable[["Connection", int], Stream], server: bool, early: bytes = b"") -> None:
        self._make, self._server = make, server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(early)
        self._begun = not server
        self._encoder, self._decoder = Encoder(), Decoder(max_header_list_size=_MAX_HEADER_LIST)
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._last_seen = 0
        self._block: tuple[int, bool, bytearray] | None = None
        self._arrived = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._unread_pings = 0
        self.closed = asyncio.Event()
        self.paused = False
        self.error: Exception | None = None
        self.going = False
        self.send_window = _DEFAULT_WINDOW
        self.initial_window = _DEFAULT_WINDOW
        self.peer_frame = MAX_FRAME

    # --- what streams use

    def open(self) -> Stream:
        """A new stream of ours."""
        if self.error is not None or self.going or self._transport is None:
            raise self.error or ConnectionLost("the connection is closed")
        stream = self._make(self, self._next)
        self._streams[self._next] = stream
        self._next += 2
        return stream

    def write_frame(self, kind: int, flags: int, number: int, payload: bytes = b"") -> None:
        """Send one frame."""
        if self._transport is not None and self.error is None:
            head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big")
            self._transport.write(head + payload)

    def write_headers(self, number: int, fields: Fields, end: bool) -> None:
        """Send a header block, in as many frames as it needs."""
        block = self._encoder.encode(fields)
        kind, flags = HEADERS, END_STREAM if end else 0
        while len(block) > self.peer_frame:
            self.write_frame(kind, flags, number, block[: self.peer_frame])
            block, kind, flags = block[self.peer_frame :], CONTINUATION, 0
        self.write_frame(kind, flags | END_HEADERS, number, block)

    def write_window(self, number: int, size: int) -> None:
        """Allow the other side `size` more bytes."""
        self.write_frame(WINDOW_UPDATE, 0, number, size.to_bytes(4, "big"))

    async def room(self) -> None:
        """Wait until a window has grown or the transport takes bytes again."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        await future

    def forget(self, stream: Stream) -> None:
        """Drop a stream that both sides have ended."""
        if stream.local_ended and stream.remote_ended:
            self._streams.pop(stream.number, None)

    def close(self) -> None:
        """Say good-bye and close."""
        if self._transport is not None and not self._transport.is_closing():
            self.write_frame(GOAWAY, 0, 0, self._last_seen.to_bytes(4, "big") + bytes(4))
            self._transport.close()

    # --- asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Open the conversation."""
        self._transport = transport
        settings = {_SET_WINDOW: STREAM_WINDOW, _SET_STREAMS: _MAX_STREAMS, _SET_HEADER_LIST: _MAX_HEADER_LIST}
        if not self._server:
            settings |= {_SET_PUSH: 0}
            transport.write(PREFACE)
        self.write_frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items()))
        self.write_window(0, CONNECTION_WINDOW - _DEFAULT_WINDOW)
        if self._buffer:
            self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._fail(ConnectionLost("the client has closed the connection"))

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        self.paused = False
        self._unread_pings = 0
        self._wake()

    def eof_received(self) -> bool:
        """The other side will not send any more: nothing is left to do."""
        return False

    def data_received(self, data: bytes) -> None:
        """Bytes from the other side."""
        buffer = self._buffer
        buffer += data
        if not self._begun:
            if len(buffer) < len(PREFACE):
                if not PREFACE.startswith(bytes(buffer)):
                    self._break(PROTOCOL_ERROR, "not HTTP/2")
                return
            if not buffer.startswith(PREFACE):
                self._break(PROTOCOL_ERROR, "not HTTP/2")
                return
            self._begun = True
            del buffer[: len(PREFACE)]
        at, end = 0, len(buffer)
        while end - at >= 9 and self.error is None:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if size > MAX_FRAME:
                self._break(FLOW_CONTROL_ERROR, "a frame that is too big")
                break
            if end - at < 9 + size:
                break
            number = int.from_bytes(buffer[at + 5 : at + 9], "big") & _MAX_WINDOW
            kind, flags = buffer[at + 3], buffer[at + 4]
            payload = bytes(buffer[at + 9 : at + 9 + size])
            at += 9 + size
            try:
                self._frame(kind, flags, number, payload)
            except Exception as error:  # a hostile frame ends this connection, never the daemon's loop
                if not isinstance(error, (ValueError, IndexError)) and type(error).__module__.split(".")[0] != "hpack":
                    logger.exception("handling an HTTP/2 frame failed")
                self._break(PROTOCOL_ERROR, "a broken frame")
        del buffer[:at]

    # --- frames

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != CONTINUATION:
            raise ValueError("a header block was interrupted")
        if kind == DATA:
            self._data(flags, number, payload)
        elif kind == HEADERS:
            payload = _unpadded(flags, payload)
            self._block = (number, bool(flags & END_STREAM), bytearray(payload[5:] if flags & HAS_PRIORITY else payload))
            if flags & END_HEADERS:
                self._headers()
        elif kind == CONTINUATION:
            if self._block is None or self._block[0] != number:
                raise ValueError("a continuation of nothing")
            self._block[2].extend(payload)
            if len(self._block[2]) > _MAX_HEADER_BLOCK:
                raise ValueError("a header block that is too big")
            if flags & END_HEADERS:
                self._headers()
        elif kind == WINDOW_UPDATE:
            self._window(number, int.from_bytes(payload[:4], "big") & _MAX_WINDOW)
        elif kind == SETTINGS:
            if not flags & ACK:
                self._settings(payload)
        elif kind == PING:
            if not flags & ACK and len(payload) == 8:
                self._unread_pings += 1 if self.paused else 0
                if self._unread_pings > _MAX_UNREAD_PINGS:
                    raise ValueError("pings without reading")
                self.write_frame(PING, ACK, 0, payload)
        elif kind == RST_STREAM:
            stream = self._streams.pop(number, None)
            if stream is not None:
                answered = stream.remote_ended and not self._server
                stream.local_ended = stream.remote_ended = True
                if not answered:  # a server that has answered resets what it does not want to read
                    stream.got_error(ConnectionLost("the other side has cancelled the call"))
                self._wake()
        elif kind == GOAWAY:
            self.going = True
        elif kind == PUSH_PROMISE:
            raise ValueError("a push that was not wanted")

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._arrived += size
        if self._arrived >= CONNECTION_WINDOW // 2:
            self.write_window(0, self._arrived)
            self._arrived = 0
        stream = self._streams.get(number)
        if stream is None or stream.remote_ended:
            return
        stream.owed += size
        if stream.owed > STREAM_WINDOW:
            stream.got_error(ConnectionLost("more data than was allowed"))
            stream.reset(FLOW_CONTROL_ERROR)
            return
        if flags & PADDED:
            payload = _unpadded(flags, payload)
            stream.taken(size - len(payload))
        if payload:
            stream.got_data(payload)
        if flags & END_STREAM:
            self._ended(stream)

    def _headers(self) -> None:
        assert self._block is not None
        number, ended, block = self._block
        self._block = None
        fields = [(_text(name), _text(value)) for name, value in self._decoder.decode(bytes(block), raw=True)]
        stream = self._streams.get(number)
        if stream is None:
            if not self._server or number % 2 == 0 or number <= self._last_seen:
                return  # an answer to a call that was given up
            self._last_seen = number
            if len(self._streams) >= _MAX_STREAMS:
                self.write_frame(RST_STREAM, 0, number, REFUSED_STREAM.to_bytes(4, "big"))
                return
            stream = self._streams[number] = self._make(self, number)
        stream.got_headers(fields, ended)
        if ended:
            self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        stream.remote_ended = True
        stream.got_end()
        self.forget(stream)

    def _window(self, number: int, size: int) -> None:
        if number == 0:
            self.send_window += size
            if size == 0 or self.send_window > _MAX_WINDOW:
                raise ValueError("a window out of bounds")
        elif (stream := self._streams.get(number)) is not None:
            stream.send_window += size
            if size == 0 or stream.send_window > _MAX_WINDOW:
                raise ValueError("a window out of bounds")
        self._wake()

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            key, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            if key == _SET_WINDOW:
                if value > _MAX_WINDOW:
                    raise ValueError("a window out of bounds")
                for stream in self._streams.values():
                    stream.send_window += value - self.initial_window
                self.initial_window = value
            elif key == _SET_FRAME:
                self.peer_frame = min(max(value, MAX_FRAME), 1 << 20)
            elif key == _SET_HEADER_TABLE:
                self._encoder.header_table_size = min(value, 4096)
        self.write_frame(SETTINGS, ACK, 0)
        self._wake()

    # --- ends

    def _break(self, code: int, why: str) -> None:
        logger.debug("HTTP/2 connection ended: %s", why)
        if self._transport is not None:
            self.write_frame(GOAWAY, 0, 0, self._last_seen.to_bytes(4, "big") + code.to_bytes(4, "big"))
            self._transport.close()
        self._fail(ConnectionLost(f"the connection was ended: {why}"))

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.local_ended = stream.remote_ended = True
            stream.got_error(error)
        self.closed.set()
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED:
        return payload
    pad = payload[0]
    if pad >= len(payload):
        raise ValueError("padding beyond the frame")
    return payload[1 : len(payload) - pad]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def attach(connection: Connection, sock: socket.socket) -> None:
    """Run `connection` on `sock`, whose ownership passes."""
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
    except OSError as error:
        sock.close()
        raise ConnectionLost("the connection is closed") from error
